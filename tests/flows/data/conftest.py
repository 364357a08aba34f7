"""A validated clinic as a repository, for what adds to it from the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from stages.split.__main__ import main as split
from stages.validate.__main__ import main as validate
from tests.validate.made_clinic import make_clinic


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository's root with a validated and split clinic of 12 patients."""
    root = tmp_path_factory.mktemp("validated")
    make_clinic(root)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    with chdir(root):
        validate()
        split()
    return root


@pytest.fixture
def clinic(validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy, which is the current directory."""
    root = Path(shutil.copytree(validated, tmp_path / "clinic"))
    monkeypatch.chdir(root)
    return root
