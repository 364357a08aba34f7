"""The evaluation of one experiment: the contents of its folder, and its metrics file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from auscult.core.cohorts import COHORTS
from auscult.core.digests import file_sha256
from auscult.core.storage import write_json, write_table, write_text
from auscult.evaluation import plots
from auscult.evaluation.baselines import COLUMNS, TITLES
from auscult.evaluation.bootstrap import DIGITS, difference, lack_a_class, metrics_with_intervals, patient_weights
from auscult.evaluation.metrics import Predictions, slug
from auscult.evaluation.predictions import DECIMALS, MODEL, UNKNOWN, UnitPredictions, patient_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auscult.core.sections import EvaluateParams
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

#: A subgroup with fewer patients is marked as too small.
FEWEST_PATIENTS = 5
#: Age group → its first year.
AGES = {
    "under 1 year": 0,
    "1 to 4 years": 1,
    "5 to 11 years": 5,
    "12 to 17 years": 12,
    "18 to 39 years": 18,
    "40 to 64 years": 40,
    "65 years and over": 65,
}


def assess(units: UnitPredictions, model: TrainedModel, params: EvaluateParams) -> dict[str, Any]:
    """Return the results on validation (out of fold), test and, where there is one, the exempt part, as plain data.

    No choice of model, threshold or baseline uses the test part, and what is shown on validation was predicted by
    what was fitted on the other folds. The exempt part (patients that a publisher's split
    has in training and test) is reported apart.
    """
    parts = ["validation", "test"] + (["exempt"] if (units.table["part"] == "exempt").any() else [])
    return {
        "task": model.task.to_json(),
        "intervals": {
            "method": "bootstrap of patients, expanded percentiles or Student's t",
            "resamples": params.bootstrap,
            "seed": params.seed,
            "confidence": params.confidence,
        },
        "decision": {"rule": model.fitted.decision.rule, "rules": model.about["rules"]},
        "held_out_cohorts": _by_cohort(units.of_part("validation"), params),
        "parts": {part: _assess_part(units.of_part(part), part, params) for part in parts},
    }


def _assess_part(units: UnitPredictions, part: str, params: EvaluateParams) -> dict[str, Any]:
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
        "resamples_without_a_class": int(lack_a_class(predictions, weights).sum()),
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
    if units.by_patient is not None:
        result["per_patient"] = _per_patient(predictions, units.by_patient, params, part)
    return result


def _class_counts(predictions: Predictions) -> dict[str, int]:
    counts = np.bincount(predictions.y, minlength=len(predictions.task.classes)).tolist()
    return dict(zip(predictions.task.classes, counts, strict=True))


def _by_subgroup(
    predictions: Predictions, table: pd.DataFrame, params: EvaluateParams, part: str
) -> dict[str, list[dict[str, Any]]]:
    """Return units, patients, score and accuracy by device, location, period, age and sex; ages in order."""
    kinds = {
        "device": table["device"],
        "location": table["location"],
        "period": table["period"],
        "age": age_groups(table["age_years"]),
        "sex": table["sex"],
    }
    ages = [*AGES, UNKNOWN]
    result: dict[str, list[dict[str, Any]]] = {}
    for kind, column in kinds.items():
        values = column.fillna(UNKNOWN).to_numpy(dtype=str)
        names = sorted(set(values.tolist()), key=ages.index if kind == "age" else None)
        result[kind] = [_subgroup(predictions.where(values == name), name, params, part) for name in names]
    return result


def _by_cohort(units: UnitPredictions, params: EvaluateParams) -> dict[str, list[dict[str, Any]]]:
    """Return kind of cohort → one entry per cohort of the development part, decided by what the others taught.

    The networks are those of the folds: they have seen other patients of the cohort, but calibration and thresholds
    have not. A part that holds out a whole cohort: ``split.test``.
    """
    result = {}
    for column, predictions in units.cohorts.items():
        values = units.table[column].fillna(UNKNOWN).to_numpy(dtype=str)
        result[column] = [
            _subgroup(predictions.where(values == name), name, params, "validation", calibration=True)
            for name in sorted(set(values.tolist()))
        ]
    return result


def _subgroup(
    predictions: Predictions, name: str, params: EvaluateParams, part: str, *, calibration: bool = False
) -> dict[str, Any]:
    patients = len(set(predictions.patients))
    normal = int((predictions.y == predictions.task.normal_index).sum())
    entry: dict[str, Any] = {"group": name, "units": len(predictions), "normal": normal, "patients": patients}
    if patients < FEWEST_PATIENTS:
        entry["note"] = f"too few: {patients} patient{'s' if patients != 1 else ''}"
    weights = patient_weights(predictions.patients, params.bootstrap, params.seed)
    metrics, _ = metrics_with_intervals(predictions, weights, params.confidence, f"{name} of the {part}")
    shown = ("score", "accuracy", "calibration_error") if calibration else ("score", "accuracy")
    return entry | {metric: metrics[metric] for metric in shown}


def age_groups(age_years: pd.Series) -> pd.Series:
    """Return the name of each age's group; ``unknown`` for a missing age."""
    ages = pd.Series(age_years.to_numpy(dtype=np.float64, na_value=np.nan))
    return pd.cut(ages, [*AGES.values(), np.inf], right=False, labels=list(AGES)).astype(object).fillna(UNKNOWN)


