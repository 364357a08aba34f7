"""Counts of the split, results of the leak check, and notes for the reader."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from auscult.core.records import PARTS
from auscult.core.sections import SplitParams
from auscult.core.tasks import Task
from auscult.splitting.leaks import Check, sides
from auscult.splitting.near_duplicates import NearDuplicate
from auscult.splitting.parts import Split, class_indices

logger = logging.getLogger(__name__)


def summarise(
    result: Split,
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    checks: Sequence[Check],
    near_duplicates: Sequence[NearDuplicate],
) -> dict[str, Any]:
    """Return counts per part and task, leak checks, exempt recordings, the publisher's split and notes; log them."""
    assignment = result.assignment
    part = assignment.set_index("recording_id")["part"]
    side = dict(zip(assignment["recording_id"], sides(assignment), strict=True))
    parts: dict[str, Any] = {name: _part(name, part, recordings, segments, tasks) for name in PARTS}
    folds = assignment[assignment["fold"] >= 0].groupby("fold")
    exempt = assignment.loc[
        assignment["exempt_reason"].notna(), ["recording_id", "patient_id", "part", "exempt_reason"]
    ]
    summary = {
        "official": params.official,
        "test_from": result.test_from,
        "additions": _additions(recordings),
        "parts": parts,
        "folds": [
            {"fold": int(fold), "patients": int(rows["patient_id"].nunique()), "recordings": len(rows)}
            for fold, rows in folds
        ],
        "published": {
            str(name): {"patients": int(rows["patient_id"].nunique()), "recordings": len(rows)}
            for name, rows in assignment.groupby("published_part")
        },
        "exempt": exempt.rename(columns={"exempt_reason": "reason"}).to_dict("records"),
        "leak_checks": [asdict(check) for check in checks],
        "near_duplicates_on_one_side": [
            f"{pair.first} and {pair.second} ({side[pair.first]}): {pair}"
            for pair in near_duplicates
            if side[pair.first] == side[pair.second]
        ],
        # Training fails without a class, and scoring it is impossible.
        "notes": [
            f"task {task.name}: no patient with class {name!r} in the {part_name} part"
            for task in tasks
            for name in task.classes
            for part_name in ("development", "test")
            if not parts[part_name]["tasks"][task.name][name]["patients"]
        ],
    }
    _log(summary)
    return summary


def _additions(recordings: pd.DataFrame) -> dict[str, int]:
    """Count the recordings of additions, and their patients by whether they are in the data set as downloaded."""
    with_batch = recordings["batch"].notna()
    patients = set(recordings.loc[with_batch, "patient_id"])
    known = patients & set(recordings.loc[~with_batch, "patient_id"])
    return {
        "recordings": int(with_batch.sum()),
        "known_patients": len(known),
        "new_patients": len(patients - known),
    }


def _part(
    name: str, part: pd.Series, recordings: pd.DataFrame, segments: pd.DataFrame, tasks: Sequence[Task]
) -> dict[str, Any]:
    names = set(part.index[part == name])
    mine = recordings[recordings["recording_id"].isin(names)]
    pieces = segments[segments["recording_id"].isin(names)]
    return {
        "patients": int(mine["patient_id"].nunique()),
        "recordings": len(mine),
        "segments": len(pieces),
        "hours": round(float(mine["duration_s"].sum()) / 3600.0, 4),
        "tasks": {task.name: _classes(task, mine if task.unit == "recording" else pieces) for task in tasks},
    }


def _classes(task: Task, units: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return class → numbers of units and patients, in the order of the task's classes."""
    index = class_indices(task, units)
    return {
        name: {"units": int((index == i).sum()), "patients": int(units.loc[index == i, "patient_id"].nunique())}
        for i, name in enumerate(task.classes)
    }


def _log(summary: dict[str, Any]) -> None:
    for name, counts in summary["parts"].items():
        if counts["recordings"]:
            logger.info("split: %s: %d patients, %d recordings", name, counts["patients"], counts["recordings"])
    if (added := summary["additions"])["recordings"]:
        known, new = added["known_patients"], added["new_patients"]
        logger.info(
            "split: additions: %d recordings of %d known patients, who keep their part, and of %d new patients,"
            " who are assigned by seed and id",
            *(added["recordings"], known, new),
        )
    for note in (*summary["near_duplicates_on_one_side"], *summary["notes"]):
        logger.info("split: note: %s", note)
