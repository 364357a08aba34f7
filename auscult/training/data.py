"""Rows of the development part of one experiment, in memory, by held-out fold; the test part is never read."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.core.cohorts import COHORTS
from auscult.core.digests import digest
from auscult.core.errors import LeakError
from auscult.core.paths import Paths
from auscult.core.sections import Experiment, TrainParams
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
class HeldOut:
    """Rows of the held-out fold and the units (segments, recordings) that they belong to.

    Attributes
    ----------
    rows
        Positions in :attr:`TrainingData.features`, shape (n,).
    units
        Number of each row's unit, 0…u−1 in order of appearance, shape (n,).
    target
        Class of each unit, shape (u,).
    cohorts
        ``patient_id`` and the cohorts of each unit, u rows.
    """

    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    target: NDArray[np.int64]
    cohorts: pd.DataFrame

    def pool(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean over the rows of each unit, shape (n, k) → (u, k)."""
        return mean_by_unit(values, self.units)


@dataclass(frozen=True)
class TrainingData:
    """Everything that a trial needs; workers share it and do not write to it.

    Attributes
    ----------
    features
        Rows as the feature stage wrote them, shape (n, bins, frames), float32.
    frames
        Valid frames of each row, shape (n,).
    table
        Columns ``unit_id``, ``patient_id``, ``fold``, ``copy``, ``class_index`` and the cohorts of each row.
    piece
        Frames of a row in training.
    synthetic
        Synthetic training rows of all folds.
    synthetic_fold
        The held-out fold that each of them is made for.
    patients
        Patients of the development part, sorted.
    key
        Digest of all data: equal keys give equal trainings.
    """

    task: Task
    spec: dict[str, Any]
    features: NDArray[np.float32]
    frames: NDArray[np.int64]
    table: pd.DataFrame
    piece: int
    synthetic: Rows
    synthetic_fold: NDArray[np.int64]
    patients: tuple[str, ...]
    key: str

    @cached_property
    def folds(self) -> list[int]:
        """Return the folds that hold out units of the task, ascending."""
        return [int(fold) for fold in np.unique(self.table["fold"])]

    def without(self, fold: int) -> FoldData:
        """Return the data of the model that *fold* is held out of."""
        held_out = ((self.table["fold"] == fold) & (self.table["copy"] == "original")).to_numpy()
        training = np.flatnonzero((self.table["fold"] != fold).to_numpy())
        originals = training[(self.table["copy"] == "original").to_numpy()[training]]
        target = self.table["class_index"].to_numpy(np.int64)
        outside = self.table[held_out]
        first = outside.drop_duplicates("unit_id")
        return FoldData(
            data=self,
            fold=fold,
            normaliser=Normaliser.fit(self.features, self.frames, str(self.spec["padding"]), originals),
            originals=Rows(training, training, np.zeros(len(training), dtype=np.float32), target[training]),
            synthetic=self.synthetic.take(self.synthetic_fold == fold),
            held_out=HeldOut(
                rows=np.flatnonzero(held_out),
                units=outside["unit_id"].factorize()[0].astype(np.int64),
                target=first["class_index"].to_numpy(np.int64),
                cohorts=first[["patient_id", *COHORTS]].reset_index(drop=True),
            ),
        )


