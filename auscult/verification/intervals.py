"""Confidence intervals, from the description of the procedure.

Procedure
---------
Patients are drawn, never units. The patients of the units in question are sorted by id as text. NumPy's
``default_rng(seed)`` (PCG64) draws ``multinomial(P, [1/P, …, 1/P])`` once with ``size=resamples``: row b says how often
each of the P patients is in resample b, with all of its units each time. Every set of units (a part, a subgroup, a
cohort, the patients of a part) starts a new generator with the same seed, so the models of one set share its resamples.

A metric that some resamples leave undefined is taken over the others; a mean over classes is undefined in a resample
that lacks one of the classes that occur. n is the number of patients in the smallest group of units that the metric
needs: all units; for sensitivities, specificity, scores, areas and MCC also the normal or the abnormal ones; for a
class's own recall and F1 the units of the class, for its precision those predicted as it; for means over classes those
of each class that occurs. Below four patients in a group, or with fewer than half of the resamples left, there is no
interval.

Let t be the quantile of Student's distribution with n − 1 degrees of freedom at (1 + confidence) / 2, and
q = Φ(−√(n / (n − 1)) · t). The interval reaches from the quantile q to the quantile 1 − q of the resamples (linear
interpolation), and at least √(n / (n − 1)) · t standard deviations of the resamples (divided by their number) from the
value to each side; it is cut to the range of the metric. A difference of two models is taken per resample; its value is
the difference of the two written scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from auscult.verification.agreement import DECIMALS, Words
from auscult.verification.metrics import Floats, Mask, Units, lacks_a_class, point, resampled, slug

FEWEST = 4
_SIDES = {"score", "average_score", "harmonic_score", "sprsound_score"}
_SIDES |= {"roc_auc", "pr_auc", "roc_auc_abnormal", "pr_auc_abnormal", "mcc"}
_OVER_CLASSES = {"balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"}


@dataclass(frozen=True)
class Settings:
    """What evaluation.json says of its intervals: number of resamples, seed of the generator, confidence (0 to 1)."""

    resamples: int
    seed: int
    confidence: float

    def draw(self, units: Units) -> Floats:
        """Return how often each patient is in each resample, shape (resamples, patients)."""
        return _draw(self.seed, len(np.unique(units.patients)), self.resamples)


@lru_cache(maxsize=32)
def _draw(seed: int, patients: int, resamples: int) -> Floats:
    shares = np.full(patients, 1 / patients)
    return np.random.default_rng(seed).multinomial(patients, shares, size=resamples).astype(np.float64)


@dataclass(frozen=True)
class Measured:
    """Metrics of one set of units.

    Attributes
    ----------
    entries
        Metric → what evaluation.json holds of it.
    values
        Metric → its value, NaN if undefined.
    resamples
        Metric → its values over the resamples, shape (resamples,).
    lacking
        Resamples without one of the classes.
    """

    entries: dict[str, dict[str, Any]]
    values: dict[str, float]
    resamples: dict[str, Floats]
    lacking: int


def measure(units: Units, settings: Settings, *, of_groups: bool = False) -> Measured:
    """Return the metrics of units with their intervals; *of_groups*: the few that subgroups and cohorts show."""
    drawn = settings.draw(units)
    values, samples = point(units, of_groups=of_groups), resampled(units, drawn, of_groups=of_groups)
    entries = {
        name: {"undefined": Words("undefined")}
        if np.isnan(value)
        else {"value": value, **interval(name, value, samples[name], units, settings)}
        for name, value in values.items()
    }
    return Measured(entries, values, samples, int(lacks_a_class(units, drawn).sum()))


def difference(model: Measured, other: Measured, units: Units, settings: Settings) -> dict[str, Any]:
    """Return what evaluation.json holds of the score of a model minus that of another on the same units."""
    if np.isnan(model.values["score"]) or np.isnan(other.values["score"]):
        return {"undefined": Words("undefined")}
    value = round(round(model.values["score"], DECIMALS) - round(other.values["score"], DECIMALS), DECIMALS)
    moved = model.resamples["score"] - other.resamples["score"]
    return {"value": value, **interval("score", value, moved, units, settings, paired=True)}


def interval(
    name: str, value: float, samples: Floats, units: Units, settings: Settings, *, paired: bool = False
) -> dict[str, Any]:
    """Return the interval of a metric, or of a difference (*paired*), or the reason why there is none."""
    counts = [len(np.unique(units.patients[mask])) for mask in _groups(name, units)]
    for count in counts:
        if count < FEWEST:
            return {"no_interval": Words("no interval", (count,))}
    defined = samples[~np.isnan(samples)]
    if len(defined) < len(samples) / 2:
        return {"no_interval": Words("no interval", (len(samples) - len(defined), len(samples)))}
    n = min(counts)
    reach = np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + settings.confidence) / 2)
    tail = ndtr(-reach)
    lowest, highest = _range(name, len(units.task.classes))
    if paired:
        lowest, highest = lowest - highest, highest - lowest
    spread = reach * defined.std()
    low = max(lowest, min(float(np.quantile(defined, tail)), value - spread))
    high = min(highest, max(float(np.quantile(defined, 1 - tail)), value + spread))
    return {"low": float(low), "high": float(high), "resamples": len(defined)}


def _groups(name: str, units: Units) -> Iterator[Mask]:
    """Yield the masks of the groups of units that a metric needs; the order decides which reason is given first."""
    task = units.task
    yield np.ones(len(units), dtype=bool)
    if name == "specificity" or name in _SIDES:
        yield ~units.abnormal
    if name in ("sensitivity", "detection_sensitivity") or name in _SIDES:
        left_out = [i for i, label in enumerate(task.classes) if label in task.unscored]
        published = name in ("average_score", "harmonic_score", "sprsound_score")
        yield units.abnormal & ~np.isin(units.y, left_out) if published else units.abnormal
    means = _OVER_CLASSES | ({"roc_auc", "pr_auc"} if len(task.classes) > 2 else set())
    for index, label in enumerate(task.classes):
        own = units.y == index
        if name in (f"recall_{slug(label)}", f"f1_{slug(label)}") or (name in means and own.any()):
            yield own
        if name == f"precision_{slug(label)}":
            yield units.predicted == index


def _range(name: str, classes: int) -> tuple[float, float]:
    if name == "mcc":
        return -1.0, 1.0
    if name == "log_loss":
        return 0.0, np.inf
    return 0.0, 2.0 if name == "brier" and classes > 2 else 1.0
