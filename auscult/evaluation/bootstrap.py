"""Confidence intervals by resampling patients, and why a metric or an interval is missing.

The report, the gate and the comparison of two revisions take their intervals from here. Units of one patient are
alike, so patients, not units, are drawn with replacement (cluster bootstrap; Davison & Hinkley 1997, section 3.8).

With few patients the interval of the percentile bootstrap is too narrow: its spread is that of a sample variance with n
in the denominator, and its tails are those of the normal distribution. Quantiles further out correct this ("expanded
percentile interval": T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69
(2015), section 5.1.3). Few patients also have few different resamples, so that at a high confidence quantiles end too
early: where Student's t reaches further, it is the interval's end. No interval leaves the range of its metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from auscult.core.tasks import Task
from auscult.evaluation.metrics import PUBLISHED, Floats, Predictions, confusions, limits, measure, slug

#: Decimals of every written metric; two runs on one machine agree in all of them.
DIGITS = 6
#: Patients that each group of units needs for an interval: with one or two, resampling draws the same patients again
#: and again, and the interval is too narrow.
FEWEST = 4
_TWO_CLASSES = {"roc_auc", "pr_auc", "roc_auc_abnormal", "pr_auc_abnormal", "mcc"}
_NORMAL_AND_ABNORMAL = {"score", *PUBLISHED}
#: Means over the classes; with more than two classes, the areas as well.
_OVER_CLASSES = {"balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"}
_AREAS = {"roc_auc", "pr_auc"}


def patient_weights(patients: Any, resamples: int, seed: int, among: Any = None) -> Floats:
    """Return how often each unit occurs in each bootstrap resample of the patients.

    Parameters
    ----------
    patients
        Patient of each unit, shape (n,).
    among
        The patients who are drawn, in any order; by default those of the units. Units of several experiments have the
        same patients in a resample if this is the same.

    Returns
    -------
    array
        Shape (resamples, n).
    """
    patients = np.asarray(patients, dtype=str)
    names = np.unique(patients if among is None else np.asarray(among, dtype=str))
    if not len(names):
        return np.zeros((resamples, 0))
    codes = np.searchsorted(names, patients)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, codes].astype(np.float64)


def metrics_with_intervals(
    predictions: Predictions, weights: Floats, confidence: float, part: str
) -> tuple[dict[str, dict[str, Any]], dict[str, Floats]]:
    """Return every metric with its interval as plain data, and its values over the resamples.

    An undefined metric is ``{"undefined": reason}``. A defined one has ``value``, and either ``low``, ``high`` and
    ``resamples`` (how many resamples define it) or ``no_interval`` (the reason).
    """
    point = measure(predictions, np.ones((1, len(predictions))))
    resampled = measure(predictions, weights)
    lacking = lack_a_class(predictions, weights)
    for name in _means_over_classes(predictions.task):
        # In a resample without one of the part's classes it would be a mean over other classes: another metric.
        resampled[name] = np.where(lacking, np.nan, resampled[name])
    metrics: dict[str, dict[str, Any]] = {}
    for name, values in point.items():
        value = float(values[0])
        if np.isfinite(value):
            found = interval(value, resampled[name], confidence, predictions, name)
            metrics[name] = {"value": round(value, DIGITS), **found}
        else:
            metrics[name] = {"undefined": _why_undefined(name, predictions, part)}
    return metrics, resampled


def interval(
    value: float, resampled: Floats, confidence: float, predictions: Predictions, name: str, *, paired: bool = False
) -> dict[str, Any]:
    """Return the interval of a metric, or of a difference, as plain data, or why there is none.

    Parameters
    ----------
    value
        The metric *name* of *predictions*; *paired*: a difference of that metric between two models on their units.
    resampled
        The same over the resamples, shape (b,); NaN where it is undefined.
    """
    if reason := no_interval(resampled, predictions, name):
        return {"no_interval": reason}
    defined = resampled[np.isfinite(resampled)]
    patients = min(_patients(mask, predictions) for _, mask in _groups(name, predictions))
    tail = expanded_tail(confidence, patients)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    student = np.sqrt(patients / (patients - 1)) * stdtrit(patients - 1, (1.0 + confidence) / 2.0) * np.std(defined)
    lowest, highest = limits(name, len(predictions.task.classes))
    if paired:
        lowest, highest = lowest - highest, highest - lowest
    low, high = max(min(low, value - student), lowest), min(max(high, value + student), highest)
    return {"low": round(float(low), DIGITS), "high": round(float(high), DIGITS), "resamples": len(defined)}


def no_interval(resampled: Floats, predictions: Predictions, name: str) -> str:
    """Return why the metric *name* has no interval, or an empty string."""
    for group, mask in _groups(name, predictions):
        count = _patients(mask, predictions)
        if count < FEWEST:
            number = f"{count} patient{'s' * (count != 1)}"
            return f"no interval: {f'{group} in {number} only' if group else number}"
    defined = int(np.isfinite(resampled).sum())
    if defined < len(resampled) / 2:
        return f"no interval: {len(resampled) - defined} of {len(resampled)} resamples lack a class"
    return ""


def expanded_tail(confidence: float, patients: int) -> float:
    """Return the share of the resamples beyond each end: Φ(−√(n/(n−1)) · t), t a quantile of Student's with n − 1.

    Parameters
    ----------
    patients
        n: that of the smallest group of units that the metric needs.
    """
    quantile = float(stdtrit(patients - 1, (1.0 + confidence) / 2.0))
    return float(ndtr(-np.sqrt(patients / (patients - 1)) * quantile))


def count_patients(predictions: Predictions) -> tuple[int, int]:
    """Return how many patients have normal units, and how many have abnormal ones."""
    normal = predictions.y == predictions.task.normal_index
    return _patients(normal, predictions), _patients(~normal, predictions)


def _patients(mask: NDArray[np.bool_], predictions: Predictions) -> int:
    return len(set(np.asarray(predictions.patients, dtype=str)[mask]))


def _groups(name: str, predictions: Predictions) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the groups of units that a metric needs: the group's name and its mask, shape (n,); first all units, ""."""
    task = predictions.task
    normal = predictions.y == task.normal_index
    yield "", np.ones(len(predictions), dtype=bool)
    if name == "specificity" or name in _NORMAL_AND_ABNORMAL | _TWO_CLASSES:
        yield repr(task.normal), normal
    if name in {"sensitivity", "detection_sensitivity"} | _NORMAL_AND_ABNORMAL | _TWO_CLASSES:
        left_out = [task.classes.index(label) for label in task.unscored] if name in PUBLISHED else []
        yield "abnormal", ~normal & ~np.isin(predictions.y, left_out)
    for index, label in enumerate(task.classes):
        true = predictions.y == index
        if name in (f"recall_{slug(label)}", f"f1_{slug(label)}") or (name in _means_over_classes(task) and true.any()):
            yield repr(label), true
        if name == f"precision_{slug(label)}":
            yield f"the prediction {label!r}", predictions.predicted == index


