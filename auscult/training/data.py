"""Training and validation rows of one experiment, in memory; the test part is never read."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.core.digests import digest
from auscult.core.errors import DataError, LeakError
from auscult.core.paths import Paths
from auscult.core.sections import Experiment
from auscult.core.storage import open_array, read_json, read_table
from auscult.core.tasks import Task
from auscult.features.examples import array_path, examples, load_task, mean_by_unit, require_every_class
from auscult.training.normaliser import Normaliser

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Training rows as interpolations of features: x = first + step · (second − first).

    All arrays have shape (n,). ``first`` and ``second`` are positions in :attr:`TrainingData.features`,
    equal for an original row.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    step: NDArray[np.float32]
    target: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, index: NDArray[Any]) -> Rows:
        """Return the rows at an index or where a mask is true."""
        return Rows(self.first[index], self.second[index], self.step[index], self.target[index])


@dataclass(frozen=True)
class Validation:
    """Validation rows and the units (segments, recordings) that they belong to.

    Attributes
    ----------
    rows
        Positions in :attr:`TrainingData.features`, shape (n,).
    units
        Number of each row's unit, 0…u−1 in order of appearance, shape (n,).
    target
        Class of each unit, shape (u,).
    """

    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    target: NDArray[np.int64]

    def pool(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean over the rows of each unit, shape (n, k) → (u, k)."""
        return mean_by_unit(values, self.units)


@dataclass(frozen=True)
class TrainingData:
    """Everything that a trial needs; workers share it and do not write to it.

    Attributes
    ----------
    features
        Normalised rows, shape (n, bins, frames), float32.
    valid
        Frames of each row that a model may use, shape (n,).
    originals, synthetic
        Training rows.
    patients
        Patients of the training and validation rows, sorted.
    key
        Digest of all data: equal keys give equal trainings.
    """

    task: Task
    spec: dict[str, Any]
    normaliser: Normaliser
    features: NDArray[np.float32]
    valid: NDArray[np.int64]
    originals: Rows
    synthetic: Rows
    validation: Validation
    patients: tuple[str, ...]
    key: str

    def training_rows(self, use_synthetic: bool) -> Rows:
        """Return the originals, followed by the synthetic rows if they are used."""
        if not use_synthetic or not len(self.synthetic):
            return self.originals
        both = self.originals, self.synthetic
        return Rows(*(np.concatenate([getattr(rows, field.name) for rows in both]) for field in fields(Rows)))


def load(paths: Paths, name: str, experiment: Experiment) -> TrainingData:
    """Load the rows of an experiment in the training and validation parts, and normalise them.

    Raises
    ------
    DataError
        A class is missing from the training part, or there is no validation part.
    LeakError
        The balanced table refers to rows outside the training part.
    """
    task = load_task(paths, experiment.task, name)
    table = examples(paths, experiment.features, task, parts=("train", "validation"))
    balanced = read_table(paths.balanced(name))
    spec = read_json(paths.features(experiment.features) / "spec.json")
    training = table[table["part"] == "train"]
    held_out = table[(table["part"] == "validation") & (table["copy"] == "original")]
    _check(paths, name, task, training, held_out, balanced)

    used = table.loc[(table["part"] == "train") | (table["copy"] == "original"), ["row", "frames", "copy", "part"]]
    rows, frames = used["row"].to_numpy(np.int64), used["frames"].to_numpy(np.int64)
    features = np.array(open_array(array_path(paths, experiment.features, task))[rows], dtype=np.float32)
    features_key = hashlib.sha256(features.data).hexdigest()
    key = digest(features_key, *map(_table_key, (used, held_out, balanced)), spec, task.to_json())
    fitted_on = ((used["part"] == "train") & (used["copy"] == "original")).to_numpy()
    normaliser = Normaliser.fit(features[fitted_on], frames[fitted_on], spec["padding"])
    normaliser.apply(features, frames)
    synthetic = (balanced["kind"] == "synthetic").to_numpy()
    training_rows = _rows(balanced, rows)
    units, _ = held_out["unit_id"].factorize()
    return TrainingData(
        task=task,
        spec=spec,
        normaliser=normaliser,
        features=features,
        valid=normaliser.valid(frames, features.shape[2]),
        originals=training_rows.take(~synthetic),
        synthetic=training_rows.take(synthetic),
        validation=Validation(
            rows=np.searchsorted(rows, held_out["row"].to_numpy(np.int64)),
            units=units.astype(np.int64),
            target=held_out.drop_duplicates("unit_id")["class_index"].to_numpy(np.int64),
        ),
        patients=tuple(sorted({*training["patient_id"], *held_out["patient_id"]})),
        key=key,
    )


def _check(
    paths: Paths, name: str, task: Task, training: pd.DataFrame, held_out: pd.DataFrame, balanced: pd.DataFrame
) -> None:
    require_every_class(task, balanced.loc[balanced["kind"] == "original", "class_index"], paths, name)
    if held_out.empty:
        raise DataError(
            f"the validation part holds no {task.unit} of task {task.name!r}, so no trial can be chosen",
            where=f"experiment {name}, data set {paths.dataset}",
            next_step="choose another split.validation_fold or split.seed in params.yaml",
        )
    seen = set(held_out["class_index"])
    absent = [title for index, title in enumerate(task.classes) if index not in seen]
    if absent:
        logger.warning(
            "train: WARNING: the validation part holds no %s that is %s: trials and thresholds are chosen without it",
            *(task.unit, " or ".join(absent)),
        )
    parents = set(balanced["row"]) | set(balanced.loc[balanced["kind"] == "synthetic", "parent"])
    stray = parents - set(training["row"])
    if stray:
        raise LeakError(
            f"{len(stray)} rows of the balanced table are not of the training part, first row {min(stray)}",
            where=str(paths.balanced(name)),
            next_step=f"make it again: dvc repro --force balance@{name}",
        )


def _rows(balanced: pd.DataFrame, rows: NDArray[np.int64]) -> Rows:
    """Return the rows of the balanced table, with positions among *rows* (ascending) instead of in the array."""
    first = balanced["row"].to_numpy(np.int64)
    second = balanced["parent"].to_numpy(np.int64)
    second = np.where(second < 0, first, second)
    return Rows(
        first=np.searchsorted(rows, first),
        second=np.searchsorted(rows, second),
        step=balanced["step"].to_numpy(np.float32),
        target=balanced["class_index"].to_numpy(np.int64),
    )


def _table_key(table: pd.DataFrame) -> str:
    """Return a digest of a table's values without its index."""
    return hashlib.sha256(table.to_csv(index=False, float_format="%.17g").encode()).hexdigest()
