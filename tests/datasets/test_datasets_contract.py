"""What every data set's file must hold; a new file is taken up by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from auscult import datasets
from auscult.core import params
from auscult.core.errors import DataError, ParameterError
from auscult.core.tasks import Task, find_task

ROOT = Path(__file__).parents[2]
ROLES = {"binary": "recording", "multiclass": "recording", "abnormal": "segment", "sounds": "segment"}


@pytest.fixture(params=datasets.names())
def dataset(request: pytest.FixtureRequest) -> datasets.Dataset:
    return datasets.load(request.param)


def test_it_states_its_facts(dataset: datasets.Dataset) -> None:
    for fact in ("name", "title", "citation", "licence", "homepage"):
        value = getattr(dataset, fact)
        assert isinstance(value, str) and value.strip(), fact
    if not dataset.generated:
        assert re.search(r"doi:10\.\d{4,}/\S+", dataset.citation), "the citation lacks its DOI"
        assert dataset.expected is not None and min(vars(dataset.expected).values()) > 0


def test_its_file_has_its_name(dataset: datasets.Dataset) -> None:
    assert dataset.name in datasets.names()
    assert type(dataset).__module__ == f"auscult.datasets.{dataset.name}"


def test_params_have_defaults_for_it(dataset: datasets.Dataset) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    import yaml

    assert params.resolve(yaml.safe_load(text) | {"dataset": dataset.name}).dataset == dataset.name


def test_its_files_are_named_safely_and_served_by_https(dataset: datasets.Dataset) -> None:
    names = [file.name for file in dataset.files]
    assert len(set(names)) == len(names)
    for file in dataset.files:
        assert re.fullmatch(r"[\w.-]+", file.name) and file.urls
        assert all(url.startswith("https://") for url in file.urls)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_it_fills_the_four_roles(dataset: datasets.Dataset) -> None:
    units = {task.name: task.unit for task in dataset.tasks}
    assert units.items() >= ROLES.items()
    assert len(units) == len(dataset.tasks)


def test_each_task_maps_known_labels_onto_all_its_classes(dataset: datasets.Dataset) -> None:
    for task in dataset.tasks:
        labels = dataset.recording_labels if task.unit == "recording" else dataset.segment_labels
        assert set(task.mapping) <= labels, task.name
        assert {task.class_index(label) for label in labels} - {-1} == set(range(len(task.classes))), task.name
        assert len(task.classes) >= 2 and task.title
        assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_a_task_that_it_does_not_serve_is_refused_with_those_it_does(dataset: datasets.Dataset) -> None:
    with pytest.raises(ParameterError) as caught:
        find_task("sound", dataset.tasks, dataset=dataset.name, experiment="mine")
    assert all(name in str(caught.value) for name in (*datasets.task_names(dataset.tasks), dataset.name, "mine"))


def test_a_folder_that_is_something_else_is_refused_in_words(dataset: datasets.Dataset, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    with pytest.raises(DataError) as caught:
        dataset.layout(tmp_path)
    assert dataset.title in str(caught.value) and caught.value.where == str(tmp_path) and caught.value.next_step


def test_loading_it_opens_no_heavy_library(dataset: datasets.Dataset) -> None:
    import subprocess
    import sys

    heavy = ("torch", "pandas", "numpy", "scipy", "requests", "soundfile", "librosa")
    code = f"import sys; from stages.download import datasets; datasets.load({dataset.name!r})"
    check = f"{code}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_data_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'icbhi'"):
        datasets.load("icbih")
