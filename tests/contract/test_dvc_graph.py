"""dvc.yaml against the code: what a stage imports, reads and writes is what it declares."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
import yaml

from auscult import datasets
from auscult.core.paths import ADDED_DIR, CODE, DATA_DIR, WITHDRAWN_DIR, Paths
from auscult.core.sections import Params
from tests.contract.imports import ROOT, imported_files

RAW: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = [
    *("download", "validate", "split", "describe", "resample", "features", "balance", "train", "combine"),
    *("evaluate", "evaluate_combined", "report"),
]
#: Folders whose files are found by name, so no import statement shows them; what each file is called in dvc.yaml.
BY_NAME = {
    "download": ("auscult/datasets", "${dataset}"),
    "validate": ("auscult/datasets", "${dataset}"),
    "train": ("auscult/models", "${item.model}"),
    "evaluate": ("auscult/models", "${item.model}"),
}
#: The same, for a stage that runs all of them.
ALL_BY_NAME = {
    "features": "auscult/features/representations",
    "combine": "auscult/models",
    "evaluate_combined": "auscult/models",
}
#: What only the making of the sample executes.
SYNTHESIS = "auscult/datasets/synthesis/"


def definition(stage: str) -> dict[str, Any]:
    """A stage of dvc.yaml, templates unresolved."""
    entry: dict[str, Any] = GRAPH[stage]
    return entry.get("do", entry)


def declared_code(stage: str) -> set[str]:
    """Files and folders of code that a stage depends on."""
    return {dep for dep in definition(stage)["deps"] if dep.startswith(CODE)}


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


@cache
def needed_code(stage: str) -> frozenset[str]:
    """Files that running a stage executes, whatever the data set, the representation and the model."""
    needed = imported_files(f"stages.{stage}")
    if stage in ALL_BY_NAME:
        files = [path.relative_to(ROOT) for path in (ROOT / ALL_BY_NAME[stage]).glob("[a-z]*.py")]
        needed |= imported_files(*(file.with_suffix("").as_posix().replace("/", ".") for file in files))
    if stage in BY_NAME:
        folder, name = BY_NAME[stage]
        files = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("[a-z]*.py")]
        for file in files:
            needed |= imported_files(file.removesuffix(".py").replace("/", "."))
        needed = needed - set(files) | {f"{folder}/{name}.py"}
        if stage == "validate":
            needed = {file for file in needed if not file.startswith(SYNTHESIS)}
    return frozenset(needed)


def test_every_stage_is_in_the_graph_in_order() -> None:
    assert list(GRAPH) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_a_stage_imports_are_covered_by_its_dependencies(stage: str) -> None:
    declared = declared_code(stage)
    assert {file for file in needed_code(stage) if not any(covers(dep, file) for dep in declared)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_each_dependency_exists_and_is_used(stage: str) -> None:
    for dep in declared_code(stage):
        assert "${" in dep or (ROOT / dep).exists(), f"{stage}: there is no {dep}"
        used = any(covers(dep, file) for file in needed_code(stage)) or dep == "auscult/reporting/templates"
        assert used, f"{stage} does not use {dep}"


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ALL_BY_NAME])
def test_no_stage_depends_on_a_whole_folder_of_files_that_are_found_by_name(stage: str) -> None:
    folders = {folder for folder, _ in BY_NAME.values()}
    assert not [dep for dep in declared_code(stage) if any(covers(dep, folder) for folder in folders)]


def sections(stage: str) -> set[str]:
    """A stage's section of the parameters, and the places that fill its nulls; training has the search ranges."""
    found = {stage.removesuffix("_combined")} & set(RAW) | ({"search.${item.model}"} if stage == "train" else set())
    if stage == "combine":
        found = {"train.decisions"}
    for values in RAW["by_dataset"].values():
        found |= {f"by_dataset.${{dataset}}.{section}" for section in values if section == stage}
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_its_section_and_nothing_of_another(stage: str) -> None:
    declared = set(definition(stage)["params"]) - {"dataset", "experiments", "combinations"}
    assert {name for name in declared if not name.startswith(("experiments.", "combinations."))} == sections(stage)


