"""How much a retraining alone moves a metric, and the interval of a difference that covers it.

``auscult measure seed-variance`` trains each experiment with several seeds and writes the standard deviations of its
metrics to ``benchmarks/retraining.json``, a section per data set. The gate and the comparison of two revisions read
them here.

A difference between two trained models has two independent parts: that of the patients, whose interval is that of
:mod:`auscult.evaluation.bootstrap`, and that of the two seeds, with twice the variance of one training. The latter
variance is an estimate from few trainings, so its interval is that of Student's t. The two half-widths add in squares
(method of variance estimates recovery: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008), 1693-1702). With five
trainings, intervals of 99.4 % then miss in at most the 0.6 % that they promise. A normal quantile misses up to five
times as often; Student's t with Welch's and Satterthwaite's degrees of freedom up to twice as often, because the
degrees of freedom are an estimate too (``tests/registry/gate/test_noise.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, inf, isfinite, sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from scipy.special import ndtri, stdtrit

from auscult.core.errors import DataError
from auscult.evaluation.bootstrap import DIGITS
from auscult.evaluation.metrics import Floats, limits

NOISE_FILE = Path("benchmarks/retraining.json")
PartName = Literal["validation", "test"]
PARTS: tuple[PartName, ...] = ("validation", "test")
#: Share of comparisons that notice a true difference of the smallest noticeable size.
POWER = 0.8
_Spread = dict[PartName, dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]]]


@dataclass(frozen=True)
class Noise:
    """Seed variance of one experiment.

    Attributes
    ----------
    kind
        ``measured`` for this experiment, ``pooled`` over the experiments of the data set, or ``not measured``. ``same
        model``: there is nothing to cover.
    spread
        Part → metric → standard deviation over retrainings, in the metric's own unit; empty where none is covered.
    degrees
        Degrees of freedom of these standard deviations: trainings of one experiment minus 1. Infinite: they are taken
        as known. A pooled value has those of one experiment as well, because the experiments' own variances differ.
    """

    kind: Literal["same model", "measured", "pooled", "not measured"]
    spread: Mapping[PartName, Mapping[str, float]]
    degrees: float = inf

    def of(self, part: PartName, metric: str) -> float | None:
        """Return the standard deviation of a metric: 0 where none is covered, None where it is not known."""
        return self.spread.get(part, {}).get(metric) if self.spread else 0.0


SAME_MODEL = Noise("same model", {})
NOT_MEASURED = Noise("not measured", {})


class _DataSet(BaseModel):
    seeds: Annotated[list[int], Field(min_length=2)]
    pooled: _Spread
    experiments: dict[str, _Spread]


class _Table(BaseModel):
    datasets: dict[str, _DataSet]


def load_noise(root: Path, dataset: str) -> dict[str, Noise]:
    """Return the seed variance by experiment; that pooled over the data set has the empty name.

    Raises
    ------
    DataError
        The table is damaged.
    """
    if not (root / NOISE_FILE).exists():
        return {}
    try:
        section = _Table.model_validate_json((root / NOISE_FILE).read_bytes()).datasets.get(dataset)
    except ValidationError as error:
        problem = error.errors()[0]
        raise DataError(
            f"this is not a table of seed variance ({'.'.join(map(str, problem['loc']))}: {problem['msg']})",
            where=str(NOISE_FILE),
            next_step=f"git checkout main -- {NOISE_FILE}, or measure again: auscult measure seed-variance",
        ) from error
    if section is None:
        return {}
    degrees = len(section.seeds) - 1.0
    found = {"": Noise("pooled", section.pooled, degrees)}
    for name, own in section.experiments.items():
        merged = {part: section.pooled.get(part, {}) | own.get(part, {}) for part in PARTS}
        found[name] = Noise("measured", merged, degrees)
    return found


def find_noise(table: Mapping[str, Noise], experiment: str) -> Noise:
    """Return the seed variance of one experiment: its own, else that of the data set, else none."""
    return table.get(experiment) or table.get("") or NOT_MEASURED


def cover_retraining(
    found: Mapping[str, Any],
    resampled: Floats,
    confidence: float,
    name: str,
    classes: int,
    spread: float = 0.0,
    degrees: float = inf,
) -> dict[str, Any]:
    """Return a difference between two trained models whose interval covers retrainings as well as patients.

    Parameters
    ----------
    found
        ``value``, a difference of the metric *name*; ``low`` and ``high``, its interval over patients by
        :func:`auscult.evaluation.bootstrap.interval`. Without an interval it is returned as it is.
    resampled
        The difference over the resamples of patients, shape (b,); NaN where it is undefined.
    confidence
        Of the two-sided interval.
    classes
        Number of classes of the task.
    spread
        Standard deviation of the metric over retrainings, in its own unit.
    degrees
        Degrees of freedom of *spread*.

    Returns
    -------
    dict
        *found* with other ``low`` and ``high``, and ``noticeable``: the size of a true difference that the interval
        tells from zero with a probability of :data:`POWER` (half-width + 0.84 standard errors; at most the range of a
        difference).
    """
    if found.get("low") is None:
        return dict(found)
    value, seeds = found["value"], sqrt(2.0) * spread
    quantile = stdtrit(degrees, (1.0 + confidence) / 2.0) if isfinite(degrees) else ndtri((1.0 + confidence) / 2.0)
    below, above = (hypot(half, quantile * seeds) for half in (value - found["low"], found["high"] - value))
    error = hypot(float(np.std(resampled[np.isfinite(resampled)])), seeds)
    lowest, highest = limits(name, classes)
    reach = highest - lowest
    return dict(found) | {
        "low": round(max(value - below, -reach), DIGITS),
        "high": round(min(value + above, reach), DIGITS),
        "noticeable": round(min(max(below, above) + float(ndtri(POWER)) * error, reach), DIGITS),
    }
