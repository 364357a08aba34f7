"""Intervals by resampling patients, and the words for what cannot be computed.

Units of one patient are alike, so that the patients, not the units, are drawn with
replacement (cluster bootstrap; Davison & Hinkley 1997, section 3.8); the interval is the percentile one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.core.tasks import Task
from auscult.evaluation.metrics import Answers, Floats, confusions, measure, slug

#: Digits kept of every figure; two runs of one machine agree in all of them.
DIGITS = 6
#: Patients that must stand on each side of a figure for it to get an interval: resampling one or two of them
#: draws the same people again and again, and the interval is narrow for want of people.
FEWEST = 4
_TWO_CLASSES = {"roc_auc", "pr_auc", "roc_auc_abnormal", "pr_auc_abnormal", "mcc"}
_BOTH_SIDES = {"score", "average_score", "harmonic_score", "sprsound_score"}
#: Means over the classes, of two or more; of several classes the areas as well.
_OVER_CLASSES = {"balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"}
_AREAS = {"roc_auc", "pr_auc"}


def patient_weights(patients: Any, resamples: int, seed: int) -> Floats:
    """How often each unit occurs in each resample of the patients.

    Parameters
    ----------
    patients
        Patient of each unit, shape (n,).

    Returns
    -------
    array
        Shape (resamples, n).
    """
    names, codes = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if not len(names):
        return np.zeros((resamples, 0))
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, codes].astype(np.float64)


def figures_with_intervals(
    answers: Answers, weights: Floats, confidence: float, part: str
) -> tuple[dict[str, dict[str, Any]], dict[str, Floats]]:
    """Every figure with its interval as plain data, and its values over the resamples.

    An undefined figure is ``{"undefined": why}``; a defined one has ``value``, and
    ``low``, ``high`` and ``resamples`` (how many of them defined it) or ``no_interval`` (why).
    """
    point = measure(answers, np.ones((1, len(answers))))
    resampled = measure(answers, weights)
    lacking = _lacking(answers, weights)
    for name in _means_over_classes(answers.task):
        # Without one of the part's classes it is the mean of others: another figure.
        resampled[name] = np.where(lacking, np.nan, resampled[name])
    figures: dict[str, dict[str, Any]] = {}
    for name, values in point.items():
        value = float(values[0])
        if not np.isfinite(value):
            figures[name] = {"undefined": why_undefined(name, answers, part)}
        else:
            figures[name] = {"value": round(value, DIGITS), **interval(resampled[name], confidence, answers, name)}
    return figures, resampled


def interval(values: Floats, confidence: float, answers: Answers, name: str) -> dict[str, Any]:
    """Percentile interval of the resamples that define the figure *name*, or why there is none."""
    patients = len(set(answers.patients))
    if patients < FEWEST:
        return {"no_interval": f"no interval: {patients} patient{'s' * (patients != 1)}"}
    for side, chosen in _sides(name, answers):
        people = len(set(answers.patients[chosen]))
        if people < FEWEST:
            return {"no_interval": f"no interval: {side} in {people} patient{'s' * (people != 1)} only"}
    defined = values[np.isfinite(values)]
    if len(defined) < len(values) / 2:
        return {"no_interval": f"no interval: {len(values) - len(defined)} of {len(values)} resamples lack a class"}
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"low": round(float(low), DIGITS), "high": round(float(high), DIGITS), "resamples": len(defined)}


def _sides(name: str, answers: Answers) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The groups of units that a figure compares, by name."""
    task = answers.task
    normal = answers.y == task.normal_index
    if name == "specificity" or name in _BOTH_SIDES | _TWO_CLASSES:
        yield repr(task.normal), normal
    if name in {"sensitivity", "detection_sensitivity"} | _BOTH_SIDES | _TWO_CLASSES:
        yield "what is not normal", ~normal
    for index, label in enumerate(task.classes):
        mine = answers.y == index
        if name in (f"recall_{slug(label)}", f"f1_{slug(label)}") or (name in _means_over_classes(task) and mine.any()):
            yield repr(label), mine
        if name == f"precision_{slug(label)}":
            yield f"the answer {label!r}", answers.predicted == index


def _means_over_classes(task: Task) -> set[str]:
    return _OVER_CLASSES | (_AREAS if len(task.classes) > 2 else set())


def _lacking(answers: Answers, weights: Floats) -> NDArray[np.bool_]:
    """Which resamples hold no unit of a class that the part does hold, shape (resamples,)."""
    held = np.unique(answers.y)
    counts = confusions(answers, weights).sum(axis=2)[:, held]
    lacking: NDArray[np.bool_] = (counts == 0).any(axis=1)
    return lacking


def difference(
    model: tuple[Mapping[str, Any], Mapping[str, Floats]],
    other: tuple[Mapping[str, Any], Mapping[str, Floats]],
    confidence: float,
    answers: Answers,
    name: str = "score",
) -> dict[str, Any]:
    """Model minus other in one figure, over the same resamples of the same patients.

    *model* and *other* are results of :func:`figures_with_intervals` with the same weights.
    """
    mine, theirs = model[0][name], other[0][name]
    if "undefined" in mine:
        return {"undefined": mine["undefined"]}
    value = round(mine["value"] - theirs["value"], DIGITS)
    return {"value": value, **interval(model[1][name] - other[1][name], confidence, answers, name)}


def resamples_without_a_class(answers: Answers, weights: Floats) -> int:
    """In how many resamples a class is absent that the part does hold; means over classes leave them out."""
    return int(_lacking(answers, weights).sum())


def why_undefined(name: str, answers: Answers, part: str) -> str:
    """Why a figure cannot be computed for these answers, in words."""
    classes, task = set(answers.y.tolist()), answers.task
    if not classes:
        return f"undefined: the {part} part is empty"
    if name in _TWO_CLASSES | _BOTH_SIDES and len(classes) == 1:
        return f"undefined: one class in the {part} part"
    if name == "mcc":
        return "undefined: every answer is the same class"
    if name == "specificity" or (name in _BOTH_SIDES and task.normal_index not in classes):
        return f"undefined: no {task.normal!r} in the {part} part"
    if name in {"sensitivity", "detection_sensitivity"} | _BOTH_SIDES | _TWO_CLASSES:
        return f"undefined: one side of normal against abnormal is missing in the {part} part"
    for index, label in enumerate(task.classes):
        if name.partition("_")[2] == slug(label):
            return (
                f"undefined: {label!r} was never answered"
                if index in classes
                else f"undefined: no {label!r} in the {part} part"
            )
    return f"undefined in the {part} part"
