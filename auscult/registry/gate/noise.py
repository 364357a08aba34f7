"""How much a retraining alone moves a metric, and the interval of a difference that covers it.

``auscult measure seed-variance`` trains each experiment with several seeds and writes the standard deviations of its
metrics to ``benchmarks/retraining.json``, a section per data set. The gate and the comparison of two revisions read
them here.

A difference between two trained models has two independent parts: that of the patients, whose interval is that of
:mod:`auscult.evaluation.bootstrap`, and that of the two seeds, with twice the variance of one training. The latter
variance is an estimate from few trainings, so its interval is that of Student's t. Where six experiments or more were
measured, the estimate of one is drawn towards their mean variance, which counts as :data:`PRIOR_DEGREES` more degrees
of freedom (compare G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004), article 3, who
estimates that number; ours is fixed and the mean the arithmetic one, which errs on the side of a wider interval where
experiments differ much). The two half-widths add in squares (method of variance estimates recovery: G. Y. Zou, A.
Donner, Statistics in Medicine 27 (2008), 1693-1702). With five trainings, intervals of 99.4 % then miss in at most the
0.6 % that they promise. A normal quantile misses up to five times as often; Student's t with Welch's and
Satterthwaite's degrees of freedom up to twice as often, because the degrees of freedom are an estimate too
(``tests/registry/gate/test_noise.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, inf, isfinite, sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

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
#: Weight of the mean variance of the experiments in that of each, in degrees of freedom; and from how many experiments.
PRIOR_DEGREES, PRIOR_EXPERIMENTS = 4.0, 6
_Spread = dict[PartName, dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]]]


class Spread(NamedTuple):
    """How much a retraining moves a metric.

    Attributes
    ----------
    deviation
        Standard deviation over retrainings, in the metric's own unit.
    degrees
        Its degrees of freedom. Infinite: it is taken as known.
    """

    deviation: float
    degrees: float = inf


@dataclass(frozen=True)
class Noise:
    """Seed variance of one experiment.

    Attributes
    ----------
    kind
        ``measured`` for this experiment, ``pooled`` over the experiments of the data set, or ``not measured``. ``same
        model``: there is nothing to cover.
    spread
        Part → metric → its spread; empty where none is covered. A pooled value has the degrees of freedom of one
        experiment, because the experiments' own variances differ.
    alone
        The same before a measured value is drawn towards the mean of the experiments.
    """

    kind: Literal["same model", "measured", "pooled", "not measured"]
    spread: Mapping[PartName, Mapping[str, Spread]]
    alone: Mapping[PartName, Mapping[str, Spread]] = field(default_factory=dict, compare=False)

    def of(self, part: PartName, metric: str) -> Spread | None:
        """Return the spread of a metric: 0 where none is covered, None where it is not known."""
        return self.spread.get(part, {}).get(metric) if self.spread else NO_SPREAD


NO_SPREAD = Spread(0.0)
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
    pooled = {
        part: {metric: Spread(deviation, degrees) for metric, deviation in section.pooled.get(part, {}).items()}
        for part in PARTS
    }
    counts = {
        part: Counter(metric for own in section.experiments.values() for metric in own.get(part, {})) for part in PARTS
    }
    found = {"": Noise("pooled", pooled)}
    for name, own in section.experiments.items():
        alone = {
            part: {metric: Spread(deviation, degrees) for metric, deviation in own.get(part, {}).items()}
            for part in PARTS
        }
        drawn = {
            part: {
                metric: _drawn(each, pooled[part].get(metric), counts[part][metric])
                for metric, each in alone[part].items()
            }
            for part in PARTS
        }
        found[name] = Noise("measured", {part: pooled[part] | drawn[part] for part in PARTS}, alone)
    return found


def _drawn(own: Spread, pooled: Spread | None, experiments: int) -> Spread:
    """Return the spread of one experiment, drawn towards that pooled over so many experiments if these are enough."""
    if pooled is None or experiments < PRIOR_EXPERIMENTS:
        return own
    degrees = own.degrees + PRIOR_DEGREES
    variance = (own.degrees * own.deviation**2 + PRIOR_DEGREES * pooled.deviation**2) / degrees
    return Spread(sqrt(variance), degrees)


def spread_of_mean(experiments: Sequence[Noise], part: PartName, metric: str) -> Spread | None:
    """Return the spread of a metric's mean over experiments that are trained independently of each other.

    Its degrees of freedom are three quarters of those of a sum of estimated variances (Welch & Satterthwaite), which
    are an estimate too: intervals of 95 % and of 99.6 % then miss as rarely as they promise (``test_noise.py``).
    Experiments that were not measured share one estimate, the pooled one.

    Returns
    -------
    Spread or None
        None: that of an experiment is not known.
    """
    pooled, terms = Spread(0.0), []
    for noise in experiments:
        spread = noise.of(part, metric)
        if spread is None:
            return None
        if noise.kind == "pooled":
            pooled = Spread(hypot(pooled.deviation, spread.deviation), spread.degrees)
        else:
            terms.append(noise.alone.get(part, {}).get(metric, spread))
    variances = [(each.deviation**2, each.degrees) for each in (*terms, pooled) if each.deviation > 0.0]
    if not variances:
        return NO_SPREAD
    total = sum(variance for variance, _ in variances)
    degrees = total**2 / sum(variance**2 / degrees for variance, degrees in variances)
    return Spread(sqrt(total) / len(experiments), 0.75 * degrees)


def find_noise(table: Mapping[str, Noise], experiment: str) -> Noise:
    """Return the seed variance of one experiment: its own, else that of the data set, else none."""
    return table.get(experiment) or table.get("") or NOT_MEASURED


def cover_retraining(
    found: Mapping[str, Any],
    resampled: Floats,
    confidence: float,
    name: str,
    classes: int,
    spread: Spread = NO_SPREAD,
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
        Of the metric over retrainings.

    Returns
    -------
    dict
        *found* with other ``low`` and ``high``, and ``noticeable``: the size of a true difference that the interval
        tells from zero with a probability of :data:`POWER` (half-width + 0.84 standard errors; at most the range of a
        difference).
    """
    if found.get("low") is None:
        return dict(found)
    value, seeds, upper = found["value"], sqrt(2.0) * spread.deviation, (1.0 + confidence) / 2.0
    quantile = stdtrit(spread.degrees, upper) if isfinite(spread.degrees) else ndtri(upper)
    below, above = (hypot(half, quantile * seeds) for half in (value - found["low"], found["high"] - value))
    error = hypot(float(np.std(resampled[np.isfinite(resampled)])), seeds)
    lowest, highest = limits(name, classes)
    reach = highest - lowest
    return dict(found) | {
        "low": round(max(value - below, -reach), DIGITS),
        "high": round(min(value + above, reach), DIGITS),
        "noticeable": round(min(max(below, above) + float(ndtri(POWER)) * error, reach), DIGITS),
    }
