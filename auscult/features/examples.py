"""Labelled rows of an experiment: features joined with the split and the classes of a task.

The stages ``balance``, ``train`` and ``evaluate`` read them; each requests only the parts it may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.core.cohorts import periods
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.records import PARTS, Part
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task, Unit, find_task

#: Unit of a task → name of the array, and of the table beside it, with its rows.
ARRAYS: dict[Unit, str] = {"segment": "segments", "recording": "windows"}


def load_task(paths: Paths, name: str, experiment: str) -> Task:
    """Return the task of an experiment, as the data set's file defined it when ``validate`` ran."""
    tasks = [Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")]
    return find_task(name, tasks, dataset=paths.dataset, experiment=experiment)


def array_path(paths: Paths, representation: str, task: Task) -> Path:
    """Return the path of the array that ``examples`` refers to, of shape (rows, bins, frames)."""
    return paths.features(representation) / f"{ARRAYS[task.unit]}.npy"


def examples(paths: Paths, representation: str, task: Task, parts: Sequence[Part] = PARTS) -> pd.DataFrame:
    """Return the rows of the feature array that have a class of the task, in the order of the array.

    Returns
    -------
    DataFrame
        ``row`` (position in the array), ``item_id``, ``unit_id`` (the segment, or the
        recording of a window, for which a prediction is made),
        ``recording_id``, ``patient_id``, ``start_s``, ``end_s``, ``copy``, ``frames``,
        ``part``, ``fold``, ``class_index``, ``device``, ``location``, ``age_years``, ``sex``,
        ``period`` (see :mod:`auscult.core.cohorts`), ``duration_s`` (of the unit).

    Raises
    ------
    DataError
        There is no such row.
    """
    items = read_table(paths.features(representation) / f"{ARRAYS[task.unit]}.parquet")
    items.insert(0, "row", range(len(items)))
    split = read_table(paths.split / "assignment.parquet")[["recording_id", "part", "fold"]]
    recordings = read_table(paths.manifest / "recordings.parquet")
    recordings["period"] = periods(recordings)
    about = recordings[["recording_id", "device", "location", "period", "age_years", "sex", "duration_s", "label"]]
    table = items.merge(split, on="recording_id", how="inner", validate="many_to_one")
    table = table.merge(about, on="recording_id", how="left", validate="many_to_one")
    if task.unit == "segment":
        segments = read_table(paths.manifest / "segments.parquet")[["segment_id", "label"]]
        table = table.drop(columns="label").merge(
            segments, left_on="item_id", right_on="segment_id", how="left", validate="many_to_one"
        )
        table["unit_id"] = table["segment_id"]
        table["duration_s"] = table["end_s"] - table["start_s"]
        table = table.drop(columns="segment_id")
    else:
        table["unit_id"] = table["recording_id"]
    table["class_index"] = [task.class_index(label) for label in table["label"]]
    table = table[(table["class_index"] >= 0) & table["part"].isin(list(parts))]
    if table.empty:
        raise DataError(
            f"no {task.unit} of data set {paths.dataset!r} has a class of task {task.name!r} in {', '.join(parts)}",
            where=str(paths.manifest),
            next_step="check the rejects in validation.html and the split in params.yaml",
        )
    return table.sort_values("row").drop(columns="label").reset_index(drop=True)


def units_of(rows: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the first row of each unit, in order of appearance, and the number of each row's unit, 0…u−1.

    *rows* is a table of :func:`examples` without augmented copies.
    """
    return rows.drop_duplicates("unit_id").reset_index(drop=True), rows["unit_id"].factorize()[0].astype(np.int64)


def recordings_of(units: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each unit's recording, 0…r−1, shape (u,)."""
    return units["recording_id"].factorize()[0].astype(np.int64)


def mean_by_unit(values: NDArray[np.floating], units: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean over the rows of each unit: values (n, k) and unit numbers (n,), 0…u−1, → (u, k)."""
    sizes = np.bincount(units)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, units, values)
    return sums / sizes[:, None]


def require_every_class(task: Task, present: Iterable[int], paths: Paths, experiment: str) -> None:
    """Raise ``DataError`` unless the development part holds each class of the task; *present* are class indices."""
    seen = set(present)
    missing = [name for index, name in enumerate(task.classes) if index not in seen]
    if missing:
        raise DataError(
            f"the development part holds no {task.unit} of class {', '.join(missing)} of task {task.name!r}"
            f" (experiment {experiment!r})",
            where=str(paths.split / "assignment.parquet"),
            next_step="choose another split.seed, add recordings of that class, or remove the experiment",
        )
