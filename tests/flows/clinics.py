"""A small data set, validated and split, for tests of additions, withdrawals and comparisons."""

from __future__ import annotations

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from stages.split import main as split
from stages.validate import main as validate
from tests.validation.made_clinic import make_clinic


def validated(root: Path) -> Path:
    """Make a repository's root with a validated and split data set of 12 patients."""
    make_clinic(root)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    with chdir(root):
        validate()
        split()
    return root
