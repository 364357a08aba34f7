"""A small data set after the stages ``validate`` and ``split``."""

from __future__ import annotations

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from stages.split import main as split
from stages.validate import main as validate
from tests.validation.small_data_set import make_data_set


def make_validated(root: Path) -> Path:
    """Make a repository's root with a validated and split data set of 12 patients."""
    make_data_set(root)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    with chdir(root):
        validate()
        split()
    return root
