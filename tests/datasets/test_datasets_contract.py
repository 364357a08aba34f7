"""Requirements for every data set; new modules are found by themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from auscult import datasets
from auscult.core import params
from auscult.core.errors import DataError, ParameterError
from auscult.core.tasks import Task, find_task

ROOT = Path(__file__).parents[2]
ROLES = {"binary": "recording", "multiclass": "recording", "abnormal": "segment", "sounds": "segment"}


@pytest.fixture(params=datasets.names())
def dataset(request: pytest.FixtureRequest) -> datasets.Dataset:
    return datasets.load(request.param)


def test_required_attributes_are_set(dataset: datasets.Dataset) -> None:
    for fact in ("name", "title", "citation", "licence", "homepage"):
        value = getattr(dataset, fact)
        assert isinstance(value, str) and value.strip(), fact
    if not dataset.generated:
        assert re.search(r"doi:10\.\d{4,}/\S+", dataset.citation), "the citation has no DOI"
        assert dataset.expected is not None and min(vars(dataset.expected).values()) > 0


def test_the_module_has_the_name_of_the_data_set(dataset: datasets.Dataset) -> None:
    assert dataset.name in datasets.names()
    assert type(dataset).__module__ == f"auscult.datasets.{dataset.name}"


def test_params_have_defaults_for_every_data_set(dataset: datasets.Dataset) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert params.resolve(yaml.safe_load(text) | {"dataset": dataset.name}).dataset == dataset.name


def test_files_have_safe_names_and_https_urls(dataset: datasets.Dataset) -> None:
    names = [file.name for file in dataset.files]
    assert len(set(names)) == len(names)
    for file in dataset.files:
        assert re.fullmatch(r"[\w.-]+", file.name) and file.urls
        assert all(url.startswith("https://") for url in file.urls)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_every_data_set_has_the_four_roles(dataset: datasets.Dataset) -> None:
    units = {task.name: task.unit for task in dataset.tasks}
    assert units.items() >= ROLES.items()
    assert len(units) == len(dataset.tasks)


def test_each_task_maps_known_labels_to_all_its_classes(dataset: datasets.Dataset) -> None:
    for task in dataset.tasks:
        labels = dataset.recording_labels if task.unit == "recording" else dataset.segment_labels
        assert set(task.mapping) <= labels, task.name
        assert {task.class_index(label) for label in labels} - {-1} == set(range(len(task.classes))), task.name
        assert len(task.classes) >= 2 and task.title
        assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_an_unknown_task_is_an_error_that_lists_the_known_ones(dataset: datasets.Dataset) -> None:
    with pytest.raises(ParameterError) as caught:
        find_task("sound", dataset.tasks, dataset=dataset.name, experiment="mine")
    assert all(name in str(caught.value) for name in (*(task.name for task in dataset.tasks), dataset.name, "mine"))


def test_a_folder_without_the_data_set_is_an_error(dataset: datasets.Dataset, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no data set")
    with pytest.raises(DataError) as caught:
        dataset.layout(tmp_path)
    assert dataset.title in str(caught.value) and caught.value.where == str(tmp_path) and caught.value.next_step


def test_loading_a_data_set_imports_no_heavy_library(dataset: datasets.Dataset) -> None:
    heavy = ("torch", "pandas", "numpy", "scipy", "requests", "soundfile", "librosa")
    code = f"import sys; from stages.download import datasets; datasets.load({dataset.name!r})"
    check = f"{code}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_data_set_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'icbhi'"):
        datasets.load("icbih")
