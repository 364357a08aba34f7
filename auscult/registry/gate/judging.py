"""From two registered models to a decision: the test units, both models' answers, the rule."""

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
from auscult.registry.gate.evidence import Contender
from auscult.registry.gate.rule import Decision, decide
from auscult.registry.gate.served import Question, Replies, ask
from auscult.registry.versions import WITHDRAWN, Version
from auscult.settings import GateSettings

if TYPE_CHECKING:
    import pandas as pd


def judge(
    place: Path,
    dataset: str,
    task_name: str,
    challenger: Version,
    champion: Version | None,
    settings: GateSettings,
    in_service: int = 1,
) -> Decision:
    """Ask both models about the test part that lies in *place*, and apply the rule.

    What a publisher's split exempts is not asked. A challenger that is the champion is not asked anything.

    Parameters
    ----------
    place
        Root of the repository, or of the worktree, in which the challenger was made.
    task_name
        The experiment's task.
    """
    task = read_task(place, dataset, task_name)
    if champion is not None and champion.digest == challenger.digest:
        return decide(dataset, _unasked(challenger), _unasked(champion), settings, in_service)
    units = read_units(place, dataset, task)
    questions = questions_of(units, place, task)
    versions = [challenger, *([champion] if champion is not None else [])]
    replies = ask([version.package for version in versions], questions)
    contenders = [_contender(v, r, units, task) for v, r in zip(versions, replies, strict=True)]
    return decide(dataset, contenders[0], contenders[1] if champion is not None else None, settings, in_service)


def read_task(place: Path, dataset: str, name: str) -> Task:
    """The task as the data set's file defined it when ``validate`` ran there."""
    tasks = [Task.from_json(entry) for entry in read_json(place / Paths(dataset).manifest / "tasks.json")]
    return find_task(name, tasks, dataset=dataset, experiment=name)


def read_units(place: Path, dataset: str, task: Task) -> pd.DataFrame:
    """The test units that carry a class of the task and are not exempt, those of one recording together.

    Returns
    -------
    DataFrame
        ``recording_id``, ``patient_id``, ``path``, ``start_s``, ``end_s`` (NaN for a whole recording), ``class_index``.
    """
    paths = Paths(dataset)
    split = read_table(place / paths.split / "assignment.parquet")
    recordings = read_table(place / paths.manifest / "recordings.parquet")
    # With `split.official: published` the test part holds the exempt too, some of patients who are in training.
    asked = (split["part"] == "test") & split["exempt_reason"].isna()
    recordings = recordings[recordings["recording_id"].isin(split.loc[asked, "recording_id"])]
    if task.unit == "recording":
        units = recordings.assign(start_s=np.nan, end_s=np.nan)
    else:
        segments = read_table(place / paths.manifest / "segments.parquet")
        units = segments.merge(recordings[["recording_id", "path"]], on="recording_id", how="inner")
    labels = [None if label != label else label for label in units["label"]]
    units = units.assign(class_index=[task.class_index(label) for label in labels])
    units = units[units["class_index"] >= 0]
    if units.empty:
        raise DataError(
            f"the test part holds no {task.unit} with a class of task {task.name!r}",
            where=str(place / paths.split / "assignment.parquet"),
            next_step="raise split.test_share in params.yaml, or look at the rejects in validation.html",
        )
    columns = ["recording_id", "patient_id", "path", "start_s", "end_s", "class_index"]
    return units.sort_values(["recording_id", "start_s"], kind="stable")[columns].reset_index(drop=True)


def questions_of(units: pd.DataFrame, place: Path, task: Task) -> list[Question]:
    """One question per recording, in the order of the units."""
    questions = []
    for _, rows in units.groupby("recording_id", sort=False):
        whole = task.unit == "recording"
        stretches = ((None, None),) if whole else tuple(zip(rows["start_s"], rows["end_s"], strict=True))
        questions.append(Question(place / "data" / str(rows["path"].iloc[0]), stretches))
    return questions


def _contender(version: Version, replies: Replies, units: pd.DataFrame, task: Task) -> Contender:
    fault = replies.fault or _other_task(_description(version.folder), task) or _other_classes(replies, task)
    return replace(
        _unasked(version),
        answers=None if fault else _answers(replies, units, task),
        fault=fault,
        latency_ms=replies.latency_ms,
        size_mb=_size_mb(version.folder),
    )


def _unasked(version: Version) -> Contender:
    return Contender(
        version=version.number,
        digest=version.digest,
        learned_from=_learned_from(_description(version.folder)),
        answers=None,
        fault="it was not asked",
        withdrawn=version.tags.get(WITHDRAWN, ""),
    )


def _other_task(about: Mapping[str, Any], task: Task) -> str:
    known = about.get("task") or {}
    if (known.get("name"), known.get("unit")) == (task.name, task.unit):
        return ""
    return (
        f"it is a model for task {known.get('name')!r} per {known.get('unit')}; asked is {task.name!r} per {task.unit}"
    )


def _other_classes(replies: Replies, task: Task) -> str:
    known, said = list(replies.classes), set(replies.labels) - set(task.classes)
    if known != list(task.classes):
        return f"it knows the classes {', '.join(known)}; the task has {', '.join(task.classes)}"
    return f"it answers {', '.join(sorted(said))}; the task has {', '.join(task.classes)}" if said else ""


def _answers(replies: Replies, units: pd.DataFrame, task: Task) -> Predictions:
    return Predictions(
        task,
        units["class_index"].to_numpy(dtype=np.int64),
        np.array([task.classes.index(label) for label in replies.labels], dtype=np.int64),
        np.array(replies.probabilities, dtype=np.float64).reshape(len(units), len(task.classes)),
        units["patient_id"].to_numpy(dtype=object),
    )


def _description(folder: Path) -> dict[str, Any]:
    """What ``model.json`` says; empty where it cannot be read."""
    try:
        about = read_json(folder / "model.json")
    except DataError:
        return {}
    return about if isinstance(about, dict) else {}


def _learned_from(about: Mapping[str, Any]) -> frozenset[str] | None:
    """Keys of the patients that a trained model has learned from; ``None`` where its description does not say."""
    keys = about.get("learned_from")
    return frozenset(str(key) for key in keys) if isinstance(keys, list) else None


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in (folder / "weights").glob("*")) / 1e6
