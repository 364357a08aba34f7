"""Every metric of stored predictions: of the units as they are, by scikit-learn, and of resamples of the patients.

Definitions
-----------
Normal is one class of the task; all others are abnormal. Probabilities are used as stored, with nine decimals.

``sensitivity``  recall over the abnormal classes, pooled: abnormal units predicted as their exact class.
``specificity``  recall of the normal class. ``score``  the mean of the two.
``average_score``, ``harmonic_score``  arithmetic and harmonic mean of specificity and of the sensitivity without the
classes of ``Task.unscored``; ``sprsound_score``  the mean of these two means.
``*_macro``, ``balanced_accuracy``  means over the classes that occur; a class that is never predicted has precision 0.
``precision_<class>``  undefined for a class that is never predicted; recall and F1 for one that does not occur.
``detection_sensitivity``  abnormal units predicted as any abnormal class; with more than two classes.
``roc_auc``, ``pr_auc``  of abnormal for two classes, by 1 − p(normal), else the mean over the classes that occur, one
against the rest; ``…_abnormal``  of abnormal, with more than two classes. PR-AUC is the average precision.
``mcc``  undefined where all true or all predicted classes are the same.
``brier``  squared error of the probabilities, summed over the classes; half of it for two classes.
``log_loss``  mean of −log p(true class), p at least 1e-7.
``calibration_error``  expected calibration error in ten bins of equal width: a probability p is in bin ⌊10 p⌋, 1 in
the last. p is 1 − p(normal) and the event "abnormal" for two classes; else the highest probability, and "it is right".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from auscult.core.tasks import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BINS = 10
LOWEST = 1e-7
#: Stands for all abnormal classes beside the indices of the classes.
ABNORMAL = -1
#: Numbers of a block of resamples × units that are held in memory at a time.
BLOCK = 4_000_000
#: What subgroups and cohorts show; they need no ranking, which takes most of the time.
OF_GROUPS = ("score", "accuracy", "calibration_error")


def slug(name: str) -> str:
    """Return the name of a class as the files write it in names of metrics and columns: ``CAS & DAS`` → ``cas_das``."""
    return "_".join(re.findall("[a-z0-9]+", name.lower()))


@dataclass(frozen=True)
class Units:
    """n units with their true and predicted classes.

    Attributes
    ----------
    y, predicted
        Class indices, shape (n,).
    probabilities
        Shape (n, classes).
    patients
        Patient ids, shape (n,).
    """

    task: Task
    y: Ints
    predicted: Ints
    probabilities: Floats
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.y)

    def where(self, mask: Mask) -> Units:
        """Return the units of a mask, shape (n,)."""
        return Units(self.task, self.y[mask], self.predicted[mask], self.probabilities[mask], self.patients[mask])

    @property
    def abnormal(self) -> Mask:
        """Units whose true class is not normal, shape (n,)."""
        return self.y != self.task.normal_index

    @property
    def p_abnormal(self) -> Floats:
        """Probability that a unit is not normal, shape (n,)."""
        return 1.0 - self.probabilities[:, self.task.normal_index]

    @property
    def losses(self) -> Floats:
        """−log p(true class) in nats, shape (n,)."""
        return -np.log(np.maximum(self.probabilities[np.arange(len(self)), self.y], LOWEST))

    @property
    def event(self) -> tuple[Floats, Mask]:
        """The probability whose calibration is measured, and whether its event occurred, shape (n,) each."""
        if len(self.task.classes) == 2:
            return self.p_abnormal, self.abnormal
        return self.probabilities.max(axis=1), self.probabilities.argmax(axis=1) == self.y

    def rankings(self) -> Iterator[tuple[int, Floats, Mask]]:
        """Yield what the areas rank, as number, scores and positives: abnormal, −1; with more classes than two each."""
        yield ABNORMAL, self.p_abnormal, self.abnormal
        if len(self.task.classes) > 2:
            for index in range(len(self.task.classes)):
                yield index, self.probabilities[:, index], self.y == index


def bins(probability: Floats) -> Ints:
    """Return the bin of each probability, 0 … BINS − 1."""
    found = np.floor(BINS * probability).astype(np.int64)
    found[found == BINS] = BINS - 1
    return found


def point(units: Units, *, of_groups: bool = False) -> dict[str, float]:
    """Return every metric of units, or those of :data:`OF_GROUPS`; NaN where one is undefined."""
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # of classes that do not occur
        found = _of_sides(units) | {"calibration_error": _calibration_error(units)}
        if of_groups:
            return {name: found[name] for name in OF_GROUPS}
        return found | _of_classes(units) | _of_probabilities(units) | _of_ranks(units)


def _of_sides(units: Units) -> dict[str, float]:
    """Return the metrics of normal against abnormal units, and the accuracy, from scikit-learn's confusion matrix."""
    task, normal = units.task, units.task.normal_index
    matrix = confusion_matrix(units.y, units.predicted, labels=range(len(task.classes)))
    abnormal = [index for index in range(len(task.classes)) if index != normal]
    scored = [index for index in abnormal if task.classes[index] not in task.unscored]

    def right(classes: list[int]) -> float:
        total = matrix[classes].sum()
        return float(matrix[classes, classes].sum() / total) if total else np.nan

    sensitivity, specificity, named = right(abnormal), right([normal]), right(scored)
    mean = (named + specificity) / 2
    harmonic = 0.0 if mean == 0 else 2 * named * specificity / (named + specificity)
    found = {
        "score": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "average_score": mean,
        "harmonic_score": harmonic,
        "sprsound_score": (mean + harmonic) / 2,
        "accuracy": float(np.trace(matrix) / len(units)),
    }
    if len(task.classes) > 2:
        detected = units.predicted[units.abnormal] != normal
        found["detection_sensitivity"] = float(detected.mean()) if len(detected) else np.nan
    return found


