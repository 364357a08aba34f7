"""A weighted geometric mean of the probabilities of several models of one task.

The probabilities are softmax(Σ wₘ log pₘ + b): logarithmic opinion pooling (Heskes, "Selecting weighting factors in
logarithmic opinion pools", NIPS 1997) with a bias per class. The weights are not negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from auscult.combination.members import probabilities, rows
from auscult.training.calibration import BIAS_SPREAD, FLOOR
from auscult.training.score import softmax

if TYPE_CHECKING:
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

__all__ = ["apply", "fit", "inputs", "obstacle", "rows"]

#: Standard deviation of the normal prior on each weight around the plain mean: it holds a fit on few units.
WEIGHT_SPREAD = 0.3


def obstacle(task: Task, members: Sequence[TrainedModel]) -> str:
    """Return why these models cannot be combined for a task, or an empty string."""
    if len(members) < 2:
        return "an ensemble needs two members or more"
    others = [each.experiment for each in members if each.task != task]
    return f"{', '.join(others)} has another task than {task.name!r}" if others else ""


def inputs(
    members: Sequence[TrainedModel],
    rows: NDArray[np.float64],
    units: NDArray[np.integer],
    recordings: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the log-probabilities of units by all members, shape (folds, units, members · classes)."""
    logs: NDArray[np.float64] = np.log(np.maximum(probabilities(members, rows, units, recordings), FLOOR))
    return logs


def fit(
    inputs: NDArray[np.float64], target: NDArray[np.int64], classes: int, folds: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the weights of the members and the biases of the classes with the highest likelihood."""
    logs = inputs.reshape(len(inputs), -1, classes)
    members = logs.shape[1]
    centre = np.concatenate([np.full(members, 1.0 / members), np.zeros(classes)])
    spread = np.concatenate([np.full(members, WEIGHT_SPREAD), np.full(classes, BIAS_SPREAD)])
    one_hot = np.eye(classes)[target]

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        fitted = softmax(np.einsum("nmc,m->nc", logs, values[:members]) + values[members:])
        likelihood = np.log(np.maximum(fitted[np.arange(len(target)), target], FLOOR)).sum()
        apart = fitted - one_hot
        slope = np.concatenate([np.einsum("nc,nmc->m", apart, logs), apart.sum(axis=0)])
        scaled = (values - centre) / spread
        return float(np.square(scaled).sum() / 2 - likelihood), slope + scaled / spread

    bounds = [(0.0, None)] * members + [(None, None)] * classes
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    biases = found.x[members:] - found.x[members:].mean()
    return {"weights": found.x[:members].tolist(), "biases": biases.tolist()}


def apply(fitted: Mapping[str, Any], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (n, classes) of inputs (n, members · classes)."""
    weights, biases = (np.asarray(fitted[key], dtype=np.float64) for key in ("weights", "biases"))
    return softmax(np.einsum("nmc,m->nc", inputs.reshape(len(inputs), len(weights), -1), weights) + biases)
