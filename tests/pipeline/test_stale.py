"""A changed file makes exactly the stages stale that use it."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

CNN1D = "binary_augmented_cnn1d"
MODELS = {"abnormal_logmel_cnn2d", CNN1D}
COMBINED = {"combine", "evaluate_combined@binary_slide"}


def stale(folder: Path) -> set[str]:
    """Stages that ``dvc status`` names."""
    from dvc.repo import Repo

    with chdir(folder), Repo(".") as repo:
        return set(repo.status())


def of_each(stage: str, keys: set[str]) -> set[str]:
    return {f"{stage}@{key}" for key in keys}


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("auscult/models/cnn1d.py", of_each("train", {CNN1D}) | of_each("evaluate", {CNN1D}) | COMBINED),
        ("auscult/models/another.py", COMBINED),  # their members may be models of any kind
        ("auscult/training/loop.py", of_each("train", MODELS) | of_each("evaluate", MODELS) | COMBINED),
        ("auscult/combination/fitting.py", COMBINED),
        ("auscult/evaluation/assessment.py", of_each("evaluate", MODELS) | {"evaluate_combined@binary_slide"}),
        ("auscult/features/representations/mfcc.py", {"features"}),
        ("auscult/reporting/report/verdict.py", {"report"}),
        ("auscult/splitting/parts.py", {"split"}),
        ("auscult/datasets/sample.py", {"download", "validate"}),
        ("stages/resample.py", {"resample"}),
    ],
)
def test_a_changed_file_makes_its_users_stale(copy: Path, file: str, users: set[str]) -> None:
    path = copy / file
    path.write_text((path.read_text() if path.exists() else "") + "\n# touched\n")
    assert stale(copy) == users


@pytest.mark.parametrize(
    "file",
    [
        "auscult/datasets/another.py",
        "auscult/comparison/another.py",
        "auscult/registry/another.py",
        "auscult/settings.py",
        "auscult/training/__pycache__/new.cpython-311.pyc",
    ],
)
def test_a_file_that_no_stage_uses_makes_nothing_stale(copy: Path, file: str) -> None:
    path = copy / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "# new\n")
    assert stale(copy) == set()
