"""Paired differences of every metric, head minus base, with intervals over patients and over retrainings.

The predictions of base and head for the same units are weighted with the same resamples of patients
(:func:`auscult.evaluation.bootstrap.patient_weights`) and evaluated with this checkout's metrics. If the model files
differ, another seed alone would have moved both models: the interval covers that too
(:func:`auscult.registry.gate.noise.cover_retraining`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.comparison.document import Limit, Mark, Metric, Part, PartName
from auscult.core.tasks import Task
from auscult.evaluation.baselines import COLUMNS
from auscult.evaluation.bootstrap import (
    DIGITS,
    count_patients,
    interval,
    metrics_with_intervals,
    no_interval,
    patient_weights,
)
from auscult.evaluation.metrics import Predictions, confusions, slug
from auscult.registry.gate.noise import NOT_MEASURED, Noise, cover_retraining
from auscult.registry.gate.rule import Check, checks
from auscult.reporting import scale
from auscult.settings import GateSettings

LOWER_IS_BETTER = frozenset({"brier", "log_loss", "calibration_error"})
#: Columns with the baselines' predictions for the same units; only their score is compared.
BASELINES = tuple(COLUMNS.values())
#: Columns that must be equal, besides the probabilities, for predictions to be the same.
_EQUAL_COLUMNS = ("patient_id", "start_s", "end_s", "class_index", "predicted")
#: Metrics that differ by less agree: predictions are stored with nine digits, metrics with six.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Evaluated:
    """The evaluated model of one experiment in one revision.

    Attributes
    ----------
    task
        What is predicted.
    table
        ``predictions.parquet``: the columns of :func:`auscult.evaluation.assessment.prediction_columns`.
    model
        Digest of ``model.json``, which holds the checksums of the weights; empty where there is none.
    in_git
        Part → metric → value of the metrics file in git. Empty where it could not be read, or where it belongs to the
        current code and parameters: then it may come from another machine.
    why_outdated
        Why the file in git may differ from this pipeline's.
    size_mb
        Size of the weights; None where there are none.
    """

    task: Task
    table: pd.DataFrame
    model: str
    in_git: Mapping[str, Mapping[str, float]]
    why_outdated: str = ""
    size_mb: float | None = None

    def of_part(self, part: str) -> pd.DataFrame:
        """Return the units of one part."""
        return self.table[self.table["part"] == part]


@dataclass(frozen=True)
class Method:
    """How an interval is computed.

    Attributes
    ----------
    confidence
        Of one interval, after the experiments have shared the allowed error.
    min_patients
        With normal and with abnormal units each; with fewer there is no interval.
    gate
        The gate's settings, whose limits are checked; None: they are not.
    """

    confidence: float
    resamples: int
    seed: int
    min_patients: int
    gate: GateSettings | None = None


#: Values without intervals.
POINT_ESTIMATES = Method(confidence=0.95, resamples=1, seed=0, min_patients=0)


@dataclass(frozen=True)
class _Measured:
    """Metrics of one model: values, or why undefined; and their values over the resamples."""

    predictions: Predictions
    metrics: Mapping[str, Mapping[str, Any]]
    resampled: Mapping[str, NDArray[np.float64]]


def compare(part: PartName, base: Evaluated, head: Evaluated, noise: Noise, method: Method, *, same: bool) -> Part:
    """Compare one part of one experiment.

    Parameters
    ----------
    same
        Base and head have the same model with the same predictions.
    """
    base_table, head_table = base.of_part(part), head.of_part(part)
    base_common, head_common = aligned(base, head, base_table, head_table)
    old, new = _measure(base, base_common, part, method), _measure(head, head_common, part, method)
    names = dict.fromkeys([*new.metrics, *old.metrics])
    metrics = [_metric(name, part, old, new, noise, method, same=same) for name in names]
    return Part(
        part,
        len(base_table),
        len(head_table),
        len(head_common),
        int(head_common["patient_id"].nunique()),
        head.task.classes,
        tuple(metrics),
        _confusion(old.predictions) if base.task.classes == head.task.classes else (),
        _confusion(new.predictions),
    )


def single(part: PartName, evaluated: Evaluated, absent: Literal["base", "head"]) -> Part:
    """Return one part of an experiment that only one revision has; *absent* is the other one."""
    both = compare(part, evaluated, evaluated, NOT_MEASURED, POINT_ESTIMATES, same=True)
    no_value: dict[str, Any] = {absent: None}
    no_units: dict[str, Any] = {f"{absent}_units": 0, f"{absent}_confusion": ()}
    return replace(both, metrics=tuple(replace(m, mark="unknown", **no_value) for m in both.metrics), **no_units)


def missed_limits(base: Evaluated | None, head: Evaluated, settings: GateSettings | None) -> tuple[Limit, ...]:
    """Return the limits for which the gate would refuse head's model: what it misses on its test units.

    With fewer test patients than the gate needs it decides nothing, so nothing is missed.
    """
    if settings is None or min(count_patients(predictions_of(head, head.of_part("test")))) < settings.min_patients:
        return ()
    before = {each.name: each.value for each in _checks(base, settings)} if base is not None else {}
    return tuple(
        Limit(each.name, before.get(each.name), each.value, each.limit, each.at_least)
        for each in _checks(head, settings)
        if each.missed
    )


def _checks(evaluated: Evaluated, settings: GateSettings) -> list[Check]:
    """Return the gate's checks that are defined; the latency is not measured in a comparison."""
    costs = {} if evaluated.size_mb is None else {"size_mb": evaluated.size_mb}
    found = checks(predictions_of(evaluated, evaluated.of_part("test")), settings, costs)
    return [replace(each, value=round(each.value, DIGITS)) for each in found if np.isfinite(each.value)]


