"""A repository with a validated data set, for commands that add to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.validation.validated import make_validated


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a repository with a validated and split data set of 12 patients."""
    return make_validated(tmp_path_factory.mktemp("validated"))


@pytest.fixture
def root(validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy, which is the current directory."""
    root = Path(shutil.copytree(validated, tmp_path / "root"))
    monkeypatch.chdir(root)
    return root
