"""Manifest tables without audio, for the assignment of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from auscult.core.sections import SplitParams
from auscult.core.tasks import Task

TASKS = (
    Task("binary", "recording", ("well", "ill"), "well", {"well": "well", "ill": "ill"}),
    Task(
        "sounds", "segment", ("normal", "crackle", "wheeze"), "normal", {n: n for n in ("normal", "crackle", "wheeze")}
    ),
)


def parameters(**changes: object) -> SplitParams:
    values = {"official": "corrected", "test": "random", "test_share": 0.25, "folds": 5, "seed": 17}
    return SplitParams.model_validate({**values, **changes})


def tables(
    patients: Mapping[str, tuple[str, Sequence[str]]],
    recordings_each: int = 2,
    published: Mapping[str, str] | None = None,
    exempt: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recordings and segments of patients: name → (label, labels of the segments of each recording).

    *published* and *exempt* go by recording (``<patient>_<number>``), else by patient.
    """
    recordings, segments = [], []
    for patient, (label, sounds) in patients.items():
        for number in range(recordings_each):
            name = f"{patient}_{number}"
            about = {
                "published_part": (published or {}).get(name, (published or {}).get(patient)),
                "exempt_reason": (exempt or {}).get(name, (exempt or {}).get(patient)),
            }
            row = {
                "recording_id": name,
                "patient_id": patient,
                "label": label,
                "duration_s": 10.0,
                "audio_sha256": name,
                "batch": None,
            }
            recordings.append(row | about)
            segments += [
                {"segment_id": f"{name}:{i:03d}", "recording_id": name, "patient_id": patient, "label": sound}
                for i, sound in enumerate(sounds)
            ]
    frame = pd.DataFrame(recordings).sort_values("recording_id", ignore_index=True)
    columns = ["segment_id", "recording_id", "patient_id", "label"]
    return (
        frame.astype(dict.fromkeys(frame.columns.drop("duration_s"), "string")),
        pd.DataFrame(segments, columns=columns).astype("string"),
    )