def equal_predictions(base: Evaluated, head: Evaluated) -> bool:
    """Return whether base and head have the same units with the same predictions."""
    columns = [*_probabilities(head), *_EQUAL_COLUMNS, *(name for name in BASELINES if name in head.table)]
    if base.task != head.task or any(column not in base.table for column in columns):
        return False
    old, new = (
        each.table.sort_values(["part", "unit_id"])[["part", "unit_id", *columns]].reset_index(drop=True)
        for each in (base, head)
    )
    return bool(old.equals(new))


def disagreements(evaluated: Evaluated) -> Iterator[str]:
    """Yield how the metrics file in git differs from the metrics of the predictions, a sentence per part and kind."""
    because = f"; cause: {evaluated.why_outdated}" if evaluated.why_outdated else ""
    for part, recorded in evaluated.in_git.items():
        found = _measure(evaluated, evaluated.of_part(part), part, POINT_ESTIMATES).metrics
        values = {name: entry["value"] for name, entry in found.items() if "value" in entry}
        distance = {name: abs(recorded[name] - values[name]) for name in recorded if name in values}
        apart = {name: far for name, far in distance.items() if far > TOLERANCE}
        if apart:
            worst = max(apart, key=lambda name: apart[name])
            yield (
                f"{len(apart)} {part} metrics in git differ from those of this pipeline; largest difference: {worst},"
                f" {scale.shown(worst, recorded[worst])} in git, {scale.shown(worst, values[worst])} here{because}"
            )
        if only_one := sorted(set(recorded) ^ set(values)):
            yield (
                f"{len(only_one)} {part} metrics are only in git or only in this pipeline, for example"
                f" {only_one[0]}{because}"
            )