def _means_over_classes(task: Task) -> set[str]:
    return _OVER_CLASSES | (_AREAS if len(task.classes) > 2 else set())


def lack_a_class(predictions: Predictions, weights: Floats) -> NDArray[np.bool_]:
    """Return which resamples lack a class that the part holds, shape (resamples,); means over classes omit them."""
    present = np.unique(predictions.y)
    counts = confusions(predictions, weights).sum(axis=2)[:, present]
    lacking: NDArray[np.bool_] = (counts == 0).any(axis=1)
    return lacking


def difference(
    model: tuple[Mapping[str, Any], Mapping[str, Floats]],
    other: tuple[Mapping[str, Any], Mapping[str, Floats]],
    confidence: float,
    predictions: Predictions,
    name: str = "score",
) -> dict[str, Any]:
    """Return a metric of model minus that of other, paired over the same resamples of the same patients.

    *model* and *other* are results of :func:`metrics_with_intervals` with the same weights.
    """
    ours, theirs = model[0][name], other[0][name]
    for each in (ours, theirs):
        if "undefined" in each:
            return {"undefined": each["undefined"]}
    value = round(ours["value"] - theirs["value"], DIGITS)
    moved = model[1][name] - other[1][name]
    return {"value": value, **interval(value, moved, confidence, predictions, name, paired=True)}


def _why_undefined(name: str, predictions: Predictions, part: str) -> str:
    classes, task = set(predictions.y.tolist()), predictions.task
    if not classes:
        return f"undefined: the {part} part is empty"
    if name in _TWO_CLASSES | _NORMAL_AND_ABNORMAL and len(classes) == 1:
        return f"undefined: one class in the {part} part"
    if name == "mcc":
        return "undefined: every prediction is the same class"
    if name == "specificity" or (name in _NORMAL_AND_ABNORMAL and task.normal_index not in classes):
        return f"undefined: no {task.normal!r} in the {part} part"
    if name in {"sensitivity", "detection_sensitivity"} | _NORMAL_AND_ABNORMAL | _TWO_CLASSES:
        return f"undefined: no normal or no abnormal unit in the {part} part"
    for index, label in enumerate(task.classes):
        if name.partition("_")[2] == slug(label):
            return (
                f"undefined: {label!r} was never predicted"
                if index in classes
                else f"undefined: no {label!r} in the {part} part"
            )
    return f"undefined in the {part} part"
