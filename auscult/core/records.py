"""Columns of every table of the pipeline, and the records that data sets return.

Tables are Parquet files. A column name ends with its unit (``_s`` seconds, ``_hz`` hertz).
``None`` or NA means unknown. ``Int64`` is an integer that may be
unknown: pandas reads it as float64 where a value is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auscult.core.identifiers import normal

Part = Literal["development", "test", "exempt"]
PARTS: tuple[Part, ...] = ("development", "test", "exempt")

#: manifest/recordings.parquet, one row per accepted recording, sorted by recording_id
RECORDING_COLUMNS: dict[str, tuple[str, str]] = {
    "recording_id": ("string", "file name without its ending; unique"),
    "patient_id": ("string", "who was recorded; the unit of every split"),
    "path": ("string", "audio file, relative to the folder data/, with forward slashes"),
    "sha256": ("string", "checksum of the audio file's bytes"),
    "audio_sha256": ("string", "checksum of the decoded samples, equal for a re-wrapped copy"),
    "sample_rate_hz": ("int64", "as stored"),
    "channels": ("int64", "as stored"),
    "subtype": ("string", "sample format as libsndfile names it, such as PCM_16"),
    "duration_s": ("float64", "length of the audio"),
    "device": ("string", "stethoscope or microphone"),
    "location": ("string", "where on the chest"),
    "age_years": ("float64", "age; NaN where unknown"),
    "sex": ("string", "female, male, or NA"),
    "label": ("string", "the recording's or patient's raw label: a diagnosis or a record annotation"),
    "sequence": ("Int64", "position in the order of recording: larger is later; empty where unknown"),
    "published_part": ("string", "part of the publisher's split: train, test, or NA"),
    "exempt_reason": ("string", "why a recording is kept out of the pooled test part, or NA"),
    "batch": ("string", "addition that it came with, or NA for the data set as downloaded"),
}

#: manifest/segments.parquet, one row per annotated event or cycle, sorted by segment_id
SEGMENT_COLUMNS: dict[str, tuple[str, str]] = {
    "segment_id": ("string", "recording_id:NNN, numbered in order of time"),
    "recording_id": ("string", "the recording it lies in"),
    "patient_id": ("string", "the recording's patient"),
    "start_s": ("float64", "begin, from the start of the recording"),
    "end_s": ("float64", "end, at most the recording's duration"),
    "label": ("string", "the raw label as published"),
}

#: manifest/rejects.parquet
REJECT_COLUMNS: dict[str, tuple[str, str]] = {
    "recording_id": ("string", "the rejected recording"),
    "reason": ("string", "a key of auscult.core.reject_reasons"),
    "detail": ("string", "the measured value, file or line, for a person"),
}

#: manifest/corrections.parquet, one row per correction that was applied, in the order of the table of corrections
CORRECTION_COLUMNS: dict[str, tuple[str, str]] = {
    "item": ("string", "recording_id or segment_id"),
    "recording_id": ("string", "the recording that it is, or lies in"),
    "patient_id": ("string", "the recording's patient"),
    "old": ("string", "label before"),
    "new": ("string", "label from then on; drop: the item is left out"),
}

#: split/assignment.parquet, one row per accepted recording
ASSIGNMENT_COLUMNS: dict[str, tuple[str, str]] = {
    "recording_id": ("string", "the recording"),
    "patient_id": ("string", "its patient"),
    "part": ("string", "development, test or exempt"),
    "fold": ("int64", "cross-validation fold of a patient of the development part; -1 elsewhere"),
    "published_part": ("string", "what the publisher's split says, or NA"),
    "exempt_reason": ("string", "why part is exempt, or NA"),
}

#: audio/index.parquet, one row per recording in audio.npy
AUDIO_COLUMNS: dict[str, tuple[str, str]] = {
    "recording_id": ("string", "the recording"),
    "key": ("string", "cache key of its resampled, filtered audio"),
    "offset": ("int64", "first sample in audio.npy"),
    "length": ("int64", "number of samples"),
}

#: features/<representation>/{segments,windows}.parquet, one row per row of the array of that name
ITEM_COLUMNS: dict[str, tuple[str, str]] = {
    "item_id": ("string", "segment_id, or recording_id:wNNN for a window"),
    "recording_id": ("string", "the recording"),
    "patient_id": ("string", "its patient"),
    "start_s": ("float64", "begin in the recording"),
    "end_s": ("float64", "end in the recording"),
    "copy": ("string", "original, or the augmentation that made this row, such as noise"),
    "frames": ("int64", "valid frames; those behind them are padding"),
}

#: balanced/<experiment>.parquet, one row per synthetic training example
BALANCED_COLUMNS: dict[str, tuple[str, str]] = {
    "fold": ("int64", "held-out fold of the model that it is made for: both parents lie in other folds"),
    "row": ("int64", "row of the feature array: the first parent"),
    "parent": ("int64", "row of the second parent"),
    "step": ("float64", "x = row + step * (parent - row)"),
    "class_index": ("int64", "class of the experiment's task"),
}


@dataclass(frozen=True)
class Recording:
    """A recording as its publisher describes it, before its audio is decoded.

    ``path`` is relative to the folder that the data set reads, with forward slashes; it is empty if
    labels name a recording without an audio file. ``sequence`` orders the recordings of a data set in
    time: larger is later, equal is unknown. ``missing`` lists the metadata that the publisher's
    tables lack. Every reader makes these records, so both ids get their one form here.
    """

    recording_id: str
    patient_id: str
    path: str
    device: str | None = None
    location: str | None = None
    age_years: float | None = None
    sex: Literal["female", "male"] | None = None
    label: str | None = None
    sequence: int | None = None
    published_part: Literal["train", "test"] | None = None
    exempt_reason: str | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("recording_id", "patient_id"):
            object.__setattr__(self, name, normal(getattr(self, name)))


@dataclass(frozen=True)
class Segment:
    """An annotated interval of a recording: a respiratory cycle or an event."""

    start_s: float
    end_s: float
    label: str
