"""``flows/settings.yaml``: read, checked, and refused with the name of the key that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from auscult import settings
from auscult.core.errors import ParameterError
from tests.pipeline.workspace import ROOT, set_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    for name in ("params.yaml", "flows/settings.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_settings_of_the_repository_are_valid(root: Path) -> None:
    params, found = settings.load(root)
    assert set(found.retrain.experiments) <= set(params.experiments)
    assert found.gate.score == "score"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"flows.gate.min_patient": 8}, ["gate.min_patient", "'gate.min_patients'"]),
        ({"flows.gates": {}}, ["gates", "'gate'"]),
        ({"flows.monitor.max_p_value": 2.0}, ["monitor.max_p_value"]),
        ({"flows.retrain.experiments": ["sounds_logmel"]}, ["sounds_logmel", "'sounds_logmel_cnn2d'"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_nearest_right_one(
    root: Path, changes: dict[str, Any], named: list[str]
) -> None:
    set_params(root, changes)
    with pytest.raises(ParameterError) as caught:
        settings.load(root)
    assert all(name in caught.value.what for name in named)
    assert "flows/settings.yaml" in caught.value.where


@pytest.mark.parametrize("text", ["gate: [", "", "[]", "retrain:\n"])
def test_a_damaged_file_is_an_error_of_the_user(root: Path, text: str) -> None:
    (root / "flows/settings.yaml").write_text(text)
    with pytest.raises(ParameterError):
        settings.load(root)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "flows/settings.yaml").unlink()
    with pytest.raises(ParameterError, match=r"flows/settings\.yaml"):
        settings.load(root)


def test_a_section_flows_in_params_yaml_is_refused_with_the_name_of_the_new_file(root: Path) -> None:
    with (root / "params.yaml").open("a") as file:
        file.write("\nflows: {gate: {margin: 0.1}}\n")
    with pytest.raises(ParameterError) as caught:
        settings.load(root)
    assert "flows/settings.yaml" in caught.value.what
