"""Decide what differs between recent recordings and those that a model learned from.

A quantity drifts if the difference is large (effect) and rarely that large by chance (p-value): a small difference is
not worth an alarm even if it is certain, and a few recordings often differ much by chance.

Recordings of one patient resemble each other, and a week holds few patients. A test that takes recordings as
independent (Kolmogorov-Smirnov, chi-square) reports drift in one of three weeks without drift (docs/monitoring.md).
The null distribution is therefore a cluster bootstrap: draw patients of the reference with replacement, once as many
as a week has and once as many as the reference has, and compare the two draws like the real samples (A. C. Davison and
D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A week is assumed to have as many
recordings per patient as the reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp

from auscult.monitoring.observe import PROBABILITY, numeric_features
from auscult.settings import MonitorSettings

if TYPE_CHECKING:
    import pandas as pd

CLASSES, REJECTED = "predicted classes", "rejected recordings"
#: Hypotheses that share the error probability: all features (by their maximum), classes, rejected recordings.
_TESTS = 3
#: Draws of the bootstrap: so many that ten are expected beyond the significance level, within limits of time.
_EXPECTED_BEYOND, _LEAST_DRAWS, _MOST_DRAWS = 10, 2000, 20000
_SEED = 47
_DIGITS = 6


@dataclass(frozen=True)
class Spread:
    """The 5 %, 50 % and 95 % quantiles, in the feature's unit."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Feature:
    """One numeric feature of the reference and of the recent recordings."""

    name: str
    reference: Spread
    recent: Spread
    #: Kolmogorov-Smirnov distance, 0 to 1.
    distance: float
    #: Probability that any feature of a week without drift has such a distance.
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Classes:
    """Predicted classes: recordings per class, and the population stability index."""

    reference: dict[str, int]
    recent: dict[str, int]
    psi: float
    #: Mean of the index over weeks without drift: few recordings of few patients differ by chance.
    expected_psi: float
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Rejected:
    """Recent recordings that ``validate`` would reject."""

    #: All recent recordings.
    examined: int
    count: int
    #: Reason of ``validate`` → recordings.
    reasons: dict[str, int]
    #: Rejected share of the data set that the model learned from, 0 to 1.
    reference_share: float
    #: Probability of at least as many, if each recording is rejected independently with that share.
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Drift:
    """The result of a comparison."""

    #: Recordings compared: accepted recent ones, and those of the reference.
    accepted: int
    learned_from: int
    #: The least number of each for a verdict on features and classes.
    needed: int
    rejected: Rejected
    #: Empty, and ``None``, if there are fewer.
    features: tuple[Feature, ...] = ()
    classes: Classes | None = None

    @property
    def enough(self) -> bool:
        """Whether both samples have enough recordings for a verdict on features and classes."""
        return min(self.accepted, self.learned_from) >= self.needed

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of what drifts: rejected recordings, features (the most distant first), then the model's outputs."""
        found = [feature for feature in self.features if feature.drifts]
        found.sort(key=lambda feature: (feature.name == PROBABILITY, -feature.distance))
        names = [REJECTED] if self.rejected.drifts else []
        names += [feature.name for feature in found]
        return (*names, *([CLASSES] if self.classes is not None and self.classes.drifts else []))

    @property
    def verdict(self) -> str:
        """One line."""
        too_few = f"{self.accepted} of {self.needed}"
        if self.accepted >= self.needed and not self.enough:
            too_few = f"the model learned from {self.learned_from} of {self.needed}"
        if not self.drifted:
            return "no drift" if self.enough else f"too few recordings for a verdict: {too_few}"
        more = "" if self.enough else f"; too few recordings to compare features: {too_few}"
        return f"drift in: {', '.join(self.drifted)}{more}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, rounded; the verdict first."""
        summary = {"verdict": self.verdict, "enough": self.enough, "drifted": list(self.drifted)}
        return summary | _rounded(asdict(self))


@dataclass(frozen=True)
class NullDistribution:
    """Statistics of weeks without drift.

    Attributes
    ----------
    distance
        Largest Kolmogorov-Smirnov distance of any feature in each week, shape (draws,). The maximum adjusts p-values
        for the number of features (P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993: max T).
    psi
        Population stability index of the predicted classes, shape (draws,).
    """

    distance: NDArray[np.floating]
    psi: NDArray[np.floating]


def compare(
    reference: pd.DataFrame, recent: pd.DataFrame, rejected_reference_share: float, settings: MonitorSettings
) -> Drift:
    """Compare recent recordings with those that a model learned from.

    Parameters
    ----------
    reference, recent
        Results of :func:`auscult.monitoring.observe.observe` with the same model. A column ``patient`` of the
        reference groups its recordings.
    rejected_reference_share
        Share of recordings that ``validate`` rejected in the data that the model learned from, 0 to 1.
    settings
        ``max_p_value`` is shared among three tests (features, classes, rejected recordings): it bounds the
        probability that a week without drift is reported at all.
    """
    known, new = (table[table["rejected"] == ""].reset_index(drop=True) for table in (reference, recent))
    level = settings.max_p_value / _TESTS
    rejected = _rejected(recent, rejected_reference_share, len(known), settings, level)
    drift = Drift(len(new), len(known), settings.min_recordings, rejected)
    if not drift.enough:
        return drift
    names = numeric_features(recent)
    classes = sorted({*known["label"], *new["label"]})
    draws = min(max(math.ceil(_EXPECTED_BEYOND / max(level, 1e-9)), _LEAST_DRAWS), _MOST_DRAWS)
    null = draw(known, names, classes, len(new), draws)
    features = tuple(_feature(name, known[name], new[name], null, settings, level) for name in names)
    predicted = _classes(classes, known["label"], new["label"], null, settings, level)
    return replace(drift, features=features, classes=predicted)


