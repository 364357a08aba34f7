"""A combination is fitted out of fold, its folder stands alone, and it is evaluated as any experiment."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from auscult.combination.combined_model import CombinedModel, load_model
from auscult.combination.fitting import KnownRows, combine
from auscult.core import params
from auscult.core.errors import AuscultError, DataError, ParameterError
from auscult.core.paths import Paths
from auscult.core.records import RECORDING_COLUMNS
from auscult.core.storage import read_json, read_table, write_json, write_table
from auscult.evaluation.predictions import predict_units
from auscult.verification.verification import verify
from tests.evaluation.finished_pipeline import TASKS, write_model, write_pipeline

COMBINATIONS: dict[str, dict[str, Any]] = {
    "slid": {"task": "binary", "features": "logmel", "method": "slide", "members": ["abnormal_logmel_cnn2d"]},
    "both": {
        "task": "binary",
        "features": "logmel",
        "method": "ensemble",
        "members": ["binary_logmel_cnn2d", "slid"],
    },
    "beside": {
        "task": "abnormal",
        "features": "logmel",
        "method": "context",
        "members": ["abnormal_logmel_cnn2d", "sounds_logmel_cnn2d"],
    },
}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.chdir(tmp_path)
    found = write_pipeline(tmp_path)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["combinations"] = COMBINATIONS
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return found


def fit_all(paths: Paths) -> dict[str, Any]:
    """Fit the combinations in order; return their descriptions."""
    shutil.rmtree(paths.all_combined, ignore_errors=True)
    known = KnownRows()
    for name in COMBINATIONS:
        combine(paths, paths.all_combined, name, params.load(), known)
    return {name: read_json(paths.all_combined / name / "model.json") for name in COMBINATIONS}


def test_what_predicts_a_fold_does_not_depend_on_the_labels_of_that_fold(paths: Paths) -> None:
    before = fit_all(paths)
    split = read_table(paths.split / "assignment.parquet").set_index("recording_id")
    file = paths.manifest / "recordings.parquet"
    recordings = read_table(file)
    swapped = recordings["recording_id"].map(split["fold"]) == 1
    others = {"COPD": "Healthy", "Healthy": "COPD"}
    recordings.loc[swapped, "label"] = recordings.loc[swapped, "label"].map(others)
    write_table(file, recordings, RECORDING_COLUMNS)
    after = fit_all(paths)
    for fold in range(3):
        ours, theirs = (each["slid"]["folds"][fold] for each in (before, after))
        assert (ours["combined"] == theirs["combined"]) == (fold == 1)
        assert (ours["calibration"] == theirs["calibration"]) is False or fold == 1


def test_what_another_combination_computed_of_rows_changes_nothing(paths: Paths) -> None:
    alone = fit_all(paths)["beside"]
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["combinations"] = {"first": COMBINATIONS["beside"] | {"task": "sounds"}, "beside": COMBINATIONS["beside"]}
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    shutil.rmtree(paths.all_combined)
    known = KnownRows()
    for name in ("first", "beside"):
        combine(paths, paths.all_combined, name, params.load(), known)
    assert read_json(paths.all_combined / "beside" / "model.json") == alone


def test_labels_of_the_test_part_change_nothing(paths: Paths) -> None:
    before = fit_all(paths)
    split = read_table(paths.split / "assignment.parquet").set_index("recording_id")
    file = paths.manifest / "recordings.parquet"
    recordings = read_table(file)
    recordings.loc[recordings["recording_id"].map(split["part"]) == "test", "label"] = "COPD"
    write_table(file, recordings, RECORDING_COLUMNS)
    assert fit_all(paths) == before


def test_its_folder_is_enough_to_predict(paths: Paths, tmp_path: Path) -> None:
    fit_all(paths)
    features = np.load(paths.features("logmel") / "windows.npy")[:6]
    frames = np.full(6, features.shape[2])
    units = np.array([0, 0, 1, 1, 2, 2])
    here = load_model(paths.all_combined / "both")
    assert isinstance(here, CombinedModel) and len(here.members) == 2
    expected = here.probabilities(features, frames, units)
    assert expected.shape == (3, 2) and np.allclose(expected.sum(axis=1), 1.0)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(paths.all_combined / "both", elsewhere)
    shutil.rmtree("models")
    assert np.array_equal(load_model(elsewhere).probabilities(features, frames, units), expected)


def test_its_out_of_fold_score_is_that_of_the_evaluation(paths: Paths) -> None:
    about = fit_all(paths)
    for name in COMBINATIONS:
        units = predict_units(paths, "logmel", load_model(paths.all_combined / name)).of_part("validation")
        found = units.predictions["model"]
        normal = found.y == 0
        right = found.y == found.predicted
        score = (right[normal].mean() + right[~normal].mean()) / 2
        assert score == pytest.approx(about[name]["out_of_fold_score"], abs=1e-12)


def test_a_changed_member_is_refused(paths: Paths) -> None:
    fit_all(paths)
    file = paths.all_combined / "slid" / "members" / "abnormal_logmel_cnn2d" / "model.json"
    about = json.loads(file.read_text())
    about["piece"] += 1
    write_json(file, about)
    with pytest.raises(DataError, match="checksum"):
        load_model(paths.all_combined / "slid")
    file.unlink()
    with pytest.raises(DataError, match="does not exist"):
        load_model(paths.all_combined / "slid")


def test_a_fold_that_no_network_was_trained_without_is_refused(paths: Paths) -> None:
    """Its units would have no out-of-fold prediction: the member's task has no unit in that fold."""
    file = paths.model("abnormal_logmel_cnn2d") / "model.json"
    about = read_json(file)
    about["folds"] = about["folds"][:2]
    write_json(file, about)
    with pytest.raises(AuscultError, match="fold 2"):
        fit_all(paths)


def test_members_of_other_folds_are_refused(paths: Paths) -> None:
    file = paths.model("binary_logmel_cnn2d") / "model.json"
    about = read_json(file)
    about["folds"] = about["folds"][:2]
    write_json(file, about)
    with pytest.raises(AuscultError, match=r"binary_logmel_cnn2d.* fold"):
        fit_all(paths)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": ["nobody"]}, "nobody"),
        ({"members": ["both"]}, "both"),
        ({"features": "mfcc"}, "features"),
        ({"method": "vote"}, "vote"),
        ({"members": []}, "members"),
    ],
)
def test_a_wrong_entry_is_refused(paths: Paths, change: dict[str, Any], words: str) -> None:
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["combinations"]["slid"] |= change
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises((AuscultError, ParameterError), match=words):
        fit_all(paths)


def test_the_report_shows_it_with_its_members(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages import combine as combine_stage
    from stages import evaluate, evaluate_combined, report

    monkeypatch.setattr(sys, "argv", ["stages.combine"])
    combine_stage.main()
    for name in params.load().evaluated:
        monkeypatch.setattr(sys, "argv", ["stages.evaluate", name])
        (evaluate_combined if name in COMBINATIONS else evaluate).main()
    report.main()
    page = (paths.reports / "index.html").read_text()
    assert "both" in page and 'href="#slid"' in page
    summary = (paths.reports / "summary.md").read_text()
    assert all(f"| {name} |" in summary for name in COMBINATIONS)
    assert {task.name for task in TASKS} <= {entry.task for entry in params.load().evaluated.values()}
    every = list(params.load().evaluated)
    verified = verify(paths, every, every, COMBINATIONS)
    assert verified.agrees, str(verified)
    write_model(paths, "binary_logmel_cnn2d", TASKS[0])  # a member that is trained anew leaves the copy as it was
    load_model(paths.all_combined / "both")
