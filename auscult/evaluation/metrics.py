"""Metrics of a classifier, computed for many weightings of the same predictions at once.

A weighting gives each unit a multiplicity: all ones for the point estimate, one row per bootstrap resample for the
interval. Every metric is a matrix product with the weights, which scikit-learn cannot do: 500 resamples of
2,800 units take a fraction of a second.

Names and sources
-----------------
``sensitivity``  abnormal units predicted as their exact class / abnormal units; ``specificity``  normal units
predicted as normal / normal units; ``score``  their mean, the ICBHI score (Rocha et al. 2019,
doi:10.1088/1361-6579/ab03ea).
``average_score``, ``harmonic_score``, ``sprsound_score``  AS = mean, HS = harmonic mean of the two, and (AS + HS) / 2
(SPRSound, BioCAS 2022 challenge), as published: poor quality (``Task.unscored``) counts in neither sensitivity nor
specificity there; in ``score`` it counts. ``detection_sensitivity``  abnormal units predicted as any abnormal class.
``roc_auc``, ``pr_auc``  of the abnormal class for two classes, else the mean over classes, one against the rest;
``roc_auc_abnormal``, ``pr_auc_abnormal``  normal against the rest. PR-AUC is the average precision.
``mcc``  Matthews' coefficient, Gorodkin's form for several classes (doi:10.1016/j.compbiolchem.2004.09.006).
``brier``  mean squared error of p(abnormal) for two classes, else summed over classes (0 to 2).
``calibration_error``  expected calibration error in ten bins (Guo et al. 2017, arXiv:1706.04599): of p(abnormal) for
two classes, else of the highest probability.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from auscult.core.tasks import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Metrics as SPRSound's challenge defines them: they leave out the classes of ``Task.unscored``.
PUBLISHED = ("average_score", "harmonic_score", "sprsound_score")
#: Bins of the reliability diagram and of the calibration error, of equal width.
BINS = 10


def slug(name: str) -> str:
    """Return a class name as part of a metric's or column's name: ``CAS & DAS`` → ``cas_das``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@dataclass(frozen=True)
class Predictions:
    """True classes, predicted classes and probabilities of n units.

    Attributes
    ----------
    task
        Classes, and which one is normal.
    y, predicted
        Class indices, shape (n,).
    probabilities
        Shape (n, classes).
    patients
        Patient of each unit, shape (n,).
    """

    task: Task
    y: Ints
    predicted: Ints
    probabilities: Floats
    patients: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.y)

    def where(self, mask: NDArray[np.bool_]) -> Predictions:
        """Return the predictions of the units selected by *mask*, shape (n,)."""
        return Predictions(
            self.task, self.y[mask], self.predicted[mask], self.probabilities[mask], np.asarray(self.patients)[mask]
        )

    @cached_property
    def abnormal(self) -> Floats:
        """Probability that a unit is not normal, shape (n,)."""
        return 1.0 - self.probabilities[:, self.task.normal_index]

    @property
    def losses(self) -> Floats:
        """Cross-entropy of each unit, −log p(true class) in nats, shape (n,)."""
        chosen = self.probabilities[np.arange(len(self)), self.y]
        return -np.log(np.clip(chosen, 1e-7, 1.0))

    @property
    def confidence(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Probability whose calibration is measured, and whether the predicted event occurred; shape (n,) each.

        The event is "abnormal" for two classes, else "the most probable class is the true one".
        """
        if len(self.task.classes) == 2:
            return self.abnormal, self.y != self.task.normal_index
        return self.probabilities.max(axis=1), self.probabilities.argmax(axis=1) == self.y


def limits(name: str, classes: int) -> tuple[float, float]:
    """Return the lowest and the highest value that a metric can take for so many classes."""
    highest = {"log_loss": np.inf, "brier": 1.0 if classes == 2 else 2.0}
    return (-1.0 if name == "mcc" else 0.0), highest.get(name, 1.0)


def measure(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Return every metric for every weighting.

    Parameters
    ----------
    predictions
        n units.
    weights
        Multiplicities, shape (b, n).

    Returns
    -------
    dict
        Metric name → values, shape (b,); NaN where the metric is undefined for that weighting.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            _from_confusion(confusions(predictions, weights), predictions.task)
            | _from_ranks(predictions, weights)
            | _from_probabilities(predictions, weights)
        )


def score(predictions: Predictions, weights: Floats) -> Floats:
    """Return the score for every weighting, shape (b,), without the other metrics, which take longer."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _from_confusion(confusions(predictions, weights), predictions.task)["score"]


def confusions(predictions: Predictions, weights: Floats) -> Floats:
    """Return weighted confusion matrices, shape (b, true class, predicted class)."""
    k = len(predictions.task.classes)
    cells = np.zeros((len(predictions), k * k))
    cells[np.arange(len(predictions)), predictions.y * k + predictions.predicted] = 1.0
    return (weights @ cells).reshape(-1, k, k)


def _from_confusion(matrix: Floats, task: Task) -> dict[str, Floats]:
    normal = task.normal_index
    total = matrix.sum(axis=(1, 2))
    right = np.diagonal(matrix, axis1=1, axis2=2)
    true, predicted = matrix.sum(axis=2), matrix.sum(axis=1)
    recall = right / true  # NaN where the class does not occur
    precision = right / predicted
    f1 = np.where(true > 0, 2 * right / (true + predicted), np.nan)
    abnormal = total - true[:, normal]
    sensitivity = (right.sum(axis=1) - right[:, normal]) / abnormal
    specificity = recall[:, normal]
    published = [c for c, name in enumerate(task.classes) if c != normal and name not in task.unscored]
    named = right[:, published].sum(axis=1) / true[:, published].sum(axis=1)
    mean = (named + specificity) / 2
    harmonic = np.where(mean == 0, 0.0, named * specificity / mean)
    metrics = {
        "score": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "average_score": mean,
        "harmonic_score": harmonic,
        "sprsound_score": (mean + harmonic) / 2,
        "accuracy": right.sum(axis=1) / total,
        "balanced_accuracy": _mean_of_defined(recall),
        # A class that was never predicted counts as 0 in the mean, as in scikit-learn.
        "precision_macro": _mean_of_defined(np.where(true > 0, np.nan_to_num(precision), np.nan)),
        "recall_macro": _mean_of_defined(recall),
        "f1_macro": _mean_of_defined(f1),
        "mcc": _matthews(right.sum(axis=1), total, true, predicted),
    }
    if len(task.classes) > 2:
        detected = abnormal - (predicted[:, normal] - right[:, normal])
        metrics["detection_sensitivity"] = detected / abnormal
    for index, name in enumerate(task.classes):
        metrics[f"precision_{slug(name)}"] = precision[:, index]
        metrics[f"recall_{slug(name)}"] = recall[:, index]
        metrics[f"f1_{slug(name)}"] = f1[:, index]
    return metrics


def _matthews(right: Floats, total: Floats, true: Floats, predicted: Floats) -> Floats:
    covariance = right * total - (true * predicted).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    return np.where(spread > 0, covariance / np.sqrt(spread), np.nan)


def _mean_of_defined(values: Floats) -> Floats:
    """Return the mean over the defined classes (last axis); NaN where no class is defined."""
    defined = np.isfinite(values)
    mean: Floats = np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1)
    return mean


