"""A finished little pipeline, made once; a test that changes it takes a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auscult.core.paths import Paths
from tests.evaluation.world import EXPERIMENTS, write_world


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with data, split, features and untrained models."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_world(root)
    return root


@pytest.fixture
def world(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A copy of it as the current directory."""
    shutil.copytree(finished, tmp_path / "root", ignore=shutil.ignore_patterns("reports"))
    monkeypatch.chdir(tmp_path / "root")
    return Paths("sample")


@pytest.fixture(scope="session")
def evaluated_root(finished: Path) -> Path:
    """The same with all three experiments evaluated."""
    from stages.evaluate import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        for experiment in EXPERIMENTS:
            patch.setattr("sys.argv", ["evaluate", experiment])
            main()
    return finished


@pytest.fixture
def evaluated(evaluated_root: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """That root as the current directory, to be read only."""
    monkeypatch.chdir(evaluated_root)
    return Paths("sample")
