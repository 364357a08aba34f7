"""The verdict: what differs between recent recordings and those that a model learned from.

Something drifts when it is far (an effect) and when a week without drift is seldom so far (chance): a small
difference is not worth an alarm however certain it is, and few recordings lie far by themselves.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.monitoring.chance import Chance, draw, ks_distance, stability_index
from auscult.monitoring.observe import PROBABILITY, numeric_features
from auscult.settings import MonitorSettings

if TYPE_CHECKING:
    import pandas as pd

CLASSES, SET_ASIDE = "predicted classes", "recordings set aside"
#: The features together (their maximum is judged), the classes, the recordings set aside.
_QUESTIONS = 3
#: Weeks that are drawn: ten are expected beyond what counts as unlikely, within limits of time.
_EXPECTED_BEYOND, _LEAST_DRAWS, _MOST_DRAWS = 10, 2000, 20000
_DIGITS = 6


@dataclass(frozen=True)
class Spread:
    """Median and the range of the middle nine tenths, in the feature's unit."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Feature:
    """One numeric feature on both sides.

    Attributes
    ----------
    distance
        Kolmogorov and Smirnov's, 0 to 1.
    p_value
        Chance that any feature of a week without drift lies so far.
    """

    name: str
    reference: Spread
    recent: Spread
    distance: float
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Classes:
    """Predicted classes: how many recordings of each, and the population stability index.

    Attributes
    ----------
    expected_psi
        Its mean over weeks without drift; few recordings of few patients differ by themselves.
    """

    reference: dict[str, int]
    recent: dict[str, int]
    psi: float
    expected_psi: float
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class SetAside:
    """Recordings that could not be used.

    Attributes
    ----------
    reasons
        One of ``stages.validate``'s → how many.
    reference_share
        Of the data set that the model learned from, 0 to 1.
    p_value
        Chance of as many, were they set aside independently at the reference's share.
    """

    looked_at: int
    count: int
    reasons: dict[str, int]
    reference_share: float
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Drift:
    """What was found.

    Attributes
    ----------
    sound, learned_from
        Recordings compared on either side.
    needed
        Of each, before anything is said about features.
    features, classes
        Empty and ``None`` where there are too few.
    """

    sound: int
    learned_from: int
    needed: int
    set_aside: SetAside
    features: tuple[Feature, ...]
    classes: Classes | None

    @property
    def enough(self) -> bool:
        """Whether there are enough recordings on both sides to speak about features."""
        return min(self.sound, self.learned_from) >= self.needed

    @property
    def drifted(self) -> tuple[str, ...]:
        """What drifts, causes before consequences: set aside, what the model is given (farthest first), its answers."""
        found = [feature for feature in self.features if feature.drifts]
        found.sort(key=lambda feature: (feature.name == PROBABILITY, -feature.distance))
        names = [SET_ASIDE] if self.set_aside.drifts else []
        names += [feature.name for feature in found]
        return (*names, *([CLASSES] if self.classes is not None and self.classes.drifts else []))

    @property
    def verdict(self) -> str:
        """One line."""
        too_few = f"{self.sound} of {self.needed}"
        if self.sound >= self.needed and not self.enough:
            too_few = f"the model learned from {self.learned_from} of {self.needed}"
        if not self.drifted:
            return "no drift" if self.enough else f"too few recordings to say: {too_few}"
        more = "" if self.enough else f"; too few recordings to say more: {too_few}"
        return f"drift in: {', '.join(self.drifted)}{more}"

    def to_json(self) -> dict[str, Any]:
        """Plain data, rounded; the verdict first."""
        said = {"verdict": self.verdict, "enough": self.enough, "drifted": list(self.drifted)}
        rounded: dict[str, Any] = _rounded(asdict(self))
        return said | rounded | {"features": list(rounded["features"])}


def compare(
    reference: pd.DataFrame, recent: pd.DataFrame, rejected_reference_share: float, settings: MonitorSettings
) -> Drift:
    """Compare recent recordings with those that a model learned from.

    Parameters
    ----------
    reference, recent
        Of :func:`auscult.monitoring.observe.observe`, by the same model. A column ``patient`` of the reference says
        which of its recordings belong together.
    rejected_reference_share
        What ``validate`` set aside of the data that the model learned from, 0 to 1.
    settings
        ``max_p_value`` is shared out among three questions: the features, the classes, the recordings set
        aside. A whole week without drift is therefore called drift with no more than that chance.
    """
    known, new = (table[table["rejected"] == ""].reset_index(drop=True) for table in (reference, recent))
    level = settings.max_p_value / _QUESTIONS
    set_aside = _set_aside(recent, rejected_reference_share, len(known), settings, level)
    drift = Drift(len(new), len(known), settings.min_recordings, set_aside, (), None)
    if not drift.enough:
        return drift
    names = numeric_features(recent)
    classes = sorted({*known["label"], *new["label"]})
    draws = min(max(math.ceil(_EXPECTED_BEYOND / max(level, 1e-9)), _LEAST_DRAWS), _MOST_DRAWS)
    chance = draw(known, names, classes, len(new), draws)
    features = tuple(_feature(name, known[name], new[name], chance, settings, level) for name in names)
    answered = _classes(classes, known["label"], new["label"], chance, settings, level)
    return Drift(drift.sound, drift.learned_from, drift.needed, set_aside, features, answered)


def _feature(
    name: str, reference: pd.Series, recent: pd.Series, chance: Chance, settings: MonitorSettings, level: float
) -> Feature:
    distance = ks_distance(reference.to_numpy(), recent.to_numpy())
    p_value = chance.p_distance(distance)
    drifts = distance > settings.max_distance and p_value < level
    return Feature(name, _spread(reference), _spread(recent), distance, p_value, drifts)


def _spread(values: pd.Series) -> Spread:
    low, median, high = np.quantile(values.to_numpy(), [0.05, 0.5, 0.95])
    return Spread(float(low), float(median), float(high))


def _classes(
    names: list[str],
    reference: pd.Series,
    recent: pd.Series,
    chance: Chance,
    settings: MonitorSettings,
    level: float,
) -> Classes:
    counts = [{name: int((side == name).sum()) for name in names} for side in (reference, recent)]
    psi = float(stability_index(*(np.array(list(side.values()), dtype=float) for side in counts)))
    p_value = chance.p_psi(psi)
    drifts = psi > settings.max_class_psi and p_value < level
    return Classes(counts[0], counts[1], psi, float(chance.psi.mean()), p_value, drifts)


def _set_aside(
    recent: pd.DataFrame, reference_share: float, known: int, settings: MonitorSettings, level: float
) -> SetAside:
    """Judged by itself, with all files that were looked at: a broken device leaves few sound ones."""
    from scipy.stats import binom

    rejected = recent.loc[recent["rejected"] != "", "rejected"]
    count, looked_at = len(rejected), len(recent)
    reasons = {str(reason): int(n) for reason, n in rejected.value_counts().sort_index().items()}
    # A share of zero among few recordings does not promise zero: one more of each kind is taken to be there.
    share = (reference_share * known + 1) / (known + 2)
    p_value = float(binom.sf(count - 1, looked_at, share))
    far = looked_at > 0 and count / looked_at - reference_share > settings.max_rejected_more
    drifts = far and p_value < level and looked_at >= settings.min_recordings
    return SetAside(looked_at, count, reasons, reference_share, p_value, drifts)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
