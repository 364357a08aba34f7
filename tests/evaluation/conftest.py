"""A small finished pipeline, made once; a test that changes it uses a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auscult.core.paths import Paths
from tests.evaluation.finished_pipeline import EXPERIMENTS, write_pipeline


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with data, split, features and untrained models."""
    root = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_pipeline(root)
    return root


@pytest.fixture
def pipeline(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Make a copy of it the current directory."""
    shutil.copytree(finished, tmp_path / "root", ignore=shutil.ignore_patterns("reports"))
    monkeypatch.chdir(tmp_path / "root")
    return Paths("sample")


@pytest.fixture(scope="session")
def evaluated_root(finished: Path) -> Path:
    """Return the root with all three experiments evaluated."""
    from stages.evaluate import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        for experiment in EXPERIMENTS:
            patch.setattr("sys.argv", ["evaluate", experiment])
            main()
    return finished


@pytest.fixture
def evaluated(evaluated_root: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Make that root the current directory; a test may only read it."""
    monkeypatch.chdir(evaluated_root)
    return Paths("sample")
