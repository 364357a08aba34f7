"""A touched file makes exactly the stages stale that use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract.imports import ROOT
from tests.contract.test_dvc_graph import STAGES, needed_code


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def stale(folder: Path) -> set[str]:
    """Stages that `dvc status` names because a file of code changed."""
    from dvc.repo import Repo

    with inside(folder), Repo(".") as repo:
        return {
            name
            for name, changes in repo.status().items()
            for change in changes
            if isinstance(change, dict) and any(key.startswith("stages/") for key in change.get("changed deps", {}))
        }


def using(file: str, names: list[str]) -> set[str]:
    """Stages of the graph, by name, that must notice a change of a file."""
    found: set[str] = set()
    for name in names:
        stage, _, key = name.partition("@")
        item = {"model": key.rsplit("_", 1)[-1], "dataset": "sample", "key": key}
        files = {
            needed.replace("${dataset}", "sample").replace("${key}", key).replace("${item.model}", item["model"])
            for needed in needed_code(stage)
        }
        if file in files:
            found.add(name)
    return found


ALL_FILES = sorted(
    {
        file.replace("${dataset}", "sample")
        for stage in STAGES
        for file in needed_code(stage)
        if "${key}" not in file and "${item" not in file
    }
    | {path.relative_to(ROOT).as_posix() for path in (ROOT / "stages/train/models").glob("[a-z]*.py")}
    | {path.relative_to(ROOT).as_posix() for path in (ROOT / "stages/features/representations").glob("[a-z]*.py")}
)


def test_each_imported_file_makes_exactly_its_users_stale(copy: Path) -> None:
    from dvc.repo import Repo

    with inside(copy), Repo(".") as repo:
        names = [stage.addressing for stage in repo.index.stages]
    assert stale(copy) == set()
    wrong = {}
    for file in ALL_FILES:
        text = (copy / file).read_text()
        (copy / file).write_text(text + "\n<!-- touched -->\n" if file.endswith(".html") else text + "\n# touched\n")
        named, expected = stale(copy), using(file, names)
        if named != expected:
            wrong[file] = (sorted(named - expected), sorted(expected - named))
        (copy / file).write_text(text)
    assert not wrong, f"file: (stale without reason, not noticed): {wrong}"


def test_compiled_files_beside_the_sources_make_nothing_stale(copy: Path) -> None:
    cache = copy / "stages/train/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "new.cpython-311.pyc").write_bytes(b"x")
    assert stale(copy) == set()


def test_a_new_model_retrains_nothing(copy: Path) -> None:
    (copy / "stages/train/models/another.py").write_text('"""Another model."""\n')
    assert stale(copy) == set()


def test_features_alone_depend_on_the_split_where_they_use_it() -> None:
    """Only the augmented copies look at the split: a new seed recomputes no other representation."""
    from tests.contract.test_dvc_graph import GRAPH

    reads = {key: entry["reads"] for key, entry in GRAPH["features"]["foreach"].items()}
    assert reads["augmented"].startswith("split/")
    assert not [key for key, value in reads.items() if key != "augmented" and value.startswith("split/")]
