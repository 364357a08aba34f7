"""Weights of a logistic regression for all classes, seen in training or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

#: Bias of a class that training lacks.
ABSENT = -20.0


def of_all_classes(
    model: LogisticRegression, inputs: NDArray[np.floating], target: NDArray[np.integer], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a logistic regression, and return its weights and biases for all classes.

    A class without rows gets a low probability; of a single class every row gets that one.

    Parameters
    ----------
    model
        Not fitted yet.
    inputs
        Shape (n, inputs).
    target
        Class of each row, shape (n,).
    classes
        Number of classes.

    Returns
    -------
    weights, biases
        Shapes (classes, inputs) and (classes,): the probabilities are softmax(inputs · weightsᵀ + biases).
    """
    seen = np.unique(target)
    weights = np.zeros((classes, inputs.shape[1]))
    biases = np.where(np.isin(np.arange(classes), seen), 0.0, ABSENT)
    if len(seen) > 1:
        model.fit(inputs, target)
        # Of two classes scikit-learn gives one row: the margin of the second.
        weights[seen[-len(model.coef_) :]] = model.coef_
        biases[seen[-len(model.coef_) :]] = model.intercept_
    return weights, biases