def _from_ranks(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    task = predictions.task
    roc, precision = _areas(predictions.abnormal, predictions.y != task.normal_index, weights)
    if len(task.classes) == 2:
        return {"roc_auc": roc, "pr_auc": precision}
    each = [_areas(predictions.probabilities[:, c], predictions.y == c, weights) for c in range(len(task.classes))]
    return {
        "roc_auc": _mean_of_defined(np.stack([area for area, _ in each], axis=1)),
        "pr_auc": _mean_of_defined(np.stack([area for _, area in each], axis=1)),
        "roc_auc_abnormal": roc,
        "pr_auc_abnormal": precision,
    }


def _areas(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Return the areas under the ROC and precision-recall curves, (n,), (n,), (b, n) → (b,), (b,).

    Ties count half; NaN where a class is absent.
    """
    if not len(scores):
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # units of equal score share a threshold
    sorted_weights = weights[:, order]
    positives = np.add.reduceat(sorted_weights * positive[order], starts, axis=1)
    everyone = np.add.reduceat(sorted_weights, starts, axis=1)
    negatives = everyone - positives
    found, passed = positives.cumsum(axis=1), everyone.cumsum(axis=1)
    count, others = found[:, -1], passed[:, -1] - found[:, -1]
    roc = (negatives * (found - positives / 2)).sum(axis=1) / (count * others)
    precision = np.divide(found, passed, out=np.zeros_like(found), where=passed > 0)
    average = (positives * precision).sum(axis=1) / count
    both = (count > 0) & (others > 0)
    return np.where(both, roc, np.nan), np.where(both, average, np.nan)


def _from_probabilities(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    total = weights.sum(axis=1)
    one_hot = np.eye(len(predictions.task.classes))[predictions.y]
    squares = ((predictions.probabilities - one_hot) ** 2).sum(axis=1)
    if len(predictions.task.classes) == 2:
        squares = squares / 2  # p and 1 − p have the same error
    predicted, observed = predictions.confidence
    gaps = np.zeros((len(predictions), BINS))
    gaps[np.arange(len(predictions)), bins_of(predicted)] = predicted - observed
    return {
        "brier": weights @ squares / total,
        "log_loss": weights @ predictions.losses / total,
        "calibration_error": np.abs(weights @ gaps).sum(axis=1) / total,
    }


def bins_of(probability: Floats) -> Ints:
    """Return the bin of each probability, 0 … BINS − 1; bins are closed on the left, the last one on both sides."""
    return np.minimum((probability * BINS).astype(np.int64), BINS - 1)
