"""A touched file makes exactly the stages stale that use it."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from tests.contract.imports import ROOT
from tests.contract.test_dvc_graph import STAGES, needed_code


def stale(folder: Path) -> dict[str, set[str]]:
    """Stages that `dvc status` names because code changed, and the files that it blames."""
    from dvc.repo import Repo

    found: dict[str, set[str]] = {}
    with chdir(folder), Repo(".") as repo:
        for name, changes in repo.status().items():
            for change in changes:
                blamed = change.get("changed deps", {}) if isinstance(change, dict) else {}
                if code := {key for key in blamed if key.startswith("stages/")}:
                    found.setdefault(name, set()).update(code)
    return found


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
    """All files are touched at once: for each stage DVC names those that it saw change."""
    from dvc.repo import Repo

    with chdir(copy), Repo(".") as repo:
        names = [stage.addressing for stage in repo.index.stages]
    assert stale(copy) == {}
    for file in ALL_FILES:
        text = (copy / file).read_text()
        touched = "{# touched #}" if file.endswith((".html", ".j2")) else "# touched"
        (copy / file).write_text(f"{text}\n{touched}\n")
    blamed = stale(copy)
    wrong = {}
    for file in ALL_FILES:
        named, expected = {name for name, files in blamed.items() if file in files}, using(file, names)
        if named != expected:
            wrong[file] = (sorted(named - expected), sorted(expected - named))
    assert not wrong, f"file: (stale without reason, not noticed): {wrong}"


def test_one_touched_file_is_named_with_its_users(copy: Path) -> None:
    path = copy / "stages/train/models/cnn1d.py"
    path.write_text(path.read_text() + "\n# touched\n")
    assert set(stale(copy)) == {"train@binary_augmented_cnn1d", "evaluate@binary_augmented_cnn1d"}


def test_compiled_files_beside_the_sources_make_nothing_stale(copy: Path) -> None:
    cache = copy / "stages/train/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "new.cpython-311.pyc").write_bytes(b"x")
    assert stale(copy) == {}


def test_a_new_model_retrains_nothing(copy: Path) -> None:
    (copy / "stages/train/models/another.py").write_text('"""Another model."""\n')
    assert stale(copy) == {}


def test_features_alone_depend_on_the_split_where_they_use_it() -> None:
    """Only the augmented copies look at the split: a new seed recomputes no other representation."""
    from tests.contract.test_dvc_graph import GRAPH

    reads = {key: entry["reads"] for key, entry in GRAPH["features"]["foreach"].items()}
    assert reads["augmented"].startswith("split/")
    assert not [key for key, value in reads.items() if key != "augmented" and value.startswith("split/")]
