"""Reasons for which a recording is rejected: a key and a sentence each."""

from __future__ import annotations

from dataclasses import dataclass

REASONS: dict[str, str] = {
    "unreadable": "the audio cannot be decoded, or a file of the recording cannot be opened",
    "truncated": "the file is shorter than its header states",
    "wrong_content": "the content does not match the file name extension",
    "silent": "the level stays below validate.silence_dbfs",
    "clipped": "more samples at full scale than validate.max_clipped_share",
    "too_short": "shorter than validate.min_duration_s",
    "too_long": "longer than validate.max_duration_s",
    "not_finite": "samples that are NaN or infinite",
    "duplicate_id": "an addition contains a recording id that exists already",
    "duplicate_audio": "the same audio under another recording id; if the patients differ, neither recording is kept",
    "annotation_outside": "a segment begins before the audio or ends after it",
    "annotation_unsorted": "segments are not in order of time",
    "annotation_overlap": "segments overlap",
    "annotation_malformed": "an annotation that cannot be read, or a segment that does not end after it begins",
    "annotation_missing": "no annotated segment, although the data set annotates every recording",
    "unknown_label": "a label that the data set does not define",
    "missing_metadata": "the tables of the publisher lack metadata of the recording",
    "missing_audio": "labels or annotations name it, but there is no audio file",
}

#: Means an incomplete copy, not a broken recording: not counted against validate.max_reject_share.
ABSENT = "missing_audio"


@dataclass(frozen=True)
class Problem:
    """One reason why a recording is rejected.

    Attributes
    ----------
    reason
        A key of :data:`REASONS`.
    detail
        The measured value, file or line; no absolute path.
    """

    reason: str
    detail: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"unknown reason: {self.reason}")