def _per_patient(
    predictions: Predictions, decided: NDArray[np.int64], params: EvaluateParams, part: str
) -> dict[str, Any]:
    """Return the metrics of one prediction per patient: the mean probability over the patient's recordings."""
    patients, mixed = _by_patient(predictions, decided)
    weights = patient_weights(patients.patients, params.bootstrap, params.seed)
    metrics, _ = metrics_with_intervals(patients, weights, params.confidence, part)
    result: dict[str, Any] = {"patients": len(patients), "classes": _class_counts(patients), "metrics": metrics}
    if mixed:
        result["note"] = (
            f"{mixed} of {len(patients)} patients have recordings of several classes; each counts as the class of most"
            " of its recordings, and in a tie as abnormal"
        )
    return result


def _by_patient(predictions: Predictions, decided: NDArray[np.int64]) -> tuple[Predictions, int]:
    """Return one prediction per patient, and how many patients have recordings of several classes.

    *decided* is the class of each unit's patient, shape (n,).
    """
    names, codes, probabilities = patient_means(predictions)
    votes = np.zeros((len(names), len(predictions.task.classes)))
    np.add.at(votes, (codes, predictions.y), 1.0)
    mixed = int(((votes > 0).sum(axis=1) > 1).sum())
    votes[:, predictions.task.normal_index] -= 0.5  # a tie counts as abnormal
    y = votes.argmax(axis=1).astype(np.int64)
    of_patient = np.zeros(len(names), dtype=np.int64)
    of_patient[codes] = decided
    return Predictions(predictions.task, y, of_patient, probabilities, names), mixed


def flat_metrics(part: Mapping[str, Any]) -> dict[str, float]:
    """Return the defined metrics of a part for ``dvc metrics``, with the baselines' scores."""
    flat = {name: metric["value"] for name, metric in part["metrics"].items() if "value" in metric}
    for name, baseline in part["baselines"].items():
        if "value" in baseline["metrics"]["score"]:
            flat[f"{COLUMNS[name]}_score"] = baseline["metrics"]["score"]["value"]
    return {name: round(value, DIGITS) for name, value in flat.items()}


