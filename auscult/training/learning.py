"""Fit a model in one go (see :class:`auscult.models.Learner`) on the folds that it does not hold out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from auscult.core.sections import TrainParams
from auscult.models import Hyperparameters, Learned, Learner, load
from auscult.training.batches import sorted_batches
from auscult.training.data import FoldData, Rows
from auscult.training.loop import Fitted, rank, validate

BATCH = 256


class TrainingBatches:
    """Training rows, read in batches; see :class:`auscult.models.Batches`."""

    def __init__(self, data: FoldData, rows: Rows) -> None:
        self.target = rows.target
        self.piece = data.data.piece
        self._data, self._rows = data, rows

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]:
        for index in sorted_batches(self._data.valid[self._rows.first], BATCH):
            yield index, *self._data.assembled(self._rows.take(index))


def fit(
    data: FoldData,
    model: str,
    hyperparameters: Hyperparameters,
    params: TrainParams,
    seed: int,
    stop_early: Callable[[dict[str, float]], bool] = lambda entry: False,
    epochs: int | None = None,
) -> Fitted:
    """Fit one model: the counterpart of :func:`auscult.training.loop.fit`, with one "epoch".

    The outputs contain the class shares already: their log-prior is 0.
    """
    rows = data.training_rows(bool(hyperparameters.get("use_synthetic", False)))
    batches = TrainingBatches(data, rows)
    learned = cast(Learner, load(model)).fit(batches, len(data.data.task.classes), hyperparameters, seed)
    loss, right = 0.0, 0
    for index, x, valid in batches:
        logs, target = learned.log_probabilities(x, valid), rows.target[index]
        loss -= float(logs[np.arange(len(index)), target].astype(np.float64).sum())
        right += int((logs.argmax(axis=1) == target).sum())
    logs = predict(learned, data, data.held_out.rows)
    entry = {
        "epoch": 1,
        "train_loss": loss / len(rows),
        "train_accuracy": right / len(rows),
        **validate(data, logs),
        "learning_rate": float(hyperparameters.get("learning_rate", float("nan"))),
    }
    stop_early(entry)
    return Fitted(
        history=[entry],
        epochs=1,
        score=entry["validation_score"],
        rank=rank(entry),
        learned=learned,
        logits=logs,
    )


def predict(learned: Learned, data: FoldData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the log-probabilities of rows of the features, shape (n, classes)."""
    logs = np.zeros((len(rows), len(data.data.task.classes)), dtype=np.float32)
    for index in sorted_batches(data.valid[rows], BATCH):
        valid = data.valid[rows[index]]
        logs[index] = learned.log_probabilities(data.normalised(rows[index], int(valid.max())), valid)
    return logs
