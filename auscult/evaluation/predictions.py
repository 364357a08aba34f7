"""Who answers what: the model and the baselines, for every unit of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import open_array
from auscult.evaluation import baselines
from auscult.evaluation.assessment import MODEL, Judged
from auscult.evaluation.metrics import Answers
from auscult.evaluation.summary_statistics import pool, summarise
from auscult.features.examples import array_path, examples, pool_units

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel

#: Rows of the feature array that are read at a time; a multiple of the model's own batch.
ROWS = 2048


def judge(paths: Paths, representation: str, model: TrainedModel) -> Judged:
    """The answers of model and baselines for the units of validation, test and exempt.

    The baselines are fitted on the training units; their choices are made on
    validation. Labels of the test and exempt parts are only carried along.

    Raises
    ------
    DataError
        No unit of the test part carries a class of the task.
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
    seen = rows["part"].to_numpy() != "train"
    probabilities = np.zeros((len(rows), len(model.task.classes)))
    probabilities[seen] = predict(model, array, rows[seen])
    units, pooled = pool_units(rows, probabilities)
    others = _baselines(units, rows, array, model)
    shown = (units["part"] != "train").to_numpy()
    y = units["class_index"].to_numpy(dtype=np.int64)
    patients = units["patient_id"].to_numpy(dtype=object)
    answers = {MODEL: Answers(model.task, y, _decide(model, pooled, shown), pooled, patients)}
    answers |= {
        name: Answers(model.task, y, each.predicted, each.probabilities, patients) for name, each in others.items()
    }
    table = units[shown].reset_index(drop=True)
    return Judged(table, {name: each.where(shown) for name, each in answers.items()})


def predict(model: TrainedModel, array: NDArray[np.float32], rows: pd.DataFrame) -> NDArray[np.float64]:
    """The model's probabilities for rows of the array, shape (rows, classes), in bounded memory."""
    where = rows["row"].to_numpy(dtype=np.int64)
    frames = rows["frames"].to_numpy(dtype=np.int64)
    blocks = [
        model.probabilities(np.asarray(array[where[start : start + ROWS]]), frames[start : start + ROWS])
        for start in range(0, len(where), ROWS)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, len(model.task.classes)))


def _decide(model: TrainedModel, pooled: NDArray[np.float64], shown: NDArray[np.bool_]) -> NDArray[np.int64]:
    decided = np.zeros(len(pooled), dtype=np.int64)
    decided[shown] = model.decide(pooled[shown])
    return decided


def _baselines(
    table: pd.DataFrame, rows: pd.DataFrame, array: NDArray[np.float32], model: TrainedModel
) -> dict[str, baselines.Predicted]:
    """Every baseline's answers for the units of *table* (all parts)."""
    part = table["part"].to_numpy()
    y = table["class_index"].to_numpy(dtype=np.int64)
    hidden = np.where((part == "train") | (part == "validation"), y, -1)
    units = baselines.Units(model.task, hidden, part == "train", part == "validation")
    where = rows["row"].to_numpy(dtype=np.int64)
    statistics = summarise(array, where, rows["frames"].to_numpy(dtype=np.int64))
    if model.task.unit == "recording":
        statistics = pool(statistics, rows["unit_id"].factorize()[0].astype(np.int64))
    return {
        "constant": baselines.constant(units),
        "no_audio": baselines.no_audio(units, table),
        "opponent": baselines.opponent(units, statistics),
    }
