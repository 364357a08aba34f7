"""The stage evaluate: the files it writes, and that no choice uses the test part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auscult.core import params
from auscult.core.digests import file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table, write_table
from auscult.evaluation.assessment import assess
from auscult.evaluation.predictions import predict_units
from auscult.training.trained_model import TrainedModel
from stages.evaluate import main
from tests.evaluation import finished_pipeline as made

SOUNDS, ABNORMAL, BINARY = "sounds_logmel_cnn2d", "abnormal_logmel_cnn2d", "binary_logmel_cnn2d"


def evaluate(experiment: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("sys.argv", ["evaluate", experiment])
    main()
    return read(experiment)


def read(experiment: str) -> dict[str, Any]:
    evaluation: dict[str, Any] = read_json(Paths("sample").evaluation(experiment) / "evaluation.json")
    return evaluation


def undefined_or_number(metric: dict[str, Any]) -> bool:
    return ("undefined" in metric) != ("value" in metric)


@pytest.mark.parametrize("experiment", [SOUNDS, BINARY])
def test_all_files_are_written_and_every_metric_is_a_number_or_undefined(experiment: str, evaluated: Paths) -> None:
    evaluation = read(experiment)
    written = {path.name for path in evaluated.evaluation(experiment).iterdir()}
    plots = {f"{name}.{ending}" for name in ("confusion", "roc", "reliability") for ending in ("csv", "png")}
    assert written == plots | {"evaluation.json", "predictions.parquet"}
    assert set(evaluation["parts"]) == {"validation", "test", "exempt"}
    for part in evaluation["parts"].values():
        assert all(undefined_or_number(metric) for metric in part["metrics"].values())
        assert set(part["baselines"]) == {"constant", "metadata_only", "gradient_boosting"}
    metrics = read_json(evaluated.metrics(experiment))
    assert set(metrics) == {"validation", "test"}
    assert all(isinstance(value, float) for part in metrics.values() for value in part.values())
    assert metrics["test"]["constant_score"] == 0.5
    assert metrics["test"]["opponent_score"] == pytest.approx(
        evaluation["parts"]["test"]["baselines"]["gradient_boosting"]["metrics"]["score"]["value"]
    )


def test_predictions_cover_every_unit(evaluated: Paths) -> None:
    evaluation = read(SOUNDS)
    table = read_table(evaluated.evaluation(SOUNDS) / "predictions.parquet")
    assert set(table["part"]) == {"validation", "test", "exempt"}
    assert sorted(table["unit_id"]) == sorted(read_table(evaluated.manifest / "segments.parquet")["segment_id"])
    assert (table["part"] == "validation").sum() == evaluation["parts"]["validation"]["units"]
    split = read_table(evaluated.split / "assignment.parquet").set_index("recording_id")["fold"]
    assert table["fold"].tolist() == table["recording_id"].map(split).tolist()
    assert ((table["part"] == "validation") == (table["fold"] >= 0)).all()
    assert (table["part"] == "test").sum() == evaluation["parts"]["test"]["units"] == 64
    probabilities = table[[f"p_{name}" for name in made.SOUNDS]].to_numpy()
    assert np.allclose(probabilities.sum(axis=1), 1)
    true = probabilities[np.arange(len(table)), table["class_index"]]
    assert np.allclose(table["loss"], -np.log(true), atol=1e-6)


def test_the_probability_of_a_recording_is_the_mean_over_its_windows(evaluated: Paths) -> None:
    evaluation = read(BINARY)
    table = read_table(evaluated.evaluation(BINARY) / "predictions.parquet").set_index("unit_id")
    model = TrainedModel.load(evaluated.model(BINARY))
    windows = read_table(evaluated.features("logmel") / "windows.parquet")
    array = np.load(evaluated.features("logmel") / "windows.npy")
    own = (windows["recording_id"] == "101_0").to_numpy()
    raw = model.raw(array[own], windows.loc[own, "frames"].to_numpy())
    assert table.loc["101_0", "p_diseased"] == pytest.approx(raw.mean(axis=(0, 1))[1], abs=1e-6), "of three networks"
    own = (windows["recording_id"] == "103_0").to_numpy()
    fold = int(table.loc["103_0", "fold"])
    raw = model.raw(array[own], windows.loc[own, "frames"].to_numpy())
    assert table.loc["103_0", "p_diseased"] == pytest.approx(raw[fold].mean(axis=0)[1], abs=1e-6), "of one network"
    assert evaluation["parts"]["test"]["per_patient"]["patients"] == 8


def scramble_test_labels(paths: Paths) -> None:
    """Give every segment and recording of the test part another label."""
    split = read_table(paths.split / "assignment.parquet")
    test = set(split.loc[split["part"] == "test", "recording_id"])
    rng = np.random.default_rng(1)
    for name, labels in (("segments", made.SOUNDS), ("recordings", ("COPD", "Healthy"))):
        path = paths.manifest / f"{name}.parquet"
        table = read_table(path)
        inside = table["recording_id"].isin(test)
        table.loc[inside, "label"] = rng.choice(labels, int(inside.sum()))
        write_table(path, table, made.records.SEGMENT_COLUMNS if name == "segments" else made.records.RECORDING_COLUMNS)


@pytest.mark.parametrize("experiment", [ABNORMAL, BINARY])
def test_scrambled_test_labels_change_no_decision_of_model_or_baseline(
    experiment: str, evaluated_root: Path, pipeline: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_table(evaluated_root / pipeline.evaluation(experiment) / "predictions.parquet")
    scramble_test_labels(pipeline)
    evaluate(experiment, monkeypatch)
    after = read_table(pipeline.evaluation(experiment) / "predictions.parquet")
    assert not before["class_index"].equals(after["class_index"])
    decisions = [c for c in before if c == "predicted" or c.startswith("p_")] + ["constant", "no_audio", "opponent"]
    pd.testing.assert_frame_equal(before[decisions], after[decisions])


def test_a_second_run_with_another_number_of_threads_writes_the_same_bytes(
    pipeline: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threadpoolctl import threadpool_limits

    contents = []
    for threads in (1, 4):
        with threadpool_limits(limits=threads):
            evaluate(ABNORMAL, monkeypatch)
        files = sorted(pipeline.evaluation(ABNORMAL).iterdir())
        contents.append({path.name: path.read_bytes() for path in [*files, pipeline.metrics(ABNORMAL)]})
    assert contents[0] == contents[1]


def test_gradient_boosting_learns_from_the_features_and_the_metadata_only_baseline_cannot(evaluated: Paths) -> None:
    baselines = read(ABNORMAL)["parts"]["test"]["baselines"]
    assert baselines["gradient_boosting"]["metrics"]["score"]["value"] > 0.8
    assert baselines["metadata_only"]["metrics"]["score"]["value"] < 0.75


def test_metrics_are_undefined_when_the_test_part_has_one_class(
    pipeline: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pipeline.manifest / "recordings.parquet"
    table = read_table(path)
    table["label"] = np.where(
        [made.part_of(int(p) - 100) == "test" for p in table["patient_id"]], "COPD", table["label"]
    )
    write_table(path, table, made.records.RECORDING_COLUMNS)
    test = evaluate(BINARY, monkeypatch)["parts"]["test"]
    assert test["metrics"]["roc_auc"] == {"undefined": "undefined: one class in the test part"}
    assert test["baselines"]["metadata_only"]["model_minus_this"] == {
        "undefined": "undefined: one class in the test part"
    }
    assert "roc_auc" not in read_json(pipeline.metrics(BINARY))["test"]
    assert "NaN" not in (pipeline.evaluation(BINARY) / "evaluation.json").read_text()


def test_subgroups_with_few_patients_carry_a_note(evaluated: Paths) -> None:
    groups = read(SOUNDS)["parts"]["test"]["subgroups"]
    meditron = next(entry for entry in groups["device"] if entry["group"] == "Meditron")
    assert meditron["note"] == "too few: 2 patients"
    assert sum(entry["units"] for entry in groups["age"]) == 64
    assert "unknown" in {entry["group"] for entry in groups["location"]}


def test_patients_with_recordings_of_two_classes_are_counted(pipeline: Paths) -> None:
    path = pipeline.manifest / "recordings.parquet"
    table = read_table(path)
    table.loc[table["recording_id"] == "101_0", "label"] = "Healthy"  # 101_1 stays diseased
    write_table(path, table, made.records.RECORDING_COLUMNS)
    model = TrainedModel.load(pipeline.model(BINARY))
    found = assess(predict_units(pipeline, "logmel", model), model, params.load().evaluate)["parts"]["test"][
        "per_patient"
    ]
    assert found["note"].startswith("1 of 8 patients")


def test_an_unknown_experiment_is_refused(pipeline: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuscultError, match="unknown experiment 'sound'"):
        evaluate("sound", monkeypatch)


def test_an_empty_test_part_is_an_error(pipeline: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pipeline.split / "assignment.parquet"
    table = read_table(path)
    table["part"] = table["part"].replace("test", "development")
    table["fold"] = table["fold"].clip(lower=0)
    write_table(path, table, made.records.ASSIGNMENT_COLUMNS)
    with pytest.raises(AuscultError, match="the test part holds no segment"):
        evaluate(SOUNDS, monkeypatch)
    assert not pipeline.evaluation(SOUNDS).exists()


def test_the_csv_files_have_the_columns_that_dvc_plots_reads(evaluated: Paths) -> None:
    folder: Path = evaluated.evaluation(SOUNDS)
    assert (folder / "confusion.csv").read_text().startswith("actual,predicted\n")
    roc = pd.read_csv(folder / "roc.csv")
    assert roc[["fpr", "tpr"]].iloc[[0, -1]].to_numpy().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert roc["fpr"].is_monotonic_increasing
    assert roc["tpr"].is_monotonic_increasing
    assert json.loads((folder / "evaluation.json").read_text())["task"]["name"] == "sounds"


def test_a_split_with_other_folds_than_the_model_is_an_error(pipeline: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pipeline.split / "assignment.parquet"
    table = read_table(path)
    table["fold"] = table["fold"].where(table["fold"] != 2, 7)
    write_table(path, table, made.records.ASSIGNMENT_COLUMNS)
    with pytest.raises(AuscultError, match="no network for fold 7") as caught:
        evaluate(SOUNDS, monkeypatch)
    assert "dvc repro train@" in caught.value.next_step


def test_the_predictions_give_baselines_cohorts_and_patients_again(evaluated: Paths) -> None:
    table = read_table(evaluated.evaluation(BINARY) / "predictions.parquet")
    evaluation, validation = read(BINARY), table["part"] == "validation"
    assert evaluation["predictions_sha256"] == file_sha256(evaluated.evaluation(BINARY) / "predictions.parquet")
    assert evaluation["intervals"]["seed"] == params.load().evaluate.seed
    for kind in evaluation["held_out_cohorts"]:
        columns = table[[f"{kind}_predicted", f"{kind}_p_healthy", f"{kind}_p_diseased"]]
        assert columns[validation].notna().all(axis=None)
        assert columns[~validation].isna().all(axis=None)
    p = table.loc[validation, "opponent_p_diseased"].to_numpy()
    brier = evaluation["parts"]["validation"]["baselines"]["gradient_boosting"]["metrics"]["brier"]["value"]
    assert np.square(p - table.loc[validation, "class_index"]).mean() == pytest.approx(brier, abs=1e-6)
    patients = table[table["part"] == "test"].drop_duplicates("patient_id")
    right = (patients["patient_predicted"] == patients["class_index"]).mean()
    assert right == pytest.approx(evaluation["parts"]["test"]["per_patient"]["metrics"]["accuracy"]["value"], abs=1e-6)


def test_cohorts_of_the_development_part_are_reported_apart(evaluated: Paths) -> None:
    evaluation = read(SOUNDS)
    cohorts, units = evaluation["held_out_cohorts"], evaluation["parts"]["validation"]["units"]
    assert [entry["group"] for entry in cohorts["device"]] == ["AKGC417L", "Meditron"]
    assert [entry["group"] for entry in cohorts["period"]] == [f"period {number}" for number in range(1, 5)]
    assert {sum(entry["units"] for entry in entries) for entries in cohorts.values()} == {units}


def test_a_cohort_is_decided_by_what_the_other_cohorts_taught(pipeline: Paths) -> None:
    model = TrainedModel.load(pipeline.model(SOUNDS))
    before = predict_units(pipeline, "logmel", model)
    own = ((before.table["device"] == "Meditron") & (before.table["part"] == "validation")).to_numpy()
    others = ((before.table["device"] != "Meditron") & (before.table["part"] == "validation")).to_numpy()
    path = pipeline.manifest / "segments.parquet"
    segments = read_table(path)
    mine = segments["segment_id"].isin(before.table.loc[own, "unit_id"])
    segments.loc[mine, "label"] = segments.loc[mine, "label"].map(
        dict(zip(made.SOUNDS, made.SOUNDS[::-1], strict=True))
    )
    write_table(path, segments, made.records.SEGMENT_COLUMNS)
    after = predict_units(pipeline, "logmel", model)
    assert not before.table.loc[own, "class_index"].equals(after.table.loc[own, "class_index"])
    first, second = (each.cohorts["device"].probabilities for each in (before, after))
    np.testing.assert_array_equal(first[own], second[own])
    assert np.abs(first[others] - second[others]).max() > 1e-3
