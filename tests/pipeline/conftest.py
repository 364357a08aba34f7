"""One small run of the whole pipeline, shared by the tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pipeline.workspace import clone, repro, without_network


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which ``make repro`` has run once, without a network. Tests only read it, or take a copy."""
    folder = clone(tmp_path_factory.mktemp("finished") / "clone")
    repro(folder, env=without_network(folder.parent / "network"))
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A private copy of the finished clone, caches included."""
    target = tmp_path / "copy"
    shutil.copytree(finished, target, symlinks=True)
    return target