def _of_classes(units: Units) -> dict[str, float]:
    """Return precision, recall and F1 of each class, their means, and Matthews' coefficient."""
    y, predicted, labels = units.y, units.predicted, list(range(len(units.task.classes)))
    precision, recall, f1, support = precision_recall_fscore_support(y, predicted, labels=labels, zero_division=np.nan)
    occurs = support > 0
    f1 = np.where(occurs, f1, np.nan)
    several = min(len(np.unique(y)), len(np.unique(predicted))) > 1
    found = {
        "balanced_accuracy": float(recall[occurs].mean()),
        "precision_macro": float(np.nan_to_num(precision[occurs]).mean()),
        "recall_macro": float(recall[occurs].mean()),
        "f1_macro": float(f1[occurs].mean()),
        "mcc": float(matthews_corrcoef(y, predicted)) if several else np.nan,
    }
    for index, name in enumerate(map(slug, units.task.classes)):
        found |= {f"precision_{name}": float(precision[index]), f"recall_{name}": float(recall[index])}
        found[f"f1_{name}"] = float(f1[index])
    return found


def _calibration_error(units: Units) -> float:
    p, event = units.event
    inside = bins(p)
    gaps = [abs(p[inside == index].sum() - event[inside == index].sum()) for index in range(BINS)]
    return float(sum(gaps)) / len(units)


def _of_probabilities(units: Units) -> dict[str, float]:
    labels = list(range(len(units.task.classes)))
    return {
        "brier": float(brier_score_loss(units.y, units.probabilities, labels=labels, scale_by_half=len(labels) == 2)),
        "log_loss": float(log_loss(units.y, np.maximum(units.probabilities, LOWEST), labels=labels)),
    }


def _of_ranks(units: Units) -> dict[str, float]:
    areas = {}
    for ranking, scores, positive in units.rankings():
        areas[ranking] = np.full((1, 2), np.nan)
        if positive.any() and not positive.all():
            areas[ranking][0] = roc_auc_score(positive, scores), average_precision_score(positive, scores)
    return {name: float(values[0]) for name, values in _named(units, areas).items()}


def _named(units: Units, areas: dict[int, Floats]) -> dict[str, Floats]:
    """Return the areas under their names, from those of each ranking, shape (b, 2): ROC and precision-recall."""
    abnormal = areas[ABNORMAL]
    if len(units.task.classes) == 2:
        return {"roc_auc": abnormal[:, 0], "pr_auc": abnormal[:, 1]}
    mean = np.mean([areas[index] for index in np.unique(units.y).tolist()], axis=0)
    return {
        "roc_auc": mean[:, 0],
        "pr_auc": mean[:, 1],
        "roc_auc_abnormal": abnormal[:, 0],
        "pr_auc_abnormal": abnormal[:, 1],
    }


