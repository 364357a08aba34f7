"""A segment is read in the context of its recording: with what models of segments hear in the others beside it.

The sounds of one recording resemble each other: a crackle is more likely where other breaths crackle. The
log-probabilities of the segment and their mean over the other segments of the recording go into a logistic regression.
The members may have other classes than the task, such as finer ones: a network learns more from seven kinds of events
than from "normal or not".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auscult.combination.members import probabilities, rows
from auscult.combination.regression import apply, fit, logs

if TYPE_CHECKING:
    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel

__all__ = ["apply", "fit", "inputs", "obstacle", "rows"]


def obstacle(task: Task, members: Sequence[TrainedModel]) -> str:
    """Return why these models cannot be combined for a task, or an empty string."""
    if task.unit != "segment":
        return f"the task {task.name!r} labels recordings: they have no other segments beside them"
    others = [each.experiment for each in members if each.task.unit != "segment"]
    return f"{', '.join(others)} is not a model of segments" if others else ""


def inputs(
    members: Sequence[TrainedModel],
    rows: NDArray[np.float64],
    units: NDArray[np.integer],
    recordings: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the log-probabilities of each segment, and their mean over the others of its recording.

    Of a segment that is alone in its recording they are its own once more.

    Returns
    -------
    ndarray
        Shape (folds, units, 2 · classes of all members).
    """
    own = logs(probabilities(members, rows, units, recordings))
    sums = np.zeros((len(own), int(recordings.max(initial=-1)) + 1, own.shape[2]))
    for fold, values in enumerate(own):
        np.add.at(sums[fold], recordings, values)
    others = np.bincount(recordings)[recordings] - 1
    mean = (sums[:, recordings] - own) / np.maximum(others, 1)[:, None]
    return np.concatenate([own, np.where((others > 0)[:, None], mean, own)], axis=2)
