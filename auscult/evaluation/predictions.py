"""Predictions of the model and of the baselines for every unit of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from auscult.core.cohorts import COHORTS
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import open_array
from auscult.evaluation import baselines
from auscult.evaluation.finished_baselines import finished
from auscult.evaluation.metrics import Predictions
from auscult.features.examples import array_path, examples, mean_by_unit, recordings_of, units_of
from auscult.features.functionals import pool, summarise
from auscult.training.decision import crossed
from auscult.training.trained_model import in_blocks

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel

MODEL = "model"
#: Stands for a missing value in tables of groups.
UNKNOWN = "unknown"
#: Decimals of probabilities. Metrics are computed from the rounded ones, so that what predictions.parquet holds gives
#: every figure again.
DECIMALS = 9


@dataclass(frozen=True)
class UnitPredictions:
    """The units of an experiment with the predictions of the model and of each baseline, in one order.

    Attributes
    ----------
    table
        One row per unit: the columns of :func:`auscult.features.examples.examples`.
    predictions
        ``model`` and each baseline → its predictions for these units.
    cohorts
        Kind of cohort (device, location, period) → the model's predictions for these units, where calibration and
        decision come from the development units of the other cohorts; meaningful for the development part.
    by_patient
        For a task per recording: the class that the model decides for the unit's patient, from the mean probability
        over the patient's recordings in the unit's part, shape (n,); else None.
    """

    table: pd.DataFrame
    predictions: Mapping[str, Predictions]
    cohorts: Mapping[str, Predictions] = field(default_factory=dict)
    by_patient: NDArray[np.int64] | None = None

    def of_part(self, part: str) -> UnitPredictions:
        """Return the units of one part."""
        return self.where((self.table["part"] == part).to_numpy())

    def where(self, mask: NDArray[np.bool_]) -> UnitPredictions:
        """Return the units selected by *mask*, shape (n,)."""
        selected = {name: each.where(mask) for name, each in self.predictions.items()}
        cohorts = {name: each.where(mask) for name, each in self.cohorts.items()}
        by_patient = None if self.by_patient is None else self.by_patient[mask]
        return UnitPredictions(self.table[mask].reset_index(drop=True), selected, cohorts, by_patient)


def predict_units(paths: Paths, representation: str, model: TrainedModel) -> UnitPredictions:
    """Return the predictions of model and baselines for every unit of development, test and exempt.

    The units of the development part have the part ``validation``: each is predicted by the network that was trained
    without its fold, with calibration and offsets from the other folds. Labels of the test and exempt parts are only
    carried along. Classes are decided before the probabilities are rounded to :data:`DECIMALS`.

    Raises
    ------
    DataError
        No unit of the test part has a class of the task, or the model was trained on other folds.
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
    units, codes = units_of(rows)
    fold = units["fold"].to_numpy(np.int64)
    if stray := sorted(set(fold[fold >= 0].tolist()) - set(model.folds)):
        raise DataError(
            f"the model {model.experiment!r} has no network for fold {stray[0]} of the split",
            where=str(paths.model(model.experiment)),
            next_step=f"train it again: dvc repro train@{model.experiment}",
        )
    pooled = model.by_unit(in_blocks(model.raw, array, rows), codes, recordings_of(units))
    own = fold >= 0
    probabilities, decided = np.empty(pooled.shape[1:]), np.empty(len(units), dtype=np.int64)
    probabilities[own], decided[own] = model.out_of_fold(pooled[:, own], fold[own])
    for part in units["part"][~own].unique():  # a rule may look at all units that are decided together
        its = (units["part"] == part).to_numpy()
        probabilities[its] = model.calibrated(pooled[:, its])
        decided[its] = model.decide(probabilities[its])
    y = units["class_index"].to_numpy(dtype=np.int64)
    patients = units["patient_id"].to_numpy(dtype=object)
    found = {MODEL: Predictions(model.task, y, decided, probabilities.round(DECIMALS), patients)}
    for name, each in _baseline_predictions(units, rows, array, model, codes).items():
        found[name] = Predictions(model.task, y, each.predicted, each.probabilities.round(DECIMALS), patients)
    cohorts = {}
    for column in COHORTS:
        names = units[column].astype(object).where(units[column].notna(), UNKNOWN).to_numpy(dtype=str)
        if len(set(names[own])) > 1:
            raw = np.select([(fold == number)[:, None] for number in model.folds], list(pooled), pooled[0])
            p, classes = probabilities.copy(), decided.copy()
            p[own], classes[own] = crossed(
                model.fitted.decision.rule, raw[own], y[own], names[own], model.task.normal_index
            )
            cohorts[column] = Predictions(model.task, y, classes, p.round(DECIMALS), patients)
    table = units.assign(part=units["part"].replace("development", "validation"))
    by_patient = _decided_by_patient(found[MODEL], table["part"], model) if model.task.unit == "recording" else None
    return UnitPredictions(table, found, cohorts, by_patient)


def patient_means(predictions: Predictions) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.float64]]:
    """Return the patients, sorted, the number of each unit's patient, and the patients' mean probabilities.

    Returns
    -------
    names, codes, means
        Shapes (p,), (n,) and (p, classes).
    """
    names, codes = np.unique(np.asarray(predictions.patients, dtype=str), return_inverse=True)
    return names.astype(object), codes, mean_by_unit(predictions.probabilities, codes)


def _decided_by_patient(predictions: Predictions, part: pd.Series, model: TrainedModel) -> NDArray[np.int64]:
    """Return the class decided for each unit's patient, shape (n,); the patients of a part are one batch."""
    decided = np.zeros(len(predictions), dtype=np.int64)
    for name in part.unique():
        own = (part == name).to_numpy()
        _, codes, means = patient_means(predictions.where(own))
        decided[own] = model.decide(means)[codes]
    return decided


def _baseline_predictions(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    array: NDArray[np.float32],
    model: TrainedModel,
    codes: NDArray[np.int64],
) -> dict[str, baselines.BaselinePredictions]:
    """Return the predictions of every baseline for the units of *table* (all parts); *codes* are the rows' units."""
    fold = table["fold"].to_numpy(dtype=np.int64)
    y = table["class_index"].to_numpy(dtype=np.int64)
    units = baselines.Units(model.task, np.where(fold >= 0, y, -1), fold)  # no label of the test part
    where = rows["row"].to_numpy(dtype=np.int64)
    statistics = summarise(array, where, rows["frames"].to_numpy(dtype=np.int64))
    if model.task.unit == "recording":
        statistics = pool(statistics, codes)
    return finished(
        *(units, table, statistics),
        lambda: {
            "constant": baselines.constant(units),
            "metadata_only": baselines.metadata_only(units, table),
            "gradient_boosting": baselines.gradient_boosting(units, statistics),
        },
    )
