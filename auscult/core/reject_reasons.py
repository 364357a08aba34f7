"""Why a recording is set aside: every reason, in one word and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

REASONS: dict[str, str] = {
    "unreadable": "the audio cannot be decoded, or a file of the recording cannot be opened",
    "truncated": "the file ends before the audio that its header promises",
    "wrong_content": "the file is not what its ending says",
    "silent": "the level stays below validate.silence_dbfs",
    "clipped": "more samples at full scale than validate.max_clipped_share",
    "too_short": "shorter than validate.min_duration_s",
    "too_long": "longer than validate.max_duration_s; it is not read",
    "not_finite": "samples that are no numbers (NaN or infinite)",
    "duplicate_id": "an addition's recording whose name is there already",
    "duplicate_audio": "the same audio under another name; of two patients: neither is kept, nobody knows whose it is;"
    " of an addition: it is there already",
    "annotation_outside": "a segment begins before the audio or ends behind it",
    "annotation_unsorted": "segments are not in order of time",
    "annotation_overlap": "segments overlap",
    "annotation_malformed": "an annotation that cannot be read, or a segment that does not end after it begins",
    "annotation_missing": "no annotated segment where the data set promises some",
    "unknown_label": "a label that the data set does not define",
    "missing_metadata": "the publisher's tables lack what they should say of it",
    "missing_audio": "labels or annotations name it, but there is no audio file",
}

#: An incomplete copy, not a broken recording: these do not count towards validate.max_reject_share.
ABSENT = "missing_audio"


@dataclass(frozen=True)
class Problem:
    """One reason why one recording is set aside.

    Attributes
    ----------
    reason
        A key of :data:`REASONS`.
    detail
        The measured value, file or line, for a person; no absolute path.
    """

    reason: str
    detail: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"no such reason: {self.reason}")
