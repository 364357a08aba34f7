"""Temperature and class offsets, both chosen on the validation units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.training.score import best_normal_offset, icbhi_score
from auscult.training.trained_model import calibrated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auscult.training.data import Validation

#: Tried in turn; beyond these the fit would follow a handful of items.
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8.0), 101))
#: Offsets tried for a class other than the normal one, and how many points of the score a move must gain.
STEPS = np.arange(-2.0, 2.01, 0.25)
LEAST_GAIN = 0.005
#: A class with fewer validation units than this keeps the offset 0: too few to choose by.
LEAST_UNITS = 10


def fit_temperature(logits: NDArray[np.float64], held_out: Validation, biases: NDArray[np.float64]) -> float:
    """The temperature with the lowest negative log-likelihood of the pooled probabilities.

    Parameters
    ----------
    logits
        Of each seed for each validation row, shape (seeds, n, classes).
    held_out
        Classes of the units and which rows belong to each.
    biases
        Added after the division, shape (classes,); see :func:`prior_biases`.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017 (arXiv 1706.04599).
    """
    losses = [_loss(held_out.pool(calibrated(logits, t, biases)), held_out.target) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def prior_biases(
    trained_on: NDArray[np.int64], weights: NDArray[np.floating], originals: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What to add to logits so that they stand for the classes' true frequencies again.

    Synthetic rows and class weights teach the network a prior other than that of
    the recordings: its log-odds carry log(weight · rows trained on / original rows).

    Parameters
    ----------
    trained_on, originals
        Classes of the rows used and of the original ones.
    weights
        Weight of each class in the loss, shape (classes,).

    References
    ----------
    Saerens et al., "Adjusting the outputs of a classifier to new a priori
    probabilities", Neural Computation 14 (2002), equation 2.4.
    """
    classes = len(weights)
    taught = weights * np.bincount(trained_on, minlength=classes)
    true = np.bincount(originals, minlength=classes)
    biases = np.log(true / true.sum()) - np.log(taught / taught.sum())
    return np.asarray(biases, dtype=np.float64)


def fit_offsets(
    probabilities: NDArray[np.float64], target: NDArray[np.int64], normal_index: int
) -> NDArray[np.float64]:
    """Offsets of the classes' log-probabilities that raise the validation score; shape (classes,).

    The normal class first (for two classes this is the threshold), then every other
    class that has units enough, each in coarse steps and only if the score gains.

    Parameters
    ----------
    probabilities
        Calibrated, pooled, shape (units, classes).
    target
        Classes of the units.
    """
    logs = np.log(np.maximum(probabilities, 1e-12))
    offsets = np.zeros(probabilities.shape[1])
    if probabilities.shape[1] > 2:
        counts = np.bincount(target, minlength=probabilities.shape[1])
        best = best_normal_offset(target, logs, normal_index)[1]
        for index in np.flatnonzero(counts >= LEAST_UNITS).tolist():
            if index == normal_index or not np.isfinite(best):
                continue
            scores = [best_normal_offset(target, logs + _at(offsets, index, step), normal_index)[1] for step in STEPS]
            top = float(np.max(scores))
            if top > best + LEAST_GAIN:
                # Of the steps that are nearly as good the smallest: a plateau is left at its near side.
                near = np.flatnonzero(np.array(scores) >= top - LEAST_GAIN / 2)
                step = STEPS[near[np.argmin(np.abs(STEPS[near]))]]
                offsets, best = _at(offsets, index, step), scores[int(np.flatnonzero(step == STEPS)[0])]
    offsets[normal_index] = best_normal_offset(target, logs + offsets, normal_index)[0]
    return offsets


def decided_score(
    probabilities: NDArray[np.float64], offsets: NDArray[np.float64], target: NDArray[np.int64], normal_index: int
) -> float:
    """The plain (Se + Sp) / 2 of the decisions that the offsets lead to; NaN where undefined."""
    decided = (np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) + offsets).argmax(axis=1)
    return icbhi_score(target, decided, normal_index)


def _at(offsets: NDArray[np.float64], index: int, step: float) -> NDArray[np.float64]:
    moved = offsets.copy()
    moved[index] = step
    return moved


def _loss(probabilities: NDArray[np.float64], target: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(target)), target], 1e-12)).mean())
