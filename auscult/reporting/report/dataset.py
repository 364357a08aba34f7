"""The report's section on the data: counts per part, rejected recordings, and example units with plot and sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.core.paths import Paths
from auscult.core.storage import open_array, read_json, read_table
from auscult.core.tasks import Task
from auscult.reporting.report import figures

if TYPE_CHECKING:
    import pandas as pd

#: A longer example is cut here, in seconds.
LONGEST_S = 10.0
#: Rejected recordings that are listed per reason.
LISTED = 10


@dataclass(frozen=True)
class Tables:
    """What the earlier stages wrote about the data."""

    recordings: pd.DataFrame
    segments: pd.DataFrame
    rejects: pd.DataFrame
    corrections: pd.DataFrame
    tasks: tuple[Task, ...]
    summary: Mapping[str, Any]
    split: Mapping[str, Any]
    audio: Mapping[str, Any]

    @classmethod
    def read(cls, paths: Paths) -> Tables:
        """Read the tables; recordings and segments get their ``part``."""
        split = read_table(paths.split / "assignment.parquet")[["recording_id", "part", "exempt_reason"]]
        recordings = read_table(paths.manifest / "recordings.parquet")
        segments = read_table(paths.manifest / "segments.parquet")
        return cls(
            recordings.drop(columns="exempt_reason", errors="ignore").merge(split, on="recording_id", how="left"),
            segments.merge(split[["recording_id", "part"]], on="recording_id", how="left"),
            read_table(paths.manifest / "rejects.parquet"),
            cls.corrected_in(paths),
            tuple(Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")),
            read_json(paths.manifest / "summary.json"),
            read_json(paths.split / "summary.json"),
            read_json(paths.audio / "spec.json"),
        )

    @staticmethod
    def corrected_in(paths: Paths) -> pd.DataFrame:
        """Return the corrections with the ``part`` of their patient; NA if no recording of the patient is left."""
        assignment = read_table(paths.split / "assignment.parquet")
        # A dropped recording is in no part, its patient's others are. Those of one patient may be exempt and test.
        ordered = assignment.sort_values("part", key=lambda parts: parts != "test", kind="stable")
        part_of = ordered.drop_duplicates("patient_id").set_index("patient_id")["part"]
        found = read_table(paths.manifest / "corrections.parquet")
        return found.assign(part=found["patient_id"].map(part_of))

    def corrected(self, part: str) -> int:
        """Return how many corrections concern patients of a part, those of dropped recordings included."""
        return int((self.corrections["part"] == part).sum())

    def shared(self) -> pd.DataFrame:
        """Return test recordings of patients whom the publisher's split has in training or validation as well."""
        return self.recordings[(self.recordings["part"] == "test") & self.recordings["exempt_reason"].notna()]

    def units(self, task: Task) -> pd.DataFrame:
        """Return the units that have a class of the task: ``unit_id``, start, end, ``class_name`` and part."""
        if task.unit == "segment":
            table = self.segments.rename(columns={"segment_id": "unit_id"})
        else:
            table = self.recordings.rename(columns={"duration_s": "end_s"}).assign(start_s=0.0)
            table["unit_id"] = table["recording_id"]
        table = table.assign(class_name=[task.mapping.get(label) for label in table["label"]])
        return table[table["class_name"].notna()]


def reject_rows(tables: Tables) -> list[dict[str, Any]]:
    """Return each reason for rejecting recordings, its count, and some of the recordings with the measured value.

    A recording may have several reasons.
    """
    rows = []
    for reason, group in tables.rejects.groupby("reason", sort=True):
        recordings = group.drop_duplicates("recording_id")
        rows.append(
            {
                "reason": str(reason).replace("_", " "),
                "meaning": tables.summary.get("rejects", {}).get(reason, {}).get("meaning", ""),
                "count": len(recordings),
                "examples": recordings.head(LISTED).to_dict("records"),
            }
        )
    return sorted(rows, key=lambda row: -row["count"])


def example_task(tables: Tables, names: set[str]) -> Task | None:
    """Return the task whose classes the examples show: of segments rather than recordings, with the most classes."""
    tasks = [task for task in tables.tasks if task.name in names] or list(tables.tasks)
    return max(tasks, key=lambda task: (task.unit == "segment", len(task.classes)), default=None)


