"""A changed file makes exactly the stages stale that use it."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

MODELS = {"abnormal_logmel_cnn2d", "binary_augmented_cnn1d"}


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
        ("auscult/models/cnn1d.py", {"train@binary_augmented_cnn1d", "evaluate@binary_augmented_cnn1d"}),
        ("auscult/training/loop.py", of_each("train", MODELS) | of_each("evaluate", MODELS)),
        ("auscult/evaluation/assessment.py", of_each("evaluate", MODELS)),
        ("auscult/features/representations/mfcc.py", {"features@mfcc"}),
        ("auscult/reporting/report/verdict.py", {"report"}),
        ("auscult/splitting/parts.py", {"split"}),
        ("auscult/datasets/sample.py", {"download", "validate"}),
        ("stages/resample.py", {"resample"}),
    ],
)
def test_a_changed_file_makes_its_users_stale(copy: Path, file: str, users: set[str]) -> None:
    path = copy / file
    path.write_text(path.read_text() + "\n# touched\n")
    assert stale(copy) == users


@pytest.mark.parametrize(
    "file",
    [
        "auscult/models/another.py",
        "auscult/datasets/another.py",
        "auscult/features/representations/another.py",
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


def test_features_alone_depend_on_the_split_where_they_use_it() -> None:
    """Only the augmented copies look at the split: a new seed recomputes no other representation."""
    from tests.contract.test_dvc_graph import GRAPH

    reads = {key: entry["reads"] for key, entry in GRAPH["features"]["foreach"].items()}
    assert reads["augmented"].startswith("split/")
    assert not [key for key, value in reads.items() if key != "augmented" and value.startswith("split/")]