@dataclass(frozen=True)
class FoldData:
    """The training rows outside a fold, and the units of the fold.

    Attributes
    ----------
    normaliser
        Fitted on the originals outside the fold.
    originals, synthetic
        Training rows; the originals include augmented copies.
    """

    data: TrainingData
    fold: int
    normaliser: Normaliser
    originals: Rows
    synthetic: Rows
    held_out: HeldOut

    def training_rows(self, use_synthetic: bool) -> Rows:
        """Return the originals, followed by the synthetic rows if they are used."""
        if not use_synthetic or not len(self.synthetic):
            return self.originals
        both = self.originals, self.synthetic
        return Rows(*(np.concatenate([getattr(rows, field.name) for rows in both]) for field in fields(Rows)))

    def log_prior(self, rows: Rows) -> NDArray[np.float32]:
        """Return the logarithms of the class shares among training rows, shape (classes,)."""
        counts = np.maximum(np.bincount(rows.target, minlength=len(self.data.task.classes)), 1)
        return np.log(counts / counts.sum()).astype(np.float32)

    @cached_property
    def valid(self) -> NDArray[np.int64]:
        """Frames of each row of the features that a model may use, shape (n,)."""
        return self.normaliser.valid(self.data.frames, self.data.features.shape[2])

    def assembled(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return training rows, normalised, shape (n, bins, frames), and the valid frames of each, shape (n,)."""
        # After the end of one parent a synthetic row is partly padding: it ends with the nearer parent.
        valid = self.valid[np.where(rows.step < 0.5, rows.first, rows.second)]
        needed = int(valid.max())
        x = self.normalised(rows.first, needed)
        synthetic = np.flatnonzero(rows.first != rows.second)
        if len(synthetic):
            step = rows.step[synthetic, None, None]
            x[synthetic] += step * (self.normalised(rows.second[synthetic], needed) - x[synthetic])
        return x, valid

    def normalised(self, rows: NDArray[np.int64], needed: int) -> NDArray[np.float32]:
        """Return the first *needed* frames of rows, normalised, shape (n, bins, needed)."""
        x = self.data.features[rows, :, :needed]
        self.normaliser.apply(x, self.data.frames[rows])
        return x


def load(paths: Paths, name: str, experiment: Experiment, params: TrainParams) -> TrainingData:
    """Load the rows of an experiment in the development part.

    Raises
    ------
    DataError
        A class is missing from the development part.
    LeakError
        The balanced table refers to rows outside the development part, or to rows of the fold that it holds out.
    """
    task = load_task(paths, experiment.task, name)
    table = examples(paths, experiment.features, task, parts=("development",))
    require_every_class(task, table["class_index"], paths, name)
    balanced = read_table(paths.balanced(name))
    spec = read_json(paths.features(experiment.features) / "spec.json")
    _check(paths, name, task, table, balanced)
    used = table[["row", "unit_id", "frames", "copy", "fold", "class_index", *COHORTS]]
    rows = used["row"].to_numpy(np.int64)
    features = np.array(open_array(array_path(paths, experiment.features, task))[rows], dtype=np.float32)
    features_key = hashlib.sha256(features.data).hexdigest()
    return TrainingData(
        task=task,
        spec=spec,
        features=features,
        frames=used["frames"].to_numpy(np.int64),
        table=table[["unit_id", "patient_id", "fold", "copy", "class_index", *COHORTS]].reset_index(drop=True),
        piece=_frames(spec, params.piece_s.of(task.unit)),
        synthetic=Rows(
            first=np.searchsorted(rows, balanced["row"].to_numpy(np.int64)),
            second=np.searchsorted(rows, balanced["parent"].to_numpy(np.int64)),
            step=balanced["step"].to_numpy(np.float32),
            target=balanced["class_index"].to_numpy(np.int64),
        ),
        synthetic_fold=balanced["fold"].to_numpy(np.int64),
        patients=tuple(sorted(set(table["patient_id"]))),
        key=digest(features_key, *map(_table_key, (used, balanced)), spec, task.to_json()),
    )


def _frames(spec: dict[str, Any], length_s: float) -> int:
    return max(1, round(length_s * spec["resample"]["sample_rate_hz"] / spec["features"]["hop_length"]))


def _check(paths: Paths, name: str, task: Task, table: pd.DataFrame, balanced: pd.DataFrame) -> None:
    folds = table.groupby("class_index")["fold"].nunique()
    single = [task.classes[index] for index, count in folds.items() if count < 2]
    if single:
        logger.warning(
            "train: WARNING: %s: only one fold holds %s: the model of that fold is trained without it",
            *(name, " and ".join(single)),
        )
    fold_of = dict(zip(table["row"], table["fold"], strict=True))
    for column in ("row", "parent"):
        of_parent = balanced[column].map(fold_of)
        stray = of_parent.isna() | (of_parent == balanced["fold"])
        if stray.any():
            raise LeakError(
                f"{int(stray.sum())} rows of the balanced table have a parent outside the folds that they are for,"
                f" first row {balanced.loc[stray, column].min()}",
                where=str(paths.balanced(name)),
                next_step="make it again: dvc repro --force balance",
            )


def _table_key(table: pd.DataFrame) -> str:
    """Return a digest of a table's values without its index."""
    return hashlib.sha256(table.to_csv(index=False, float_format="%.17g").encode()).hexdigest()