def illustrated_examples(paths: Paths, tables: Tables, task: Task, count: int) -> list[dict[str, Any]]:
    """Return *count* example units per class, with ``picture`` and ``sound`` as data URIs."""
    entries = _example_units(tables, task, count)
    illustrate(paths, tables, task, entries)
    return entries


def illustrate(paths: Paths, tables: Tables, task: Task, entries: Sequence[dict[str, Any]]) -> None:
    """Add ``picture`` and ``sound`` as data URIs, and ``seconds``, to units.

    Parameters
    ----------
    entries
        Each has ``unit_id``, ``recording_id``, ``start_s`` and ``end_s``.
    """
    rate = int(tables.audio["sample_rate_hz"])
    audio = open_array(paths.audio / "audio.npy")
    index = read_table(paths.audio / "index.parquet").set_index("recording_id")
    log_mels = _LogMels(paths, task)
    for entry in entries:
        stored = index.loc[entry["recording_id"]]
        first = int(stored["offset"]) + round(entry["start_s"] * rate)
        last = int(stored["offset"]) + min(round(entry["end_s"] * rate), int(stored["length"]))
        mel, mel_s = log_mels.of(entry["unit_id"])
        longest = min(LONGEST_S, mel_s) if mel is not None else LONGEST_S
        samples = np.asarray(audio[first : min(last, first + round(longest * rate))], dtype=np.float32)
        entry["picture"] = figures.example(samples, mel, tables.audio)
        entry["sound"] = figures.wav(samples, rate)
        entry["seconds"] = f"{len(samples) / rate:.1f}"


def _example_units(tables: Tables, task: Task, count: int) -> list[dict[str, Any]]:
    """Choose the development units nearest to the median length of their class, each of another patient.

    From the development part: showing test recordings would invite choices that depend on them.
    """
    units = tables.units(task)
    units = units[units["part"] == "development"].assign(length=lambda table: table["end_s"] - table["start_s"])
    recordings = tables.recordings.set_index("recording_id")
    chosen: list[dict[str, Any]] = []
    for name in task.classes:
        of_class = units[units["class_name"] == name]
        distance = (of_class["length"] - of_class["length"].median()).abs().round(6)
        ranked = of_class.assign(distance=distance).sort_values(["distance", "unit_id"]).drop_duplicates("patient_id")
        chosen += [
            {
                "unit_id": row.unit_id,
                "recording_id": row.recording_id,
                "patient_id": row.patient_id,
                "class_name": name,
                "start_s": float(row.start_s),
                "end_s": float(row.end_s),
                "about": device_and_location(recordings.loc[row.recording_id]),
            }
            for row in ranked.head(count).itertuples()
        ]
    return chosen


def device_and_location(recording: pd.Series) -> str:
    """Return device and location of a recording, as far as they are known."""
    return ", ".join(recording[["device", "location"]].dropna().astype(str))


class _LogMels:
    """Log-mel spectrograms of units; of a recording, its first window."""

    def __init__(self, paths: Paths, task: Task) -> None:
        name = "segments" if task.unit == "segment" else "windows"
        folder = paths.features("logmel")
        self._present = (folder / f"{name}.npy").exists()
        if not self._present:
            return
        self._length_s = float(read_json(folder / "spec.json")[name]["length_s"])
        self._array = open_array(folder / f"{name}.npy")
        table = read_table(folder / f"{name}.parquet")
        table.insert(0, "row", range(len(table)))
        table = table[table["copy"] == "original"]
        key = "item_id" if task.unit == "segment" else "recording_id"
        self._rows = table.drop_duplicates(key).set_index(key)

    def of(self, unit_id: str) -> tuple[np.ndarray | None, float]:
        """Return the log-mel (bins, valid frames) and the seconds that it covers; None if it was not computed."""
        if not self._present or unit_id not in self._rows.index:
            return None, 0.0
        row = self._rows.loc[unit_id]
        frames = max(int(row["frames"]), 1)
        covered = min(float(row["end_s"] - row["start_s"]), self._length_s)
        return np.asarray(self._array[int(row["row"]), :, :frames]), covered