def prediction_columns(task: Task, cohorts: Sequence[str] = COHORTS) -> dict[str, tuple[str, str]]:
    """Return the columns of predictions.parquet, which has one row per unit of validation, test and exempt.

    They give every figure of evaluation.json again (``auscult verify``), but those that training has measured.

    Parameters
    ----------
    cohorts
        Kinds of cohort of which the development part holds several.
    """
    columns = {
        "unit_id": ("string", "segment_id or recording_id"),
        "recording_id": ("string", "the recording"),
        "patient_id": ("string", "its patient"),
        "part": ("string", "validation (development patients, predicted out of fold), test or exempt"),
        "fold": ("int64", "fold of a development patient, -1 elsewhere"),
        "start_s": ("float64", "start of the segment in the recording; 0 for a recording"),
        "end_s": ("float64", "end of the segment, or the recording's duration"),
        "device": ("string", "device of the recording; empty if unknown"),
        "location": ("string", "location on the chest; empty if unknown"),
        "period": ("string", "period of the recording; empty if unknown"),
        "age_years": ("float64", "age of the patient; empty if unknown"),
        "sex": ("string", "sex of the patient; empty if unknown"),
        "class_index": ("int64", "true class, as the task numbers them"),
        "predicted": ("int64", "class that the model predicts"),
    }
    columns |= {f"p_{slug(name)}": ("float64", f"probability of {name!r}, calibrated") for name in task.classes}
    columns["loss"] = ("float64", "cross-entropy in nats, -log p(true class)")
    columns |= {
        COLUMNS[name]: ("int64", f"class that the baseline predicts: {title}") for name, title in TITLES.items()
    }
    for name, title in TITLES.items():
        for label in task.classes:
            columns[f"{COLUMNS[name]}_p_{slug(label)}"] = ("float64", f"its probability of {label!r}: {title}")
    if task.unit == "recording":
        columns["patient_predicted"] = (
            "int64",
            "class that the model predicts for the patient",
        )
    for kind in cohorts:
        what = f"where calibration and decision come from the other cohorts by {kind}; empty outside validation"
        columns[f"{kind}_predicted"] = ("Int64", f"class that the model predicts {what}")
        for label in task.classes:
            columns[f"{kind}_p_{slug(label)}"] = ("float64", f"probability of {label!r} {what}")
    return columns


def prediction_table(units: UnitPredictions) -> pd.DataFrame:
    """Return the table of :func:`prediction_columns`."""
    table, model = units.table, units.predictions[MODEL]
    columns = prediction_columns(model.task, list(units.cohorts))
    out = table[[name for name in columns if name in table.columns]].copy()
    if model.task.unit == "recording":
        out["start_s"], out["end_s"] = 0.0, table["duration_s"]
    out["predicted"] = model.predicted
    out["loss"] = model.losses.round(DECIMALS)
    for name, column in COLUMNS.items():
        out[column] = units.predictions[name].predicted
    if units.by_patient is not None:
        out["patient_predicted"] = units.by_patient
    validation = table["part"] == "validation"
    for kind, predictions in units.cohorts.items():
        out[f"{kind}_predicted"] = pd.Series(predictions.predicted, index=out.index, dtype="Int64").where(validation)
    probabilities = {"": model} | {f"{COLUMNS[name]}_": units.predictions[name] for name in COLUMNS}
    probabilities |= {f"{kind}_": predictions for kind, predictions in units.cohorts.items()}
    for prefix, predictions in probabilities.items():
        for index, name in enumerate(model.task.classes):
            out[f"{prefix}p_{slug(name)}"] = predictions.probabilities[:, index].round(DECIMALS)
    out.loc[~validation, [f"{kind}_p_{slug(name)}" for kind in units.cohorts for name in model.task.classes]] = np.nan
    return out[list(columns)]


def write_evaluation(folder: Path, units: UnitPredictions, evaluation: Mapping[str, Any]) -> None:
    """Write predictions.parquet, evaluation.json with its digest, and the test part's curves as CSV and PNG."""
    table = folder / "predictions.parquet"
    columns = prediction_columns(units.predictions[MODEL].task, list(units.cohorts))
    write_table(table, prediction_table(units), columns)
    write_json(folder / "evaluation.json", {**evaluation, "predictions_sha256": file_sha256(table)})
    test = units.of_part("test").predictions
    for curve in (plots.confusion, plots.roc, plots.reliability):
        table_of_curve = curve(test[MODEL]).round(6)
        write_text(folder / f"{curve.__name__}.csv", table_of_curve.to_csv(index=False, lineterminator="\n"))
    plots.draw(folder, test)
