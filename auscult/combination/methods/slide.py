"""A model of segments is slid along each recording; a logistic regression reads the class from what it heard.

The model of segments is applied to overlapping pieces of the recording. Four statistics of each class over the pieces
(maximum, upper quartile, mean and standard deviation of the log-probability) go into a logistic regression, and beside
them the log-probabilities by models of whole recordings, where there are such members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auscult.combination import members as beside
from auscult.combination.regression import apply, fit, logs
from auscult.features.examples import mean_by_unit

if TYPE_CHECKING:
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

__all__ = ["apply", "fit", "inputs", "obstacle", "rows"]

#: Part of a piece by which the next one begins later.
HOP = 0.5
#: Pieces per call of the networks.
CHUNK = 1024
STATISTICS = 4


def obstacle(task: Task, members: Sequence[TrainedModel]) -> str:
    """Return why these models cannot be combined for a task, or an empty string."""
    if task.unit != "recording":
        return f"the task {task.name!r} labels segments: there is nothing to slide along"
    if not members or members[0].task.unit != "segment" or "piece" not in members[0].about:
        return "its first member must be a trained model of segments"
    others = [each.experiment for each in members[1:] if each.task.unit != "recording"]
    return f"{', '.join(others)} is not a model of recordings: one model slides, the first" if others else ""


def rows(
    members: Sequence[TrainedModel],
    features: NDArray[np.float32],
    frames: NDArray[np.int64],
    folds: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the statistics over the pieces of each row, and what the other members say of it.

    Returns
    -------
    ndarray
        Shape (folds, n, 4 · classes + columns of the other members).
    """
    parts = [_statistics(members[0], features, frames, folds)]
    if members[1:]:
        parts.append(beside.rows(members[1:], features, frames, folds))
    return np.concatenate(parts, axis=2)


def _statistics(
    model: TrainedModel, features: NDArray[np.float32], frames: NDArray[np.int64], folds: NDArray[np.integer]
) -> NDArray[np.float64]:
    piece = int(model.about["piece"])
    hop = max(1, round(piece * HOP))
    frames = np.clip(np.asarray(frames), 1, features.shape[2])
    counts = 1 + np.maximum(0, -(-(frames - piece) // hop))
    owner = np.repeat(np.arange(len(features)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The last piece ends with the row.
    start = np.minimum(number * hop, np.maximum(frames[owner] - piece, 0))
    width = min(piece, features.shape[2])
    views = np.lib.stride_tricks.sliding_window_view(features, width, axis=2)
    heard = []
    for begin in range(0, len(owner), CHUNK):
        own, first = owner[begin : begin + CHUNK], start[begin : begin + CHUNK]
        heard.append(model.raw(views[own, :, first], np.minimum(frames[own] - first, width), folds[own]))
    heard_logs = logs(np.concatenate(heard, axis=1))
    result = np.empty((len(heard_logs), len(features), STATISTICS * heard_logs.shape[2]))
    for row, (end, count) in enumerate(zip(np.cumsum(counts), counts, strict=True)):
        its = heard_logs[:, end - count : end]
        statistics = (its.max(axis=1), np.quantile(its, 0.75, axis=1), its.mean(axis=1), its.std(axis=1))
        result[:, row] = np.concatenate(statistics, axis=1)
    return result


def inputs(
    members: Sequence[TrainedModel],
    rows: NDArray[np.float64],
    units: NDArray[np.integer],
    recordings: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the statistics of recordings: the maximum over the rows of the maxima, the mean of the others.

    Beside them the log-probabilities by the other members.
    """
    units = np.asarray(units)
    classes = len(members[0].task.classes)
    slid, others = np.split(rows, [STATISTICS * classes], axis=2)
    means = np.stack([mean_by_unit(each, units) for each in slid])
    maxima = np.full((len(slid), means.shape[1], classes), -np.inf)
    for fold, values in enumerate(slid):
        np.maximum.at(maxima[fold], units, values[:, :classes])
    parts = [maxima, means[:, :, classes:]]
    if members[1:]:
        parts.append(logs(beside.probabilities(members[1:], others, units, recordings)))
    return np.concatenate(parts, axis=2)
