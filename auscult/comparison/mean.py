"""The difference of the mean score over experiments: it shows a loss that all of them share.

A mistake in a filter, in an augmentation or in labels makes many experiments worse. Seeds move them independently of
each other, so the mean moves by chance much less than each of them, and a loss that hides in the noise of every single
experiment shows in the mean. Combinations are left out: they are made of the same trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auscult.comparison.differences import (
    POINT_ESTIMATES,
    Evaluated,
    Method,
    aligned,
    mark_of,
    no_interval_because,
    predictions_of,
)
from auscult.comparison.document import Experiment, Metric, Part, PartName, shorten
from auscult.evaluation.bootstrap import DIGITS, count_patients, interval, patient_weights
from auscult.evaluation.metrics import Predictions, score
from auscult.registry.gate.noise import PARTS, Noise, cover_retraining, spread_of_mean

Pairs = Mapping[str, tuple[Evaluated, Evaluated]]
#: So many experiments have a mean that says more than each of them.
FEWEST = 2
_NOTE = "the score of the single experiments, averaged; the same patients are drawn for all"


class _Scores(NamedTuple):
    """Scores of base and head on the units that both have, and head minus base over the resamples, shape (b,)."""

    base: float
    head: float
    moved: NDArray[np.float64]
    predictions: Predictions


def is_defined(pairs: Pairs, method: Method) -> bool:
    """Return whether there is a mean: of two experiments or more, where settings ask for intervals."""
    return len(pairs) >= FEWEST and method.resamples != POINT_ESTIMATES.resamples


def mean_of(pairs: Pairs, noise: Mapping[str, Noise], method: Method) -> Experiment | None:
    """Return the comparison of the mean score, as an experiment with one metric; None where there is no mean.

    Parameters
    ----------
    pairs
        Name of an experiment → its models in base and head, which differ and have the same classes.
    noise
        The seed variance of each of them.
    """
    if not is_defined(pairs, method):
        return None
    parts = tuple(_part(part, pairs, noise, method) for part in PARTS)
    kinds = {noise[name].kind for name in pairs}
    kind = next(each for each in ("not measured", "pooled", "measured", "same model") if each in kinds)
    return Experiment(f"mean of {len(pairs)} experiments", "", "compared", kind, _NOTE, parts)


def _part(part: PartName, pairs: Pairs, noise: Mapping[str, Noise], method: Method) -> Part:
    common = {}
    for name, (old, new) in pairs.items():
        old_table, new_table = aligned(old, new, old.of_part(part), new.of_part(part))
        common[name] = predictions_of(old, old_table), predictions_of(new, new_table)
    patients = {str(patient) for _, head in common.values() for patient in head.patients}
    units = sum(len(head) for _, head in common.values())
    found = {}
    for name, (base, head) in common.items():
        weights = patient_weights(head.patients, method.resamples, method.seed, among=sorted(patients))
        found[name] = _Scores(_score(base), _score(head), score(head, weights) - score(base, weights), head)
    metric = _metric(part, found, [noise[name] for name in pairs], method)
    return Part(part, units, units, units, len(patients), (), (metric,), (), ())


def _score(predictions: Predictions) -> float:
    return float(score(predictions, np.ones((1, len(predictions))))[0])


def _metric(part: PartName, found: Mapping[str, _Scores], noise: Sequence[Noise], method: Method) -> Metric:
    """Return the mean score; it has an interval if every experiment's score has one."""
    base, head = (float(np.mean([getattr(each, which) for each in found.values()])) for which in ("base", "head"))
    if not np.isfinite([base, head]).all():
        return Metric("score", None, None, None, None, "unknown", "undefined for an experiment")
    base, head = round(base, DIGITS), round(head, DIGITS)
    for name, each in found.items():
        if reason := no_interval_because("score", each.moved, each.predictions, method):
            return Metric("score", base, head, None, None, "unknown", shorten(f"{name}: {reason}"))
    spread = spread_of_mean(noise, part, "score")
    if spread is None:
        return Metric("score", base, head, None, None, "unknown", "no interval: its seed variance is not known")
    moved = np.mean([each.moved for each in found.values()], axis=0)
    # The interval is as cautious as that of the experiment with the fewest patients in a group.
    fewest = min((each.predictions for each in found.values()), key=lambda given: min(count_patients(given)))
    difference = head - base
    ends = interval(difference, moved, method.confidence, fewest, "score", paired=True)
    if "no_interval" in ends:  # each experiment may lack a class in other resamples
        return Metric("score", base, head, None, None, "unknown", ends["no_interval"])
    ends = cover_retraining({"value": difference, **ends}, moved, method.confidence, "score", 2, spread)
    low, high = ends["low"], ends["high"]
    return Metric("score", base, head, low, high, mark_of("score", low, high), "", ends["noticeable"])
