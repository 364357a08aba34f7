"""Predictions of the model and of the baselines for every unit of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import open_array
from auscult.evaluation import baselines
from auscult.evaluation.metrics import Predictions
from auscult.features.examples import array_path, examples, pool_units

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel

MODEL = "model"
#: Rows of the feature array that are read at a time; a multiple of the model's own batch.
ROWS = 2048


@dataclass(frozen=True)
class UnitPredictions:
    """The units of an experiment with the predictions of the model and of each baseline, in one order.

    Attributes
    ----------
    table
        One row per unit: the columns of :func:`auscult.features.examples.examples`.
    predictions
        ``model`` and each baseline → its predictions for these units.
    """

    table: pd.DataFrame
    predictions: Mapping[str, Predictions]

    def of_part(self, part: str) -> UnitPredictions:
        """Return the units of one part."""
        return self.where((self.table["part"] == part).to_numpy())

    def where(self, mask: NDArray[np.bool_]) -> UnitPredictions:
        """Return the units selected by *mask*, shape (n,)."""
        selected = {name: each.where(mask) for name, each in self.predictions.items()}
        return UnitPredictions(self.table[mask].reset_index(drop=True), selected)


def predict_units(paths: Paths, representation: str, model: TrainedModel) -> UnitPredictions:
    """Return the predictions of model and baselines for the units of validation, test and exempt.

    The baselines are fitted on the training units and selected on validation. Labels of the test and exempt parts
    are only carried along.

    Raises
    ------
    DataError
        No unit of the test part has a class of the task.
    """
    rows = examples(paths, representation, model.task)
    rows = rows[rows["copy"] == "original"].reset_index(drop=True)
    if not (rows["part"] == "test").any():
        raise DataError(
            f"the test part holds no {model.task.unit} with a class of task {model.task.name!r}",
            where=str(paths.split / "assignment.parquet"),
            next_step="raise split.test_share in params.yaml, or look at the rejects in validation.html",
        )
    array = open_array(array_path(paths, representation, model.task))
    outside_training = rows["part"].to_numpy() != "train"
    probabilities = np.zeros((len(rows), len(model.task.classes)))
    probabilities[outside_training] = _model_probabilities(model, array, rows[outside_training])
    units, pooled = pool_units(rows, probabilities)
    shown = (units["part"] != "train").to_numpy()
    decided = np.zeros(len(units), dtype=np.int64)
    decided[shown] = model.decide(pooled[shown])
    y = units["class_index"].to_numpy(dtype=np.int64)
    patients = units["patient_id"].to_numpy(dtype=object)
    found = {MODEL: Predictions(model.task, y, decided, pooled, patients)}
    for name, each in _baseline_predictions(units, rows, array, model).items():
        found[name] = Predictions(model.task, y, each.predicted, each.probabilities, patients)
    return UnitPredictions(units, found).where(shown)


def _model_probabilities(model: TrainedModel, array: NDArray[np.float32], rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the model's probabilities for rows of the array, shape (rows, classes), in bounded memory."""
    where = rows["row"].to_numpy(dtype=np.int64)
    frames = rows["frames"].to_numpy(dtype=np.int64)
    blocks = [
        model.probabilities(np.asarray(array[where[start : start + ROWS]]), frames[start : start + ROWS])
        for start in range(0, len(where), ROWS)
    ]
    return np.concatenate(blocks)


def _baseline_predictions(
    table: pd.DataFrame, rows: pd.DataFrame, array: NDArray[np.float32], model: TrainedModel
) -> dict[str, baselines.BaselinePredictions]:
    """Return the predictions of every baseline for the units of *table* (all parts)."""
    part = table["part"].to_numpy()
    y = table["class_index"].to_numpy(dtype=np.int64)
    hidden = np.where((part == "train") | (part == "validation"), y, -1)  # no label of the test part
    units = baselines.Units(model.task, hidden, part == "train", part == "validation")
    where = rows["row"].to_numpy(dtype=np.int64)
    statistics = baselines.summarise(array, where, rows["frames"].to_numpy(dtype=np.int64))
    if model.task.unit == "recording":
        statistics = baselines.pool(statistics, rows["unit_id"].factorize()[0].astype(np.int64))
    return {
        "constant": baselines.constant(units),
        "metadata_only": baselines.metadata_only(units, table),
        "gradient_boosting": baselines.gradient_boosting(units, statistics),
    }
