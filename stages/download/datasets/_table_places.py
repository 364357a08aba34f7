"""Where audio and tables lie in a batch of ``data/added`` that came with two tables, and whose each file and row is."""

from __future__ import annotations

import csv
from pathlib import PurePosixPath

from stages.records import Recording

RECORDINGS, SEGMENTS = "recordings.csv", "segments.csv"
#: Holds a folder for each patient.
AUDIO = "audio"


def place_of(recording: Recording) -> str:
    """Where the audio of a recording lies in a batch."""
    ending = PurePosixPath(recording.path).suffix.lower()
    return f"{AUDIO}/{recording.patient_id}/{recording.recording_id}{ending}"


def patient_of(place: str) -> str | None:
    """Whose a file of a batch is; ``None`` for one that is no audio of this layout."""
    parts = PurePosixPath(place).parts
    return parts[1] if len(parts) == 3 and parts[0] == AUDIO else None


def patient_of_row(row: str) -> str | None:
    """Whose a row of a batch's tables is; ``None`` for the header."""
    return patient_of(next(csv.reader([row]), [""])[0])
