"""The data as the page shows them: counts per part, rejects, example units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.core.paths import Paths
from auscult.core.records import PARTS
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tables:
    """What the earlier stages wrote about the data."""

    recordings: pd.DataFrame
    segments: pd.DataFrame
    rejects: pd.DataFrame
    tasks: tuple[Task, ...]
    summary: Mapping[str, Any]
    audio: Mapping[str, Any]

    @classmethod
    def read(cls, paths: Paths) -> Tables:
        """Read them; recordings and segments carry their ``part``."""
        split = read_table(paths.split / "assignment.parquet")[["recording_id", "part", "exempt_reason"]]
        recordings = read_table(paths.manifest / "recordings.parquet")
        segments = read_table(paths.manifest / "segments.parquet")
        return cls(
            recordings.drop(columns="exempt_reason", errors="ignore").merge(split, on="recording_id", how="left"),
            segments.merge(split[["recording_id", "part"]], on="recording_id", how="left"),
            read_table(paths.manifest / "rejects.parquet"),
            tuple(Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")),
            read_json(paths.manifest / "summary.json"),
            read_json(paths.audio / "spec.json"),
        )

    def shared(self) -> pd.DataFrame:
        """Recordings that the publisher put into the test part though their patients are on the other side as well."""
        return self.recordings[(self.recordings["part"] == "test") & self.recordings["exempt_reason"].notna()]

    def units(self, task: Task) -> pd.DataFrame:
        """Units of a task that carry one of its classes: ``unit_id``, start, end, ``class_name`` and their part."""
        if task.unit == "segment":
            table = self.segments.rename(columns={"segment_id": "unit_id"})
        else:
            table = self.recordings.rename(columns={"duration_s": "end_s"}).assign(start_s=0.0)
            table["unit_id"] = table["recording_id"]
        labels = [None if label != label else label for label in table["label"]]
        table = table.assign(class_name=[None if label is None else task.mapping.get(label) for label in labels])
        return table[table["class_name"].notna()]


def size_rows(tables: Tables) -> list[dict[str, Any]]:
    """Recordings, patients, segments and hours of each part."""
    rows = []
    for part in PARTS:
        inside = tables.recordings[tables.recordings["part"] == part]
        if len(inside):
            rows.append(
                {
                    "part": part,
                    "patients": int(inside["patient_id"].nunique()),
                    "recordings": len(inside),
                    "segments": int((tables.segments["part"] == part).sum()),
                    "hours": f"{inside['duration_s'].sum() / 3600:.2f}",
                }
            )
    return rows


def class_rows(tables: Tables, task: Task) -> list[dict[str, Any]]:
    """One row per class of a task: units, and patients in parentheses, per part."""
    units = tables.units(task)
    rows = []
    for name in task.classes:
        mine = units[units["class_name"] == name]
        counts = {}
        for part in PARTS:
            inside = mine[mine["part"] == part]
            counts[part] = {"units": len(inside), "patients": int(inside["patient_id"].nunique())}
        rows.append({"name": name, "normal": name == task.normal, "parts": counts})
    return rows


def reject_rows(tables: Tables) -> list[dict[str, Any]]:
    """Each reason for setting recordings aside: how many, and which with what was measured (at most ten).

    A recording may have several reasons.
    """
    rows = []
    meanings = tables.summary.get("rejects", {})
    for reason, group in tables.rejects.groupby("reason", sort=True):
        known = meanings.get(reason)
        rows.append(
            {
                "reason": str(reason).replace("_", " "),
                "meaning": known.get("meaning", "") if isinstance(known, dict) else "",
                "count": int(group["recording_id"].nunique()),
                "examples": [
                    {"recording": row.recording_id, "detail": row.detail}
                    for row in group.drop_duplicates("recording_id").head(10).itertuples()
                ],
            }
        )
    return sorted(rows, key=lambda row: -row["count"])


def example_units(tables: Tables, task: Task, count: int) -> list[dict[str, Any]]:
    """Training units to show, *count* per class, each of another patient: those nearest to the class's median length.

    The training part, because whoever looks at test recordings starts to choose by them.
    """
    units = tables.units(task)
    units = units[units["part"] == "train"].assign(length=lambda table: table["end_s"] - table["start_s"])
    chosen: list[dict[str, Any]] = []
    for name in task.classes:
        mine = units[units["class_name"] == name]
        order = mine.assign(far=(mine["length"] - mine["length"].median()).abs().round(6))
        order = order.sort_values(["far", "unit_id"]).drop_duplicates("patient_id")
        chosen += [
            {
                "unit_id": row.unit_id,
                "recording_id": row.recording_id,
                "patient_id": row.patient_id,
                "class_name": name,
                "start_s": float(row.start_s),
                "end_s": float(row.end_s),
            }
            for row in order.head(count).itertuples()
        ]
    about = tables.recordings.set_index("recording_id")
    for entry in chosen:
        row = about.loc[entry["recording_id"]]
        known = [str(row[name]) for name in ("device", "location") if row[name] is not None and row[name] == row[name]]
        entry["about"] = ", ".join(known)
    return chosen


def example_task(tables: Tables, wanted: set[str]) -> Task | None:
    """The task whose classes are shown as examples: the finest per segment, else per recording."""
    tasks = [task for task in tables.tasks if task.name in wanted] or list(tables.tasks)
    return max(tasks, key=lambda task: (task.unit == "segment", len(task.classes)), default=None)