def draw(
    reference: pd.DataFrame, features: Sequence[str], classes: Sequence[str], size: int, draws: int
) -> NullDistribution:
    """Draw weeks of *size* recordings from the reference, and compare each with a resampled reference.

    Parameters
    ----------
    reference
        Accepted recordings. A column ``patient`` groups them; without it each is its own group.
    features, classes
        Numeric columns; all values of ``label``.
    size, draws
        Recordings of a week; number of weeks.
    """
    rng = np.random.default_rng(_SEED)
    grouped = reference.get("patient", reference.index)
    patient = np.unique(grouped, return_inverse=True)[1]
    patients = int(patient.max()) + 1
    per_week = max(1, round(size * patients / len(reference)))
    # How often each recording is in the drawn week, and in the resampled reference: shape (recordings, draws)
    week, rest = (_counts(rng, draws, n, patients)[patient] for n in (per_week, patients))
    labels = (np.array(classes)[:, None] == reference["label"].to_numpy()).astype(np.float32)
    psi = stability_index((labels @ rest).T, (labels @ week).T)
    week /= week.sum(axis=0)
    week -= rest / rest.sum(axis=0)
    distance = np.zeros(draws, dtype=np.float32)
    for name in features:
        values = reference[name].to_numpy()
        order = np.argsort(values, kind="stable")
        ends = np.append(np.diff(values[order]) > 0, True)  # equal values are one step
        gap = np.zeros(draws, dtype=np.float32)
        for row, end in zip(order, ends, strict=True):
            gap += week[row]
            if end:
                np.maximum(distance, np.abs(gap), out=distance)
    return NullDistribution(distance, psi)


def ks_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 to 1."""
    return float(ks_2samp(first, second, method="asymp").statistic)


def stability_index(reference: NDArray[np.floating], recent: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the population stability index, sum((q - p) ln(q / p)), of class counts: shape (..., classes) → (...).

    It is Jeffreys' divergence; the name and the rule of thumb (0.25 is a major shift) are from N. Siddiqi, "Credit
    Risk Scorecards", 2006. Half a recording is added to every class, so that an empty class has a finite share that
    depends on the number of recordings.
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (reference, recent))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1), dtype=np.float64)


def _counts(rng: np.random.Generator, draws: int, size: int, patients: int) -> NDArray[np.float32]:
    """Return how often each patient is drawn, shape (patients, draws); the columns sum to *size*."""
    chosen = rng.integers(patients, size=(draws, size)) * draws + np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * patients).reshape(patients, draws).astype(np.float32)


def _p_value(drawn: NDArray[np.floating], value: float) -> float:
    """Return the share of the draws that are at least *value*; the observed one counts among them."""
    return (1 + int(np.count_nonzero(drawn >= value - 1e-5))) / (len(drawn) + 1)


def _feature(
    name: str, reference: pd.Series, recent: pd.Series, null: NullDistribution, settings: MonitorSettings, level: float
) -> Feature:
    distance = ks_distance(reference.to_numpy(), recent.to_numpy())
    p_value = _p_value(null.distance, distance)
    drifts = distance > settings.max_distance and p_value < level
    return Feature(name, _spread(reference), _spread(recent), distance, p_value, drifts)


def _spread(values: pd.Series) -> Spread:
    low, median, high = np.quantile(values.to_numpy(), [0.05, 0.5, 0.95])
    return Spread(float(low), float(median), float(high))


def _classes(
    names: list[str],
    reference: pd.Series,
    recent: pd.Series,
    null: NullDistribution,
    settings: MonitorSettings,
    level: float,
) -> Classes:
    counts = [{name: int((labels == name).sum()) for name in names} for labels in (reference, recent)]
    psi = float(stability_index(*(np.array(list(each.values()), dtype=float) for each in counts)))
    p_value = _p_value(null.psi, psi)
    drifts = psi > settings.max_class_psi and p_value < level
    return Classes(counts[0], counts[1], psi, float(null.psi.mean()), p_value, drifts)


def _rejected(
    recent: pd.DataFrame, reference_share: float, known: int, settings: MonitorSettings, level: float
) -> Rejected:
    """Test the rejected share of all recent recordings; a broken device may leave few accepted ones."""
    reasons = recent.loc[recent["rejected"] != "", "rejected"]
    count, examined = len(reasons), len(recent)
    counts = {str(reason): int(n) for reason, n in reasons.value_counts().sort_index().items()}
    # A share of zero among few recordings is no proof of zero: add one rejected and one accepted recording.
    share = (reference_share * known + 1) / (known + 2)
    p_value = float(binom.sf(count - 1, examined, share))
    far = examined > 0 and count / examined - reference_share > settings.max_rejected_more
    drifts = far and p_value < level and examined >= settings.min_recordings
    return Rejected(examined, count, counts, reference_share, p_value, drifts)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
