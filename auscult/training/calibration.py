"""Calibrate probabilities and choose the offsets of the decision, both on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from auscult.training.score import best_normal_offset, softmax

#: Standard deviations of the normal priors on log temperature and on the biases: they hold a fit on few units.
TEMPERATURE_SPREAD, BIAS_SPREAD = 1.0, 2.0
#: Offsets to try for a class other than the normal one, and the smallest gain of the score (0 to 1) that counts.
STEPS = np.arange(-2.0, 2.01, 0.25)
LEAST_GAIN = 0.005
#: A class with fewer out-of-fold units than this keeps the offset 0.
LEAST_UNITS = 10
#: Lowest probability whose logarithm is taken.
FLOOR = 1e-12


@dataclass(frozen=True)
class Calibration:
    """Maps the probabilities of a network to calibrated ones: softmax(log p / temperature + biases).

    Attributes
    ----------
    biases
        Shape (classes,), sum 0.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017 (arXiv 1706.04599), for the temperature; the
    biases are those of Alexandari et al., "Maximum likelihood with bias-corrected calibration is hard-to-beat at label
    shift adaptation", ICML 2020 (arXiv 1901.06852).
    """

    temperature: float
    biases: NDArray[np.float64]

    @classmethod
    def fit(cls, probabilities: NDArray[np.float64], target: NDArray[np.int64]) -> Calibration:
        """Return the calibration with the lowest negative log-likelihood.

        Parameters
        ----------
        probabilities
            Of units by a network that was not trained on them, shape (n, classes).
        target
            Classes of the units, shape (n,).
        """
        classes = probabilities.shape[1]
        logs = np.log(np.maximum(probabilities, FLOOR))
        one_hot = np.eye(classes)[target]

        def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scaled = logs * np.exp(-values[0])
            fitted = softmax(scaled + values[1:])
            likelihood = np.log(np.maximum(fitted[np.arange(len(target)), target], FLOOR)).sum()
            prior = (values[0] / TEMPERATURE_SPREAD) ** 2 + (np.square(values[1:]) / BIAS_SPREAD**2).sum()
            apart = fitted - one_hot
            slope = np.concatenate([[-(apart * scaled).sum()], apart.sum(axis=0)])
            slope += values / np.array([TEMPERATURE_SPREAD**2, *[BIAS_SPREAD**2] * classes])
            return float(prior / 2 - likelihood), slope

        found = minimize(loss, np.zeros(1 + classes), jac=True, method="BFGS", options={"gtol": 1e-6 * len(target)})
        biases = found.x[1:] - found.x[1:].mean()
        return cls(float(np.exp(found.x[0])), np.asarray(biases, dtype=np.float64))

    def apply(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated probabilities, of the same shape (…, classes)."""
        return softmax(np.log(np.maximum(probabilities, FLOOR)) / self.temperature + self.biases)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        return {"temperature": self.temperature, "biases": self.biases.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read the result of :meth:`to_json`."""
        return cls(float(data["temperature"]), np.asarray(data["biases"], dtype=np.float64))


def fit_offsets(
    probabilities: NDArray[np.float64], target: NDArray[np.int64], normal_index: int
) -> NDArray[np.float64]:
    """Return offsets of the log-probabilities that raise the score, shape (classes,).

    The normal class comes first (for two classes this is the threshold), then every other class
    with enough units, in coarse steps and only if the score gains.

    Parameters
    ----------
    probabilities
        Calibrated, of units out of fold, shape (units, classes).
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
