"""How far a week without drift would lie from the reference, by chance: drawn patient by patient.

Recordings of one patient resemble each other, and a clinic's week holds few patients. A test that takes
recordings for independent (Kolmogorov and Smirnov's, chi-square) calls that drift in one week out of three
(docs/monitoring.md). So patients of the reference are drawn with replacement, once as many as a week has and
once as many as the reference has, and compared as the two real sides are: a bootstrap of clusters (A. C.
Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A week is taken to
have as many recordings per patient as the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_SEED = 47


@dataclass(frozen=True)
class Chance:
    """What weeks without drift come to.

    Attributes
    ----------
    distance
        The largest Kolmogorov-Smirnov distance of any feature in each week, shape (draws,).
    psi
        Population stability index of the predicted classes, shape (draws,).
    """

    distance: NDArray[np.floating]
    psi: NDArray[np.floating]

    def p_distance(self, distance: float) -> float:
        """Chance that any feature of a week without drift lies so far: the maximum accounts for their number.

        P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993 (single step, max T).
        """
        return _share_reaching(self.distance, distance)

    def p_psi(self, psi: float) -> float:
        """Chance that the classes of a week without drift differ so much."""
        return _share_reaching(self.psi, psi)


def draw(reference: pd.DataFrame, features: Sequence[str], classes: Sequence[str], size: int, draws: int) -> Chance:
    """Weeks of *size* recordings, drawn from the reference.

    Parameters
    ----------
    reference
        Sound recordings. A column ``patient`` says which belong together; without it each stands alone.
    features
        Numeric columns.
    classes
        All values that ``label`` may have.
    size
        Recordings of a week.
    draws
        How many weeks.
    """
    rng = np.random.default_rng(_SEED)
    grouped = reference.get("patient", reference.index)
    patient = np.unique(grouped, return_inverse=True)[1]
    patients = int(patient.max()) + 1
    per_week = max(1, round(size * patients / len(reference)))
    # How often each recording is in the drawn week, and in the drawn reference: shape (recordings, draws)
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
    return Chance(distance, psi)


def ks_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Kolmogorov and Smirnov's: the largest difference of two samples' cumulative distributions, 0 to 1."""
    values = np.union1d(first, second)
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def stability_index(reference: NDArray[np.floating], recent: NDArray[np.floating]) -> NDArray[np.float64]:
    """Population stability index, sum((q - p) ln(q / p)), of class counts: shape (..., classes) → (...).

    It is Jeffreys' divergence, under the name and with the rule of thumb (0.25 is a major shift) of N. Siddiqi,
    "Credit Risk Scorecards", 2006. Half a recording is added to every class, so that an empty one has a finite
    share that depends on how many recordings there are.
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (reference, recent))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1), dtype=np.float64)


def _counts(rng: np.random.Generator, draws: int, size: int, patients: int) -> NDArray[np.float32]:
    """How often each patient is drawn, shape (patients, draws); the columns sum to *size*."""
    chosen = rng.integers(patients, size=(draws, size)) * draws + np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * patients).reshape(patients, draws).astype(np.float32)


def _share_reaching(drawn: NDArray[np.floating], value: float) -> float:
    """Share of the draws that are at least *value*, the real one counted among them; never zero."""
    return (1 + int(np.count_nonzero(drawn >= value - 1e-5))) / (len(drawn) + 1)
