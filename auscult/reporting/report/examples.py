"""Example units with their picture and sound."""

from __future__ import annotations

from typing import Any

import numpy as np

from auscult.core.paths import Paths
from auscult.core.storage import open_array, read_json, read_table
from auscult.core.tasks import Task
from auscult.reporting.report import figures
from auscult.reporting.report.dataset import Tables, example_units

#: A longer example is cut here: the eye and the page have had enough.
LONGEST_S = 10.0


def illustrated(paths: Paths, tables: Tables, task: Task, count: int) -> list[dict[str, Any]]:
    """The units of :func:`auscult.reporting.report.dataset.example_units` with ``picture`` and ``sound`` as data addresses."""
    entries = example_units(tables, task, count)
    if not entries:
        return []
    rate = int(tables.audio["sample_rate_hz"])
    audio = open_array(paths.audio / "audio.npy")
    index = read_table(paths.audio / "index.parquet").set_index("recording_id")
    mel_rows = _MelRows(paths, task)
    for entry in entries:
        place = index.loc[entry["recording_id"]]
        first = int(place["offset"]) + round(entry["start_s"] * rate)
        last = int(place["offset"]) + min(round(entry["end_s"] * rate), int(place["length"]))
        mel, mel_s = mel_rows.of(entry["unit_id"])
        longest = min(LONGEST_S, mel_s) if mel is not None else LONGEST_S
        samples = np.asarray(audio[first : min(last, first + round(longest * rate))], dtype=np.float32)
        entry["picture"] = figures.example(samples, mel, tables.audio)
        entry["sound"] = figures.wav(samples, rate)
        entry["seconds"] = f"{len(samples) / rate:.1f}"
    return entries


class _MelRows:
    """Finds a unit's log-mel rows; for a recording its first window."""

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
        """Log-mel (bins, valid frames) and the seconds that it covers; None where there is none."""
        if not self._present or unit_id not in self._rows.index:
            return None, 0.0
        row = self._rows.loc[unit_id]
        frames = max(int(row["frames"]), 1)
        covered = min(float(row["end_s"] - row["start_s"]), self._length_s)
        return np.asarray(self._array[int(row["row"]), :, :frames]), covered
