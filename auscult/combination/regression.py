"""A multinomial logistic regression of standardised inputs, stored as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.models.layers.linear import of_all_classes
from auscult.training.score import softmax

#: Inverse strengths of the penalty to choose from, strongest first.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Least probability whose logarithm is an input: one very sure network should not decide a mean.
LEAST = 1e-4


def logs(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of probabilities as inputs of :func:`fit`."""
    result: NDArray[np.float64] = np.log(np.maximum(probabilities, LEAST))
    return result


def fit(
    inputs: NDArray[np.float64], target: NDArray[np.int64], classes: int, folds: NDArray[np.int64]
) -> dict[str, Any]:
    """Fit on units; a class without units gets a low probability.

    The strength of the penalty is the one with the lowest log loss, each fold predicted from the others; of a single
    fold it is the strongest.

    Parameters
    ----------
    inputs
        Shape (n, inputs).
    target
        Class of each unit, shape (n,).
    folds
        Fold of each unit, shape (n,).
    """
    numbers = np.unique(folds)
    losses = np.zeros(len(STRENGTHS))
    for number in numbers if len(numbers) > 1 else ():
        own = folds == number
        for place, strength in enumerate(STRENGTHS):
            p = apply(_fit(inputs[~own], target[~own], classes, strength), inputs[own])
            losses[place] -= np.log(np.maximum(p[np.arange(len(p)), target[own]], LEAST)).sum()
    return _fit(inputs, target, classes, STRENGTHS[int(losses.argmin())])


def _fit(inputs: NDArray[np.float64], target: NDArray[np.int64], classes: int, strength: float) -> dict[str, Any]:
    # Training alone needs it, and it takes more than a second.
    from sklearn.linear_model import LogisticRegression

    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-6)
    weights, biases = of_all_classes(model, (inputs - mean) / scale, target, classes)
    named = {"mean": mean, "scale": scale, "weights": weights, "biases": biases}
    return {name: values.tolist() for name, values in named.items()} | {"strength": strength}


def apply(fitted: Mapping[str, Any], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (n, classes) of inputs (n, inputs)."""
    names = ("mean", "scale", "weights", "biases")
    mean, scale, weights, biases = (np.asarray(fitted[name], dtype=np.float64) for name in names)
    return softmax((inputs - mean) / scale @ weights.T + biases)
