"""The evaluation of one experiment: the contents of its folder, and its metrics file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from auscult.core.storage import write_json, write_table, write_text
from auscult.evaluation import plots
from auscult.evaluation.baselines import COLUMNS, TITLES
from auscult.evaluation.bootstrap import (
    DIGITS,
    difference,
    metrics_with_intervals,
    patient_weights,
    resamples_without_a_class,
)
from auscult.evaluation.metrics import Predictions, slug
from auscult.evaluation.predictions import MODEL, UnitPredictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auscult.core.sections import EvaluateParams
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

#: A subgroup with fewer patients is marked as too small.
FEWEST_PATIENTS = 5
#: Age groups: first year and name of each.
AGES = (
    (0, "under 1 year"),
    (1, "1 to 4 years"),
    (5, "5 to 11 years"),
    (12, "12 to 17 years"),
    (18, "18 to 39 years"),
    (40, "40 to 64 years"),
    (65, "65 years and over"),
)
UNKNOWN = "unknown"


def assess(units: UnitPredictions, model: TrainedModel, params: EvaluateParams) -> dict[str, Any]:
    """Return the results on validation, on test and, where there is one, on the exempt part, as plain data.

    No choice of model, threshold or baseline uses the test part. The exempt part (patients that a publisher's split
    has in training and test) is reported apart.
    """
    parts = ["validation", "test"] + (["exempt"] if (units.table["part"] == "exempt").any() else [])
    return {
        "task": model.task.to_json(),
        "intervals": {
            "method": "percentile bootstrap of patients",
            "resamples": params.bootstrap,
            "confidence": params.confidence,
        },
        "parts": {part: _assess_part(units.of_part(part), part, model, params) for part in parts},
    }


def _assess_part(units: UnitPredictions, part: str, model: TrainedModel, params: EvaluateParams) -> dict[str, Any]:
    predictions = units.predictions[MODEL]
    weights = patient_weights(predictions.patients, params.bootstrap, params.seed)
    measured = {
        name: metrics_with_intervals(each, weights, params.confidence, part) for name, each in units.predictions.items()
    }
    classes = range(len(predictions.task.classes))
    result: dict[str, Any] = {
        "units": len(predictions),
        "recordings": int(units.table["recording_id"].nunique()),
        "patients": len(set(predictions.patients)),
        "classes": _class_counts(predictions),
        "resamples_without_a_class": resamples_without_a_class(predictions, weights),
        "metrics": measured[MODEL][0],
        "confusion": confusion_matrix(predictions.y, predictions.predicted, labels=classes).tolist(),
        "baselines": {
            name: {
                "title": title,
                "metrics": measured[name][0],
                "model_minus_this": difference(measured[MODEL], measured[name], params.confidence, predictions),
            }
            for name, title in TITLES.items()
        },
        "subgroups": _by_subgroup(predictions, units.table, params, part),
    }
    if predictions.task.unit == "recording":
        result["per_patient"] = _per_patient(predictions, model, params, part)
    return result


def _class_counts(predictions: Predictions) -> dict[str, int]:
    counts = np.bincount(predictions.y, minlength=len(predictions.task.classes)).tolist()
    return dict(zip(predictions.task.classes, counts, strict=True))


def _by_subgroup(
    predictions: Predictions, table: pd.DataFrame, params: EvaluateParams, part: str
) -> dict[str, list[dict[str, Any]]]:
    """Return units, patients, score and accuracy by device, location, age and sex."""
    result: dict[str, list[dict[str, Any]]] = {}
    for kind, groups in _subgroups(table):
        result[kind] = []
        for name, mask in groups:
            inside = predictions.where(mask)
            patients = len(set(inside.patients))
            normal = int((inside.y == predictions.task.normal_index).sum())
            entry: dict[str, Any] = {"group": name, "units": len(inside), "normal": normal, "patients": patients}
            if patients < FEWEST_PATIENTS:
                entry["note"] = f"too few: {patients} patient{'s' if patients != 1 else ''}"
            weights = patient_weights(inside.patients, params.bootstrap, params.seed)
            metrics, _ = metrics_with_intervals(inside, weights, params.confidence, f"{name} of the {part}")
            entry["score"] = metrics["score"]
            entry["accuracy"] = metrics["accuracy"]
            result[kind].append(entry)
    return result


def _subgroups(table: pd.DataFrame) -> Iterator[tuple[str, list[tuple[str, NDArray[np.bool_]]]]]:
    """Yield each grouping of the units with its groups' names and masks (n,); ages in order, others by name."""
    ages = [age_group(value) for value in table["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)]
    columns = {
        "device": table["device"].fillna(UNKNOWN).to_numpy(dtype=str),
        "location": table["location"].fillna(UNKNOWN).to_numpy(dtype=str),
        "age": np.array(ages),
        "sex": table["sex"].fillna(UNKNOWN).to_numpy(dtype=str),
    }
    order = {name: index for index, (_, name) in enumerate(AGES)} | {UNKNOWN: len(AGES)}
    for kind, values in columns.items():
        names = sorted(set(values.tolist()), key=lambda name: (order.get(name, 0) if kind == "age" else 0, name))
        yield kind, [(name, values == name) for name in names]


def age_group(age_years: float) -> str:
    """Return the name of the age group of an age in years; ``unknown`` for NaN."""
    if not age_years >= 0:
        return UNKNOWN
    return next(name for first, name in reversed(AGES) if age_years >= first)


def _per_patient(predictions: Predictions, model: TrainedModel, params: EvaluateParams, part: str) -> dict[str, Any]:
    """Return the metrics of one prediction per patient: the mean probability over the patient's recordings."""
    patients, mixed = _by_patient(predictions, model)
    weights = patient_weights(patients.patients, params.bootstrap, params.seed)
    metrics, _ = metrics_with_intervals(patients, weights, params.confidence, part)
    result: dict[str, Any] = {"patients": len(patients), "classes": _class_counts(patients), "metrics": metrics}
    if mixed:
        result["note"] = (
            f"{mixed} of {len(patients)} patients have recordings of several classes; each counts as the class of most"
            " of its recordings, and in a tie as abnormal"
        )
    return result


def _by_patient(predictions: Predictions, model: TrainedModel) -> tuple[Predictions, int]:
    """Return one prediction per patient, and how many patients have recordings of several classes."""
    names, codes = np.unique(np.asarray(predictions.patients, dtype=str), return_inverse=True)
    k = len(predictions.task.classes)
    sums, votes = np.zeros((len(names), k)), np.zeros((len(names), k))
    np.add.at(sums, codes, predictions.probabilities)
    np.add.at(votes, (codes, predictions.y), 1.0)
    probabilities = sums / votes.sum(axis=1, keepdims=True)
    mixed = int(((votes > 0).sum(axis=1) > 1).sum())
    votes[:, predictions.task.normal_index] -= 0.5  # a tie counts as abnormal
    y = votes.argmax(axis=1).astype(np.int64)
    decided = model.decide(probabilities)
    return Predictions(predictions.task, y, decided, probabilities, names.astype(object)), mixed


def flat_metrics(part: Mapping[str, Any]) -> dict[str, float]:
    """Return the defined metrics of a part for ``dvc metrics``, with the baselines' scores."""
    flat = {name: metric["value"] for name, metric in part["metrics"].items() if "value" in metric}
    for name, baseline in part["baselines"].items():
        if "value" in baseline["metrics"]["score"]:
            flat[f"{COLUMNS[name]}_score"] = baseline["metrics"]["score"]["value"]
    return {name: round(value, DIGITS) for name, value in flat.items()}


def prediction_columns(task: Task) -> dict[str, tuple[str, str]]:
    """Return the columns of predictions.parquet, which has one row per unit of validation, test and exempt."""
    columns = {
        "unit_id": ("string", "segment_id or recording_id"),
        "recording_id": ("string", "the recording"),
        "patient_id": ("string", "its patient"),
        "part": ("string", "validation, test or exempt"),
        "start_s": ("float64", "start of the segment in the recording; 0 for a recording"),
        "end_s": ("float64", "end of the segment, or the recording's duration"),
        "class_index": ("int64", "true class, as the task numbers them"),
        "predicted": ("int64", "class that the model predicts"),
    }
    columns |= {f"p_{slug(name)}": ("float64", f"probability of {name!r}, calibrated") for name in task.classes}
    columns["loss"] = ("float64", "cross-entropy in nats, -log p(true class)")
    columns |= {
        COLUMNS[name]: ("int64", f"class that the baseline predicts: {title}") for name, title in TITLES.items()
    }
    return columns


def prediction_table(units: UnitPredictions) -> pd.DataFrame:
    """Return the table of :func:`prediction_columns`."""
    table, model = units.table, units.predictions[MODEL]
    out = table[["unit_id", "recording_id", "patient_id", "part", "start_s", "end_s", "class_index"]].copy()
    if model.task.unit == "recording":
        out["start_s"], out["end_s"] = 0.0, table["duration_s"]
    out["predicted"] = model.predicted
    for index, name in enumerate(model.task.classes):
        out[f"p_{slug(name)}"] = model.probabilities[:, index].round(9)
    out["loss"] = model.losses.round(9)
    for name, column in COLUMNS.items():
        out[column] = units.predictions[name].predicted
    return out


def write_evaluation(folder: Path, units: UnitPredictions, evaluation: Mapping[str, Any]) -> None:
    """Write evaluation.json, predictions.parquet, and the test part's curves as CSV and PNG."""
    write_json(folder / "evaluation.json", evaluation)
    columns = prediction_columns(units.predictions[MODEL].task)
    write_table(folder / "predictions.parquet", prediction_table(units), columns)
    test = units.of_part("test").predictions
    for name, curve in (
        ("confusion", plots.confusion_rows(test[MODEL])),
        ("roc", plots.roc_rows(test[MODEL])),
        ("reliability", plots.reliability_rows(test[MODEL])),
    ):
        write_text(folder / f"{name}.csv", curve.to_csv(index=False, lineterminator="\n"))
    plots.draw(folder, test)