def aligned(
    base: Evaluated, head: Evaluated, old: pd.DataFrame, new: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the units that both tables have with the same label, in one order; classes are matched by name."""
    old, new = _keyed(base, old), _keyed(head, new)
    both = old.index.intersection(new.index)
    old, new = old.loc[both], new.loc[both]
    # Patients are head's in both tables, so that the same ones are drawn.
    return old.assign(patient_id=new["patient_id"].to_numpy()), new


def _keyed(evaluated: Evaluated, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table, sorted and indexed by what identifies a unit in both revisions.

    A segment's ``unit_id`` counts the segments of its recording, so a new annotation renames all segments after it. A
    segment is therefore identified by its recording and its times in milliseconds.
    """
    table = table.sort_values("unit_id")
    label = np.array(evaluated.task.classes, dtype=object)[table["class_index"].to_numpy()]
    if evaluated.task.unit == "segment":
        times = {name: (table[name] * 1000.0).round().astype("int64") for name in ("start_s", "end_s")}
        keys = table[["recording_id"]].assign(**times, label=label)
    else:
        keys = table[["unit_id"]].assign(label=label)
    keys["number"] = keys.groupby(list(keys.columns)).cumcount()  # segments with equal times and label
    return table.set_index([keys[name] for name in keys.columns]).sort_index()


def _probabilities(evaluated: Evaluated) -> list[str]:
    return [f"p_{slug(name)}" for name in evaluated.task.classes]


def predictions_of(evaluated: Evaluated, table: pd.DataFrame, column: str = "predicted") -> Predictions:
    """Return the predictions in a table of units: those of the model, or of a baseline by its column."""
    predicted = table[column].to_numpy(dtype=np.int64)
    probabilities = table[_probabilities(evaluated)].to_numpy(dtype=np.float64)
    if column != "predicted":
        probabilities = np.eye(len(evaluated.task.classes))[predicted]
    y, patients = table["class_index"].to_numpy(dtype=np.int64), table["patient_id"].to_numpy(dtype=object)
    return Predictions(evaluated.task, y, predicted, probabilities, patients)


def _measure(evaluated: Evaluated, table: pd.DataFrame, part: str, method: Method) -> _Measured:
    predictions = predictions_of(evaluated, table)
    weights = patient_weights(predictions.patients, method.resamples, method.seed)
    metrics, resampled = metrics_with_intervals(predictions, weights, method.confidence, part)
    for name in BASELINES:
        if name in table:
            baseline = predictions_of(evaluated, table, name)
            values, over = metrics_with_intervals(baseline, weights, method.confidence, part)
            metrics[f"{name}_score"], resampled[f"{name}_score"] = values["score"], over["score"]
    return _Measured(predictions, metrics, resampled)


def _metric(
    name: str, part: PartName, base: _Measured, head: _Measured, noise: Noise, method: Method, *, same: bool
) -> Metric:
    old, new = (each.metrics.get(name, {"undefined": "not a metric of this task"}) for each in (base, head))
    values = (old.get("value"), new.get("value"))
    if values[0] is None or values[1] is None:
        note = old.get("undefined") or new.get("undefined") or ""
        return Metric(name, *values, None, None, "unknown", str(note))
    if same:
        return Metric(name, *values, None, None, "same", "")
    moved = head.resampled[name] - base.resampled[name]
    measured = "score" if name.removesuffix("_score") in BASELINES else name
    reason = no_interval_because(measured, moved, head.predictions, method)
    spread = noise.of(part, name)
    if reason or spread is None:
        return Metric(name, *values, None, None, "unknown", reason or "no interval: its seed variance is not known")
    difference = values[1] - values[0]
    ends = interval(difference, moved, method.confidence, head.predictions, measured, paired=True)
    found = {"value": difference, **ends}
    classes = len(head.predictions.task.classes)
    found = cover_retraining(found, moved, method.confidence, measured, classes, spread)
    low, high = found["low"], found["high"]
    return Metric(name, *values, low, high, mark_of(name, low, high), "", found["noticeable"])


def no_interval_because(name: str, moved: NDArray[np.float64], predictions: Predictions, method: Method) -> str:
    """Return why there is no interval, or an empty string."""
    if method.resamples == POINT_ESTIMATES.resamples:
        return "no interval: head's settings of the comparison cannot be read"
    normal, abnormal = count_patients(predictions)
    if min(normal, abnormal) < method.min_patients:
        return (
            f"no interval: {normal} patients with normal, {abnormal} with abnormal {predictions.task.unit}s;"
            f" {method.min_patients} of each are needed"
        )
    return no_interval(moved, predictions, name)


def mark_of(name: str, low: float, high: float) -> Mark:
    """Return whether the interval of a metric's difference excludes zero, and in which direction."""
    if low <= 0.0 <= high:
        return "within noise"
    return "better" if (low > 0.0) != (name in LOWER_IS_BETTER) else "worse"


def _confusion(predictions: Predictions) -> tuple[tuple[int, ...], ...]:
    counts = confusions(predictions, np.ones((1, len(predictions))))[0].astype(int)
    return tuple(tuple(int(cell) for cell in row) for row in counts)