def resampled(units: Units, drawn: Floats, *, of_groups: bool = False) -> dict[str, Floats]:
    """Return every metric of every resample, or those of :data:`OF_GROUPS`; NaN where one is undefined.

    scikit-learn takes one resample at a time, which is too slow here; a test compares the two.

    Parameters
    ----------
    drawn
        How often each patient was drawn, shape (resamples, patients); patients in the order of ``np.unique``.

    Returns
    -------
    dict
        Metric → values, shape (resamples,).
    """
    names, codes = np.unique(units.patients, return_inverse=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = np.zeros((len(names), len(units.task.classes), len(units.task.classes)))
        np.add.at(cells, (codes, units.y, units.predicted), 1.0)
        matrices = np.tensordot(drawn, cells, axes=1)
        found = _classes_resampled(units, matrices) | _probabilities_resampled(units, drawn, codes)
        if of_groups:
            return {name: found[name] for name in OF_GROUPS}
        areas = {
            ranking: _areas_resampled(scores, positive, drawn, codes) for ranking, scores, positive in units.rankings()
        }
        found |= _named(units, areas)
    if len(units.task.classes) > 2:
        lacking = lacks_a_class(units, drawn)
        found |= {name: np.where(lacking, np.nan, found[name]) for name in ("roc_auc", "pr_auc")}
    return found


def lacks_a_class(units: Units, drawn: Floats) -> Mask:
    """Return which resamples lack a class that occurs among the units, shape (resamples,)."""
    names, codes = np.unique(units.patients, return_inverse=True)
    held = np.zeros((len(names), len(units.task.classes)))
    np.add.at(held, (codes, units.y), 1.0)
    occurring = held.any(axis=0)
    lacking: Mask = ((drawn @ held)[:, occurring] == 0).any(axis=1)
    return lacking


def _classes_resampled(units: Units, matrices: Floats) -> dict[str, Floats]:
    """Return the metrics of confusion matrices, shape (resamples, true class, predicted class)."""
    task, labels = units.task, range(len(units.task.classes))
    normal = task.normal_index
    abnormal = [index for index in labels if index != normal]
    scored = [index for index in abnormal if task.classes[index] not in task.unscored]
    right = np.stack([matrices[:, index, index] for index in labels], axis=1)
    rows, columns, total = matrices.sum(axis=2), matrices.sum(axis=1), matrices.sum(axis=(1, 2))
    recall, precision = right / rows, right / columns
    f1 = np.where(rows > 0, right / ((rows + columns) / 2), np.nan)
    specificity = recall[:, normal]
    sensitivity = right[:, abnormal].sum(axis=1) / rows[:, abnormal].sum(axis=1)
    named = right[:, scored].sum(axis=1) / rows[:, scored].sum(axis=1)
    mean = (named + specificity) / 2
    harmonic = np.where(mean == 0, 0.0, 2 * named * specificity / (named + specificity))
    # A resample without one of the classes would have the mean over other classes, which is another metric.
    present = np.unique(units.y)
    complete = (rows[:, present] > 0).all(axis=1)

    def macro(values: Floats) -> Floats:
        return np.where(complete, values[:, present].mean(axis=1), np.nan)

    independent = np.einsum("bi,bi->b", rows, columns)
    spread = (total**2 - (rows**2).sum(axis=1)) * (total**2 - (columns**2).sum(axis=1))
    found = {
        "score": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "average_score": mean,
        "harmonic_score": harmonic,
        "sprsound_score": (mean + harmonic) / 2,
        "accuracy": right.sum(axis=1) / total,
        "balanced_accuracy": macro(recall),
        "precision_macro": macro(np.where(columns > 0, precision, 0.0)),
        "recall_macro": macro(recall),
        "f1_macro": macro(f1),
        "mcc": np.where(spread > 0, (total * right.sum(axis=1) - independent) / np.sqrt(spread), np.nan),
    }
    if len(labels) > 2:
        missed = matrices[:, abnormal, normal].sum(axis=1)
        found["detection_sensitivity"] = 1.0 - missed / rows[:, abnormal].sum(axis=1)
    for index, name in enumerate(map(slug, task.classes)):
        found |= {f"precision_{name}": precision[:, index], f"recall_{name}": recall[:, index]}
        found[f"f1_{name}"] = f1[:, index]
    return found


def _probabilities_resampled(units: Units, drawn: Floats, codes: Ints) -> dict[str, Floats]:
    classes = len(units.task.classes)
    errors = np.square(units.probabilities - np.eye(classes)[units.y]).sum(axis=1) / (2 if classes == 2 else 1)
    p, event = units.event
    gaps = np.zeros((drawn.shape[1], BINS))
    np.add.at(gaps, (codes, bins(p)), p - event)
    total = drawn @ np.bincount(codes, minlength=drawn.shape[1])
    return {
        "brier": drawn @ np.bincount(codes, errors, drawn.shape[1]) / total,
        "log_loss": drawn @ np.bincount(codes, units.losses, drawn.shape[1]) / total,
        "calibration_error": np.abs(drawn @ gaps).sum(axis=1) / total,
    }


def _areas_resampled(scores: Floats, positive: Mask, drawn: Floats, codes: Ints) -> Floats:
    """Return the areas under the ROC and precision-recall curves, shape (resamples, 2).

    ROC: the share of pairs of a positive and a negative unit in which the positive one has the higher score, half for
    equal ones. Precision-recall: the mean over the positive units of the precision at their score.
    """
    order = np.argsort(scores, kind="stable")
    ranked, positive, codes = scores[order], positive[order], codes[order]
    own = np.flatnonzero(positive)
    first, last = (np.searchsorted(ranked, ranked[own], side=side) for side in ("left", "right"))
    found = np.full((len(drawn), 2), np.nan)
    step = max(1, BLOCK // len(scores))
    for start in range(0, len(drawn), step):
        weights = drawn[start : start + step, codes]
        below = np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))  # units before each rank
        positives = np.pad(np.cumsum(weights * positive, axis=1), ((0, 0), (1, 0)))
        negatives = below - positives
        count, others = positives[:, -1:], negatives[:, -1:]
        wins = weights[:, own] * (negatives[:, first] + negatives[:, last]) / 2
        passed = below[:, -1:] - below[:, first]
        precision = (count - positives[:, first]) / np.where(passed > 0, passed, 1.0)
        areas = [wins.sum(axis=1) / (count * others)[:, 0], (weights[:, own] * precision).sum(axis=1) / count[:, 0]]
        both = (count > 0) & (others > 0)
        found[start : start + step] = np.where(both, np.stack(areas, axis=1), np.nan)
    return found