def read_attributes(files: Iterable[str]) -> set[str]:
    """Sections of the parameters that source files read."""
    known = {field.alias or name for name, field in Params.model_fields.items()}
    found: set[str] = set()
    for file in files:
        if "${" in file or not file.endswith(".py") or file in ("auscult/core/params.py", "auscult/core/sections.py"):
            continue
        text = (ROOT / file).read_text()
        # Whatever a file calls them: `config = params.load()`, `loaded, name = params.load(), …`
        names = {"params", *re.findall(r"^\s*(\w+)(?:, \w+)* = \w+\.load\(\)", text, re.MULTILINE)}
        for called in names:
            found |= {name.rstrip("_") for name in re.findall(rf"\b{called}\.([a-z_]+)", text)} & known
        found |= {"experiments"} if ".experiment(" in text else set()
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_no_section_that_it_does_not_declare(stage: str) -> None:
    declared = {name.split(".")[0] for name in definition(stage)["params"]} - {"by_dataset"}
    if stage in ("evaluate", "evaluate_combined"):
        declared |= {"experiments", "combinations"}  # the features of both are looked up in one place
    assert read_attributes({f"stages/{stage}.py"}) <= declared
    assert read_attributes(needed_code(stage)) <= declared


@pytest.mark.parametrize("stage", ["train", "evaluate", "evaluate_combined"])
def test_an_experiment_depends_on_its_own_entry_only(stage: str) -> None:
    section = "combinations" if stage == "evaluate_combined" else "experiments"
    named = {name for name in definition(stage)["params"] if name.startswith(("experiments.", "combinations."))}
    wanted = {""} if stage == "train" else {".task", ".features"}
    assert named == {f"{section}.${{key}}{leaf}" for leaf in wanted}


def test_features_and_balance_run_once_for_all_experiments() -> None:
    """A new experiment, representation or model needs no change of dvc.yaml."""
    paths = Paths("${dataset}")
    for stage, folder in (("features", paths.all_features), ("balance", paths.all_balanced)):
        assert "foreach" not in GRAPH[stage] and GRAPH[stage]["cmd"] == f"python -m stages.{stage}"
        assert "experiments" in GRAPH[stage]["params"]
        assert GRAPH[stage]["outs"] == [folder.as_posix()]
    assert "auscult/features/representations" in GRAPH["features"]["deps"]
    assert paths.all_features.as_posix() in GRAPH["balance"]["deps"]


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_an_experiment_reads_its_own_representation_and_its_own_synthetic_rows(stage: str) -> None:
    paths = Paths("${dataset}")
    own = {paths.features("${item.features}").as_posix()}
    if stage == "train":
        own.add(paths.balanced("${key}").as_posix())
    made = (paths.all_features.as_posix(), paths.all_balanced.as_posix())
    assert {dep for dep in definition(stage)["deps"] if dep.startswith(made)} == own


def test_what_opens_recordings_depends_on_the_download_and_on_all_additions() -> None:
    opened = {Paths("${dataset}").raw.as_posix(), ADDED_DIR.as_posix()}
    for stage in STAGES:
        found = opened & set(definition(stage)["deps"])
        assert found == (opened if stage in ("validate", "resample") else set()), stage


def test_a_withdrawal_reaches_what_lays_out_checks_and_places_recordings_of_its_data_set_alone() -> None:
    paths = Paths("${dataset}")
    wanted = {"download": {paths.withdrawn}, "validate": {paths.withdrawn}, "split": {paths.pinned_split}}
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
    kept = [
        batch.with_suffix(".dvc"),
        ADDED_DIR / "README.md",
        paths.card,
        paths.version,
        paths.withdrawn,
        paths.pinned_split,
    ]
    command = ["git", "check-ignore", "--no-index", *map(str, ignored + kept)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(path) for path in ignored]


def leaves(section: dict[str, Any], above: str = "") -> Iterable[str]:
    for key, value in section.items():
        yield from leaves(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}"]


def test_the_recipe_that_compares_dvcs_experiments_shows_parameters_and_validation_scores() -> None:
    """DVC names a metric by its file only where several files have it; without the recipe there are 600 columns."""
    (recipe,) = re.findall(r"dvc exp show .*", (ROOT / "README.md").read_text())
    words = shlex.split(recipe)
    drop, keep = (words[words.index(option) + 1] for option in ("--drop", "--keep"))
    parameters = list(leaves(RAW))
    one = Paths("sample").metrics("one").as_posix()
    metrics = [f"{one}:{part}.{name}" for part in ("validation", "test") for name in ("score", "mcc")]
    deps = [dep.replace("${dataset}", "sample") for stage in STAGES for dep in definition(stage)["deps"]]
    columns = [*parameters, *metrics, "validation.recall_both", "test.recall_both", *deps]
    shown = [name for name in columns if not re.match(drop, name) or re.match(keep, name)]
    assert shown == [*parameters, f"{one}:validation.score"]


def test_each_stage_has_a_description() -> None:
    assert all(len(definition(stage)["desc"]) > 10 for stage in STAGES)


def test_no_file_is_a_drawer_for_leftovers() -> None:
    names = {
        path.stem
        for folder in ("auscult", "stages", "flows", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*")
    }
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}
