"""The interval of the difference between two models on the same units, by resampling patients.

With few patients the interval of the percentile bootstrap is too narrow: its spread is that of a sample variance
with n in the denominator, and its tails are those of the normal distribution. Quantiles further out correct this
("expanded percentile interval": T. Hesterberg, "What teachers should know about the bootstrap", The American
Statistician 69 (2015), section 5.1.3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.evaluation.bootstrap import DIGITS, patient_weights
from auscult.evaluation.metrics import Predictions, measure


@dataclass(frozen=True)
class Interval:
    """A metric with its interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Return plain data, rounded; undefined values are null."""
        return {key: round(value, DIGITS) if np.isfinite(value) else None for key, value in asdict(self).items()}


def count_patients(predictions: Predictions) -> tuple[int, int]:
    """Return how many patients have normal units, and how many have abnormal ones."""
    normal = predictions.y == predictions.task.normal_index
    patients = np.asarray(predictions.patients, dtype=str)
    return len(set(patients[normal])), len(set(patients[~normal]))


def compare(
    challenger: Predictions, champion: Predictions, name: str, confidence: float, resamples: int, seed: int
) -> dict[str, Interval]:
    """Return one metric of both models and the paired difference, challenger minus champion.

    Parameters
    ----------
    challenger, champion
        Predictions for the same units in the same order.
    name
        A metric of :func:`auscult.evaluation.metrics.measure`; higher is better.
    confidence
        Of the two-sided interval.

    Returns
    -------
    dict
        ``challenger``, ``champion``, ``difference``.
    """
    weights = patient_weights(challenger.patients, resamples, seed)
    once = np.ones((1, len(challenger)))
    resampled = [measure(each, weights)[name] for each in (challenger, champion)]
    values = [float(measure(each, once)[name][0]) for each in (challenger, champion)]
    fewest = min(count_patients(challenger))
    return {
        "challenger": _interval(values[0], resampled[0], confidence, fewest),
        "champion": _interval(values[1], resampled[1], confidence, fewest),
        "difference": _interval(values[0] - values[1], resampled[0] - resampled[1], confidence, fewest),
    }


def _interval(value: float, resampled: NDArray[np.float64], confidence: float, patients: int) -> Interval:
    defined = resampled[np.isfinite(resampled)]
    if patients < 2 or not np.isfinite(value) or len(defined) < len(resampled) / 2:
        return Interval(value, float("nan"), float("nan"))
    tail = expanded_tail(confidence, patients)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def expanded_tail(confidence: float, patients: int) -> float:
    """Return the share of the resamples beyond each end: Φ(−√(n/(n−1)) · t), t a quantile of Student's with n − 1.

    Parameters
    ----------
    patients
        n: the smaller of the numbers of patients with normal and with abnormal units.
    """
    from scipy.special import ndtr, stdtrit

    quantile = float(stdtrit(patients - 1, (1.0 + confidence) / 2.0))
    return float(ndtr(-np.sqrt(patients / (patients - 1)) * quantile))
