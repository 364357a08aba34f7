"""From two registered models to a decision: read the test units, run both models on them, apply the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task, find_task
from auscult.evaluation.metrics import Predictions
from auscult.registry.gate.allowance import NOTHING, Spent
from auscult.registry.gate.model_process import Request, Responses, run_models
from auscult.registry.gate.noise import NOT_MEASURED, Noise
from auscult.registry.gate.rule import Contender, Decision, decide
from auscult.registry.versions import ROLLED_BACK, Version
from auscult.settings import GateSettings

if TYPE_CHECKING:
    import pandas as pd


def judge(
    workspace: Path,
    dataset: str,
    task_name: str,
    challenger: Version,
    champion: Version | None,
    settings: GateSettings,
    in_service: int = 1,
    noise: Noise = NOT_MEASURED,
    spent: Spent = NOTHING,
) -> Decision:
    """Run both models on the test part of *workspace* and apply the rule.

    Units that a publisher's split exempts are left out. A challenger that is the champion itself is not run.

    Parameters
    ----------
    workspace
        Root of the repository or worktree in which the challenger was made.
    task_name
        The experiment's task.
    in_service, noise, spent
        As for :func:`auscult.registry.gate.rule.decide`.
    """
    task = read_task(workspace, dataset, task_name)
    if champion is not None and champion.digest == challenger.digest:
        return decide(dataset, _contender(challenger), _contender(champion), settings, in_service)
    units = read_units(workspace, dataset, task)
    versions = [challenger, *([champion] if champion is not None else [])]
    responses = run_models([version.package for version in versions], requests_for(units, workspace, task))
    contenders = [_with_predictions(v, r, units, task) for v, r in zip(versions, responses, strict=True)]
    old = contenders[1] if champion is not None else None
    return decide(dataset, contenders[0], old, settings, in_service, noise, spent)


def read_task(workspace: Path, dataset: str, name: str) -> Task:
    """Return the task as the data set's file defined it when ``validate`` ran in *workspace*."""
    tasks = [Task.from_json(entry) for entry in read_json(workspace / Paths(dataset).manifest / "tasks.json")]
    return find_task(name, tasks, dataset=dataset, experiment=name)


def read_units(workspace: Path, dataset: str, task: Task) -> pd.DataFrame:
    """Return the test units that have a class of the task and are not exempt, sorted by recording.

    Returns
    -------
    DataFrame
        ``recording_id``, ``patient_id``, ``path``, ``start_s``, ``end_s`` (NaN for a whole recording), ``class_index``.

    Raises
    ------
    DataError
        There is none.
    """
    paths = Paths(dataset)
    split = read_table(workspace / paths.split / "assignment.parquet")
    recordings = read_table(workspace / paths.manifest / "recordings.parquet")
    # With `split.official: published` the test part also holds exempt recordings, some of training patients.
    tested = (split["part"] == "test") & split["exempt_reason"].isna()
    recordings = recordings[recordings["recording_id"].isin(split.loc[tested, "recording_id"])]
    if task.unit == "recording":
        units = recordings.assign(start_s=np.nan, end_s=np.nan)
    else:
        segments = read_table(workspace / paths.manifest / "segments.parquet")
        units = segments.merge(recordings[["recording_id", "path"]], on="recording_id", how="inner")
    labels = [None if label != label else label for label in units["label"]]
    units = units.assign(class_index=[task.class_index(label) for label in labels])
    units = units[units["class_index"] >= 0]
    if units.empty:
        raise DataError(
            f"the test part holds no {task.unit} with a class of task {task.name!r}",
            where=str(workspace / paths.split / "assignment.parquet"),
            next_step="raise split.test_share in params.yaml, or look at the rejects in validation.html",
        )
    columns = ["recording_id", "patient_id", "path", "start_s", "end_s", "class_index"]
    return units.sort_values(["recording_id", "start_s"], kind="stable")[columns].reset_index(drop=True)


def requests_for(units: pd.DataFrame, workspace: Path, task: Task) -> list[Request]:
    """Return one request per recording, in the order of the units."""
    requests = []
    for _, rows in units.groupby("recording_id", sort=False):
        whole = task.unit == "recording"
        segments = ((None, None),) if whole else tuple(zip(rows["start_s"], rows["end_s"], strict=True))
        requests.append(Request(workspace / "data" / str(rows["path"].iloc[0]), segments))
    return requests


def _contender(version: Version) -> Contender:
    keys = _description(version.folder).get("learned_from")
    return Contender(
        version=version.number,
        digest=version.digest,
        learned_from=frozenset(str(key) for key in keys) if isinstance(keys, list) else None,
        predictions=None,
        fault="it was not run",
        rolled_back=version.tags.get(ROLLED_BACK, ""),
    )


def _with_predictions(version: Version, responses: Responses, units: pd.DataFrame, task: Task) -> Contender:
    fault = responses.fault or _other_task(_description(version.folder), task) or _other_classes(responses, task)
    predictions = None
    if not fault:
        predictions = Predictions(
            task,
            units["class_index"].to_numpy(dtype=np.int64),
            np.array([task.classes.index(label) for label in responses.labels], dtype=np.int64),
            np.array(responses.probabilities, dtype=np.float64).reshape(len(units), len(task.classes)),
            units["patient_id"].to_numpy(dtype=object),
        )
    return replace(
        _contender(version),
        predictions=predictions,
        fault=fault,
        latency_ms=responses.latency_ms,
        size_mb=sum(file.stat().st_size for file in (version.folder / "weights").glob("*")) / 1e6,
    )


def _other_task(about: Mapping[str, Any], task: Task) -> str:
    known = about.get("task") or {}
    if (known.get("name"), known.get("unit")) == (task.name, task.unit):
        return ""
    return (
        f"it is a model for task {known.get('name')!r} per {known.get('unit')}, not for {task.name!r} per {task.unit}"
    )


def _other_classes(responses: Responses, task: Task) -> str:
    if list(responses.classes) != list(task.classes):
        return f"it knows the classes {', '.join(responses.classes)}; the task has {', '.join(task.classes)}"
    others = sorted(set(responses.labels) - set(task.classes))
    return f"it predicts {', '.join(others)}; the task has {', '.join(task.classes)}" if others else ""


def _description(folder: Path) -> dict[str, Any]:
    """Return the content of ``model.json``; empty if it cannot be read."""
    try:
        about = read_json(folder / "model.json")
    except DataError:
        return {}
    return about if isinstance(about, dict) else {}
