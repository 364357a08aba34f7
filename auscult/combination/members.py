"""The outputs of several trained models for the same rows, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from auscult.training.trained_model import TrainedModel


def rows(
    members: Sequence[TrainedModel],
    features: NDArray[np.float32],
    frames: NDArray[np.int64],
    folds: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the outputs of all members for each row, shape (folds, n, columns of all members).

    *features*, *frames* and *folds* are as for :meth:`TrainedModel.raw`.
    """
    return np.concatenate([each.raw(features, frames, folds) for each in members], axis=2)


def probabilities(
    members: Sequence[TrainedModel],
    rows: NDArray[np.float64],
    units: NDArray[np.integer],
    recordings: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the probabilities of units by all members, shape (folds, units, classes of all members).

    *rows* is the result of :func:`rows`; *units* and *recordings* are as for :meth:`TrainedModel.by_unit`.
    """
    ends = np.cumsum([each.columns for each in members])[:-1]
    parts = zip(members, np.split(rows, ends, axis=2), strict=True)
    return np.concatenate([each.by_unit(part, units, recordings) for each, part in parts], axis=2)
