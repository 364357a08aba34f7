"""dvc.yaml against the code: what a stage imports, reads and writes is what it declares."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.download import datasets
from stages.paths import ADDED_DIR, DATA_DIR, WITHDRAWN_DIR, Paths
from stages.sections import Params
from tests.contract.imports import ROOT, imported_files

RAW: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = [
    *("download", "validate", "split", "describe", "resample", "features", "balance", "train", "evaluate", "report")
]

#: Files that are found by name, so no import statement shows them.
BY_NAME = {
    "download": {"stages/download/datasets/${dataset}.py"},
    "validate": {"stages/download/datasets/${dataset}.py"},
    "features": {"stages/features/representations/${key}.py"},
    "train": {"stages/train/models/${item.model}.py"},
    "evaluate": {"stages/train/models/${item.model}.py"},
}
#: What only the making of the sample executes.
SYNTHESIS = "stages/download/synthesis/"


def definition(stage: str) -> dict[str, Any]:
    """A stage of dvc.yaml, templates unresolved."""
    entry: dict[str, Any] = GRAPH[stage]
    return entry.get("do", entry)


def declared_code(stage: str) -> set[str]:
    return {dep for dep in definition(stage)["deps"] if dep.startswith("stages/")}


def dataset_files(stage: str) -> set[str]:
    """What the data sets' own files import; dvc.yaml cannot list it per data set, so it lists all of it."""
    names = [path.stem for path in (ROOT / "stages/download/datasets").glob("[a-z]*.py")]
    found = set().union(*(imported_files(f"stages.download.datasets.{name}") for name in names))
    found -= {f"stages/download/datasets/{name}.py" for name in names}
    return found if stage == "download" else {file for file in found if not file.startswith(SYNTHESIS)}


@cache
def needed_code(stage: str) -> frozenset[str]:
    needed = imported_files(f"stages.{stage}.__main__") | BY_NAME.get(stage, set())
    if stage in ("download", "validate"):
        needed |= dataset_files(stage)
    if stage == "features":
        for path in (ROOT / "stages/features/representations").glob("[a-z]*.py"):
            needed |= imported_files(f"stages.features.representations.{path.stem}") - {
                path.relative_to(ROOT).as_posix()
            }
    if stage in ("train", "evaluate"):
        for path in (ROOT / "stages/train/models").glob("[a-z]*.py"):
            needed |= imported_files(f"stages.train.models.{path.stem}") - {path.relative_to(ROOT).as_posix()}
    pages = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "stages" / stage).iterdir()
        if p.suffix in {".html", ".css", ".j2"}
    }
    return frozenset(needed | pages)


def test_every_stage_is_in_the_graph_in_order() -> None:
    assert list(GRAPH) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_a_stage_imports_are_its_dependencies(stage: str) -> None:
    assert declared_code(stage) == needed_code(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_files_that_exist(stage: str) -> None:
    for dep in declared_code(stage):
        if "${" not in dep:
            assert (ROOT / dep).is_file(), f"{stage}: {dep} is not a file"


def leaves(section: str) -> set[str]:
    """Dotted leaf parameters of a section, with the places that fill its nulls."""
    found: set[str] = set()
    for key, value in RAW.get(section, {}).items():
        found |= {f"{section}.{key}.{leaf}" for leaf in value} if isinstance(value, dict) else {f"{section}.{key}"}
    for values in RAW["by_dataset"].values():
        found |= {f"by_dataset.${{dataset}}.{section}.{key}" for key in values.get(section, {})}
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_its_section_leaf_by_leaf_and_nothing_of_another(stage: str) -> None:
    declared = set(definition(stage)["params"]) - {"dataset", "experiments"}
    assert {name for name in declared if not name.startswith("experiments.")} == leaves(stage)


def read_attributes(files: Iterable[str]) -> set[str]:
    """Sections of the parameters that source files read."""
    sections = {field.alias or name for name, field in Params.model_fields.items()}
    found: set[str] = set()
    for file in files:
        if "${" in file or not file.endswith(".py") or file in ("stages/params.py", "stages/sections.py"):
            continue
        text = (ROOT / file).read_text()
        # Whatever a file calls them: `config = params.load()`, `loaded, name = params.load(), …`
        names = {"params", *re.findall(r"^\s*(\w+)(?:, \w+)* = \w+\.load\(\)", text, re.MULTILINE)}
        for called in names:
            found |= {name.rstrip("_") for name in re.findall(rf"\b{called}\.([a-z_]+)", text)} & sections
        found |= {"experiments"} if ".experiment(" in text else set()
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_no_section_that_it_does_not_declare(stage: str) -> None:
    declared = {name.split(".")[0] for name in definition(stage)["params"]} - {"by_dataset"}
    assert read_attributes({f"stages/{stage}/__main__.py"}) <= declared
    assert read_attributes(needed_code(stage)) <= declared


@pytest.mark.parametrize("stage", ["balance", "train", "evaluate"])
def test_an_experiment_depends_on_its_own_entry_only(stage: str) -> None:
    named = {name for name in definition(stage)["params"] if name.startswith("experiments.")}
    wanted = {"task", "features"} | ({"model"} if stage == "train" else set())
    assert named == {f"experiments.${{key}}.{leaf}" for leaf in wanted}


def test_no_stage_imports_a_later_one() -> None:
    for index, stage in enumerate(STAGES):
        for file in needed_code(stage):
            owner = Path(file).parts[1]
            assert owner not in STAGES[index + 1 :], f"{stage} uses {file}"


def test_what_opens_recordings_depends_on_the_download_and_on_all_additions() -> None:
    opened = {Paths("${dataset}").raw.as_posix(), ADDED_DIR.as_posix()}
    for stage in STAGES:
        found = opened & set(definition(stage)["deps"])
        assert found == (opened if stage in ("validate", "resample") else set()), stage


def test_a_withdrawal_reaches_what_lays_out_checks_and_places_recordings_of_its_data_set_alone() -> None:
    paths = Paths("${dataset}")
    wanted = {"download": {paths.withdrawn}, "validate": {paths.withdrawn}, "split": {paths.sides}}
    for stage in STAGES:
        found = {dep for dep in definition(stage)["deps"] if dep.startswith(WITHDRAWN_DIR.as_posix())}
        assert found == {path.as_posix() for path in wanted.get(stage, ())}, stage


def test_no_data_set_has_the_name_of_the_additions_folder() -> None:
    assert ADDED_DIR.relative_to(DATA_DIR).as_posix() not in datasets.names()


def test_git_ignores_every_output_and_every_batch_but_not_what_names_a_batch() -> None:
    """Ignored by git before it is there; DVC skips .dvc files that git ignores."""
    paths = Paths("sample")
    batch = paths.added / "0123456789ab"
    ignored = [paths.raw, paths.manifest, paths.split, paths.audio, paths.features("x"), paths.balanced("x"), batch]
    kept = [batch.with_suffix(".dvc"), ADDED_DIR / "README.md", paths.card, paths.version, paths.withdrawn, paths.sides]
    command = ["git", "check-ignore", "--no-index", *map(str, ignored + kept)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(path) for path in ignored]


def test_each_stage_has_a_description() -> None:
    assert all(len(definition(stage)["desc"]) > 10 for stage in STAGES)


def test_no_file_is_a_drawer_for_leftovers() -> None:
    names = {path.stem for folder in ("stages", "flows", "tests", "benchmarks") for path in (ROOT / folder).rglob("*")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}
