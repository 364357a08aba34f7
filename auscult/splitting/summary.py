"""The split in figures: what each part holds, what was checked, what a reader should know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auscult.core.records import PARTS
from auscult.core.sections import SplitParams
from auscult.core.tasks import Task
from auscult.splitting.leaks import Check
from auscult.splitting.near_duplicates import Twin
from auscult.splitting.parts import Split

if TYPE_CHECKING:
    import pandas as pd


def summarise(
    result: Split,
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    checks: Sequence[Check],
    twins: Sequence[Twin],
) -> dict[str, Any]:
    """Counts per part and task, leak checks, exempt recordings, the publisher's version, notes."""
    assignment = result.assignment
    part = assignment.set_index("recording_id")["part"]
    parts: dict[str, Any] = {name: _part(name, part, recordings, segments, tasks) for name in PARTS}
    folds = assignment[assignment["fold"] >= 0].groupby("fold")
    exempt = assignment[assignment["exempt_reason"].notna()]
    return {
        "official": params.official,
        "test_from": result.test_from,
        "validation_fold": params.validation_fold,
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
        "exempt": [
            {
                "recording_id": row.recording_id,
                "patient_id": row.patient_id,
                "part": row.part,
                "reason": row.exempt_reason,
            }
            for row in exempt.itertuples()
        ],
        "leak_checks": [check.to_json() for check in checks],
        "twins_in_one_part": [
            f"{twin.first} and {twin.second} ({part[twin.first]}): {twin}"
            for twin in twins
            if part[twin.first] == part[twin.second]
        ],
        "notes": _notes(parts, tasks),
    }


def _additions(recordings: pd.DataFrame) -> dict[str, int]:
    """How many recordings came with additions, and of whom: patients known without them, who decide, and new ones."""
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
    """Class → its units and patients, in the order of the task's classes."""
    index = units["label"].map(lambda label: task.class_index(label if isinstance(label, str) else None))
    return {
        name: {"units": int((index == i).sum()), "patients": int(units.loc[index == i, "patient_id"].nunique())}
        for i, name in enumerate(task.classes)
    }


def _notes(parts: dict[str, Any], tasks: Sequence[Task]) -> list[str]:
    """Classes that a part has no patient of: training on them fails, scoring them is impossible."""
    return [
        f"task {task.name}: no patient with class {name!r} in the {part} part"
        for task in tasks
        for name in task.classes
        for part in ("train", "validation", "test")
        if not parts[part]["tasks"][task.name][name]["patients"]
    ]
