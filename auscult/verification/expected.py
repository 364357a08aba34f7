"""What evaluation.json, the metrics file and the curves must say, from predictions.parquet alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_curve

from auscult.core.tasks import Task
from auscult.verification.agreement import Copied, Given, Words
from auscult.verification.intervals import Measured, Settings, difference, measure
from auscult.verification.metrics import BINS, Floats, Units, bins, slug

#: Baseline in evaluation.json → its columns in predictions.parquet and its name in the metrics file.
BASELINES = {"constant": "constant", "metadata_only": "no_audio", "gradient_boosting": "opponent"}
PARTS = ("validation", "test", "exempt")
#: Parts that the metrics file holds.
IN_METRICS = ("validation", "test")
COHORTS = ("device", "location", "period")
SUBGROUPS = ("device", "location", "period", "age", "sex")
#: Group of age → its first year.
AGES = {
    "under 1 year": 0,
    "1 to 4 years": 1,
    "5 to 11 years": 5,
    "12 to 17 years": 12,
    "18 to 39 years": 18,
    "40 to 64 years": 40,
    "65 years and over": 65,
}
#: Group of units without a value.
UNKNOWN = "unknown"
#: A group of fewer patients has a note with their number.
FEWEST_PATIENTS = 5
FROM_TRAINING = "decision.rules (training; equal to model.json)"

_FIXED = ("unit_id", "recording_id", "patient_id", "part", "fold", "class_index", "predicted", "loss")
_GROUPED_BY = ("device", "location", "period", "age_years", "sex")


def columns(task: Task, cohorts: list[str]) -> list[str]:
    """Return the columns of predictions.parquet that the figures follow from; *cohorts* are those it holds apart."""
    prefixes = ["", *(f"{name}_" for name in BASELINES.values()), *(f"{kind}_" for kind in cohorts)]
    needed = [*_FIXED, *_GROUPED_BY, *BASELINES.values(), *(f"{kind}_predicted" for kind in cohorts)]
    needed += [f"{prefix}p_{slug(label)}" for prefix in prefixes for label in task.classes]
    return needed + ["patient_predicted"] * (task.unit == "recording")


def held_out(table: pd.DataFrame) -> list[str]:
    """Return the kinds of cohort of which the validation part holds several; unknown ones are one cohort."""
    validation = table[table["part"] == "validation"]
    return [kind for kind in COHORTS if validation[kind].fillna(UNKNOWN).nunique() > 1]


@dataclass(frozen=True)
class Recomputed:
    """The figures of one experiment; the layout is that of the files."""

    evaluation: dict[str, Any]
    metrics: dict[str, dict[str, float]]


def recompute(
    table: pd.DataFrame, task: Task, settings: Settings, model: Mapping[str, Any], digests: Mapping[str, str]
) -> Recomputed:
    """Return the content of evaluation.json and of the metrics file.

    Parameters
    ----------
    table
        predictions.parquet.
    model
        model.json: the rules that training has compared, and the chosen one.
    digests
        ``model_sha256`` and ``predictions_sha256``.
    """
    parts, metrics = {}, {}
    for part in PARTS:
        rows = table[table["part"] == part]
        if len(rows) or part in IN_METRICS:
            parts[part], metrics[part] = _part(rows, task, settings)
    rules = {
        rule: {key: Copied(value, FROM_TRAINING) for key, value in entry.items()}
        for rule, entry in model["rules"].items()
    }
    evaluation = {
        **{name: Given() for name in ("experiment", "dataset", "features", "model")},
        **{name: Copied(digest, name) for name, digest in digests.items()},
        "task": task.to_json(),
        "intervals": {name: Given() for name in ("method", "resamples", "seed", "confidence")},
        "decision": {"rule": Copied(model["decision"]["rule"], FROM_TRAINING), "rules": rules},
        "held_out_cohorts": _cohorts(table[table["part"] == "validation"], task, settings),
        "parts": parts,
    }
    return Recomputed(evaluation, {part: metrics[part] for part in IN_METRICS})


def units_of(rows: pd.DataFrame, task: Task, prefix: str = "", predicted: str = "predicted") -> Units:
    """Return the units of a table with the probabilities of columns that begin with *prefix*."""
    probabilities = rows[[f"{prefix}p_{slug(label)}" for label in task.classes]].to_numpy(np.float64)
    y, decided = (rows[name].to_numpy(np.int64) for name in ("class_index", predicted))
    return Units(task, y, decided, probabilities, rows["patient_id"].to_numpy(dtype=str))


def _part(rows: pd.DataFrame, task: Task, settings: Settings) -> tuple[dict[str, Any], dict[str, float]]:
    units = units_of(rows, task)
    model = measure(units, settings)
    baselines = {
        name: measure(units_of(rows, task, f"{column}_", column), settings) for name, column in BASELINES.items()
    }
    content: dict[str, Any] = {
        "units": len(rows),
        "recordings": int(rows["recording_id"].nunique()),
        "patients": int(rows["patient_id"].nunique()),
        "classes": _counts(units),
        "resamples_without_a_class": model.lacking,
        "metrics": model.entries,
        "confusion": confusion_matrix(units.y, units.predicted, labels=range(len(task.classes))).tolist(),
        "baselines": {
            name: {
                "title": Given(),
                "metrics": each.entries,
                "model_minus_this": difference(model, each, units, settings),
            }
            for name, each in baselines.items()
        },
        "subgroups": _subgroups(rows, units, settings),
    }
    if task.unit == "recording":
        content["per_patient"] = _per_patient(rows, units, settings)
    return content, _flat(model, baselines)


def _flat(model: Measured, baselines: Mapping[str, Measured]) -> dict[str, float]:
    """Return the defined metrics of the model and the scores of the baselines, as the metrics file names them."""
    found = model.values | {f"{BASELINES[name]}_score": each.values["score"] for name, each in baselines.items()}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _counts(units: Units) -> dict[str, int]:
    return {label: int((units.y == index).sum()) for index, label in enumerate(units.task.classes)}


def _subgroups(rows: pd.DataFrame, units: Units, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in SUBGROUPS:
        groups = ages(rows["age_years"]) if kind == "age" else rows[kind].fillna(UNKNOWN).to_numpy(dtype=str)
        names = [name for name in (*AGES, UNKNOWN) if name in groups] if kind == "age" else np.unique(groups).tolist()
        found[kind] = [_group(name, units.where(groups == name), settings, ("score", "accuracy")) for name in names]
    return found


def ages(years: pd.Series) -> np.ndarray:
    """Return the name of each age's group."""
    values = years.to_numpy(np.float64, na_value=np.nan)
    names = np.array([*AGES, UNKNOWN])
    position = np.searchsorted(list(AGES.values()), values, side="right") - 1
    known = np.isfinite(values) & (position >= 0)
    return names[np.where(known, position, len(AGES))]


