"""Temperature and class offsets of the decision, both chosen on the validation units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.training.data import Validation
from auscult.training.score import best_normal_offset, calibrated

#: Temperatures to try; outside this range the fit would follow a handful of items.
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8.0), 101))
#: Offsets to try for a class other than the normal one, and the smallest gain of the score (0 to 1) that counts.
STEPS = np.arange(-2.0, 2.01, 0.25)
LEAST_GAIN = 0.005
#: A class with fewer validation units than this keeps the offset 0.
LEAST_UNITS = 10


def fit_temperature(logits: NDArray[np.float64], held_out: Validation, biases: NDArray[np.float64]) -> float:
    """Return the temperature with the lowest negative log-likelihood of the pooled probabilities.

    Parameters
    ----------
    logits
        Of each seed for each validation row, shape (seeds, n, classes).
    biases
        Added after the division, shape (classes,); see :func:`prior_biases`.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017 (arXiv 1706.04599).
    """
    target = held_out.target

    def loss(temperature: float) -> float:
        probabilities = held_out.pool(calibrated(logits, temperature, biases))
        return float(-np.log(np.maximum(probabilities[np.arange(len(target)), target], 1e-12)).mean())

    return float(min(TEMPERATURES, key=loss))


def prior_biases(
    trained_on: NDArray[np.int64], weights: NDArray[np.floating], originals: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what to add to logits to correct them to the original class frequencies.

    Synthetic rows and class weights change the class prior that the network learns: its log-odds
    contain log(weight · rows trained on / original rows).

    Parameters
    ----------
    trained_on, originals
        Classes of the rows used in training and of the original rows.
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
    """Return offsets of the log-probabilities that raise the validation score, shape (classes,).

    The normal class comes first (for two classes this is the threshold), then every other class
    with enough units, in coarse steps and only if the score gains.

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
                # Take the smallest of the steps that are nearly as good.
                near = np.flatnonzero(np.array(scores) >= top - LEAST_GAIN / 2)
                step = STEPS[near[np.argmin(np.abs(STEPS[near]))]]
                offsets, best = _at(offsets, index, step), scores[int(np.flatnonzero(step == STEPS)[0])]
    offsets[normal_index] = best_normal_offset(target, logs + offsets, normal_index)[0]
    return offsets


def _at(offsets: NDArray[np.float64], index: int, step: float) -> NDArray[np.float64]:
    moved = offsets.copy()
    moved[index] = step
    return moved
