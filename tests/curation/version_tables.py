"""Tables of versions of a generated data set, of any size, in which tests change something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.tasks import Task
from auscult.curation.diff.version import DataVersion

LABELS = ("COPD", "Healthy", "URTI")
SOUNDS = ("normal", "crackle", "wheeze")
TASKS = (
    Task(
        "binary",
        "recording",
        ("healthy", "ill"),
        "healthy",
        {n: "healthy" if n == "Healthy" else "ill" for n in LABELS},
    ),
    Task("sounds", "segment", SOUNDS, "normal", {name: name for name in SOUNDS}),
)


def make_version(recordings: int = 24, segments_each: int = 3, revision: str = "before") -> DataVersion:
    """Four recordings per patient; the first quarter of the patients is the test part."""
    number = np.arange(recordings)
    patient = number // 4
    names = pd.Series([f"p{p:05d}_{n % 4}" for p, n in zip(patient, number, strict=True)])
    patients = pd.Series([f"p{p:05d}" for p in patient])
    table = pd.DataFrame(
        {
            "recording_id": names,
            "patient_id": patients,
            "path": "made/raw/" + names + ".wav",
            "sha256": names,
            "audio_sha256": "audio of " + names,
            "sample_rate_hz": 4000,
            "channels": 1,
            "subtype": "PCM_16",
            "duration_s": 36.0,
            "device": "Meditron",
            "location": "Al",
            "age_years": (patient % 80).astype(float),
            "sex": np.where(patient % 2, "female", "male"),
            "label": np.array(LABELS)[patient % 3],
            "sequence": number,
            "published_part": None,
            "exempt_reason": None,
            "batch": None,
        }
    )
    fold = patient % 5
    test = patient < (patient.max() + 1) // 4
    assignment = pd.DataFrame(
        {
            "recording_id": names,
            "patient_id": patients,
            "part": np.where(test, "test", "development"),
            "fold": np.where(test, -1, fold),
            "published_part": None,
            "exempt_reason": None,
        }
    )
    rejects = pd.DataFrame({"recording_id": ["broken"], "reason": ["silent"], "detail": ["-90 dBFS"]})
    return DataVersion(
        dataset="made",
        revision=revision,
        recordings=table.astype({name: kind for name, (kind, _) in RECORDING_COLUMNS.items()}),
        segments=_segments(names, patients, segments_each),
        rejects=rejects.astype({name: kind for name, (kind, _) in REJECT_COLUMNS.items()}),
        assignment=assignment.astype({name: kind for name, (kind, _) in ASSIGNMENT_COLUMNS.items()}),
        tasks=TASKS,
    )


def _segments(names: pd.Series, patients: pd.Series, each: int) -> pd.DataFrame:
    number = np.tile(np.arange(each), len(names))
    recording = names.repeat(each).reset_index(drop=True)
    table = pd.DataFrame(
        {
            "segment_id": recording + [f":{n:03d}" for n in number],
            "recording_id": recording,
            "patient_id": patients.repeat(each).reset_index(drop=True),
            "start_s": number * 3.0,
            "end_s": number * 3.0 + 2.5,
            "label": np.array(SOUNDS)[number % 3],
        }
    )
    return table.astype({name: kind for name, (kind, _) in SEGMENT_COLUMNS.items()})


def without(version: DataVersion, recordings: list[str]) -> DataVersion:
    """The same without some recordings, in all its tables of what was accepted."""

    def rest(table: pd.DataFrame) -> pd.DataFrame:
        return table[~table["recording_id"].isin(recordings)].reset_index(drop=True)

    return replace(
        version,
        recordings=rest(version.recordings),
        segments=rest(version.segments),
        assignment=rest(version.assignment),
    )


def edited(version: DataVersion, table: str, row: str, **values: object) -> DataVersion:
    """The same with other values in one row (by recording, or by segment) of one of its tables."""
    changed = getattr(version, table).copy()
    key = "segment_id" if ":" in row else "recording_id"
    assert (changed[key] == row).sum() == 1, row
    for column, value in values.items():
        changed.loc[changed[key] == row, column] = value
    return replace(version, **{table: changed})