def _cohorts(rows: pd.DataFrame, task: Task, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for kind in held_out(rows):
        units = units_of(rows, task, f"{kind}_", f"{kind}_predicted")
        groups = rows[kind].fillna(UNKNOWN).to_numpy(dtype=str)
        shown = ("score", "accuracy", "calibration_error")
        found[kind] = [
            _group(name, units.where(groups == name), settings, shown) for name in np.unique(groups).tolist()
        ]
    return found


def _group(name: str, units: Units, settings: Settings, shown: tuple[str, ...]) -> dict[str, Any]:
    patients = len(np.unique(units.patients))
    entry: dict[str, Any] = {"group": name, "units": len(units), "normal": int((~units.abnormal).sum())}
    entry["patients"] = patients
    if patients < FEWEST_PATIENTS:
        entry["note"] = Words("too few", (patients,))
    entries = measure(units, settings, of_groups=True).entries
    return entry | {metric: entries[metric] for metric in shown}


def _per_patient(rows: pd.DataFrame, units: Units, settings: Settings) -> dict[str, Any]:
    """Return the figures of one prediction per patient.

    Its probabilities are the mean over the patient's recordings, its class is stored. The patient counts as the class
    of most of its recordings; of equally frequent ones as the first abnormal one.
    """
    names, codes = np.unique(units.patients, return_inverse=True)
    classes = len(units.task.classes)
    votes = np.stack([np.bincount(codes[units.y == index], minlength=len(names)) for index in range(classes)], axis=1)
    sums = np.stack([np.bincount(codes, column, len(names)) for column in units.probabilities.T], axis=1)
    preferred = votes - 0.5 * (np.arange(classes) == units.task.normal_index)
    first = np.unique(codes, return_index=True)[1]
    predicted = rows["patient_predicted"].to_numpy(np.int64)[first]
    means = sums / np.bincount(codes)[:, None]
    patients = Units(units.task, preferred.argmax(axis=1).astype(np.int64), predicted, means, names)
    found = {"patients": len(names), "classes": _counts(patients), "metrics": measure(patients, settings).entries}
    if mixed := int(((votes > 0).sum(axis=1) > 1).sum()):
        found["note"] = Words("", (mixed, len(names)))
    return found


def losses(table: pd.DataFrame, task: Task) -> Floats:
    """Return the column ``loss``: −log of the probability of the true class in nats."""
    return units_of(table, task).losses


def curves(table: pd.DataFrame, task: Task) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    """Yield name, header and rows of each CSV file, of the test part."""
    units = units_of(table[table["part"] == "test"], task)
    names = [[task.classes[true], task.classes[guess]] for true, guess in zip(units.y, units.predicted, strict=True)]
    yield "confusion.csv", ["actual", "predicted"], list(names)
    yield "roc.csv", ["fpr", "tpr", "threshold"], _roc(units)
    p, event = units.event
    inside = bins(p)
    rows = [
        [float(p[inside == index].mean()), float(event[inside == index].mean()), int((inside == index).sum())]
        for index in range(BINS)
        if (inside == index).any()
    ]
    yield "reliability.csv", ["mean_predicted", "observed_fraction", "units"], rows


def _roc(units: Units) -> list[list[float]]:
    """Return the corners of the ROC curve of abnormal; the first threshold is the second plus one."""
    if units.abnormal.all() or not units.abnormal.any():
        return []
    fpr, tpr, threshold = roc_curve(units.abnormal, units.p_abnormal, drop_intermediate=False)
    threshold[0] = threshold[1] + 1.0
    right = np.rint(fpr * (~units.abnormal).sum()).astype(np.int64)
    up = np.rint(tpr * units.abnormal.sum()).astype(np.int64)
    kept: list[int] = []
    for index in range(len(fpr)):
        # A point on the line from the last corner to the next point is none.
        while len(kept) > 1 and _straight(right, up, kept[-2], kept[-1], index):
            kept.pop()
        kept.append(index)
    return [[float(fpr[index]), float(tpr[index]), float(threshold[index])] for index in kept]


def _straight(x: Any, y: Any, first: int, middle: int, last: int) -> bool:
    before, after = (x[middle] - x[first], y[middle] - y[first]), (x[last] - x[middle], y[last] - y[middle])
    return bool(before[0] * after[1] == before[1] * after[0])
