"""Check the annotated segments of one recording against its audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from auscult.core.records import Recording, Segment
from auscult.core.reject_reasons import Problem
from auscult.datasets import Dataset


def check_segments(
    segments: Sequence[Segment], duration_s: float, dataset: Dataset
) -> tuple[list[Segment], list[Problem], Counter[str]]:
    """Segments in order of time, within the audio.

    Parameters
    ----------
    segments
        As published, in the order of the file.
    duration_s
        Length of the audio; infinite when it could not be decoded.
    dataset
        Says which labels there are, whether order and overlap mean anything, and how exact times are.

    Returns
    -------
    clean
        Sorted; ends that rounding put behind the audio are moved to its end.
    problems
        At most one per reason, the first place of each in its detail.
    notes
        How often something was put right that is no fault.
    """
    tolerance = dataset.annotation_tolerance_s
    notes: Counter[str] = Counter()
    problems: dict[str, list[str]] = {}
    clean = []
    for row, segment in enumerate(segments, start=1):
        where = f"segment {row} ({segment.start_s:g} to {segment.end_s:g} s)"
        if not segment.start_s < segment.end_s:  # also true for NaN
            problems.setdefault("annotation_malformed", []).append(f"{where} does not end after it begins")
        elif segment.start_s < -tolerance or segment.end_s > duration_s + tolerance or segment.start_s >= duration_s:
            problems.setdefault("annotation_outside", []).append(f"{where}, the audio lasts {duration_s:.4g} s")
        elif segment.start_s < 0 or segment.end_s > duration_s:
            notes["segment ends moved to the audio's"] += 1
            segment = Segment(max(segment.start_s, 0.0), min(segment.end_s, duration_s), segment.label)
        if segment.label not in dataset.segment_labels:
            problems.setdefault("unknown_label", []).append(f"{where}: {segment.label!r}")
        clean.append(segment)
    ordered = sorted(clean, key=lambda s: (s.start_s, s.end_s, s.label))
    if [s.start_s for s in clean] != [s.start_s for s in ordered]:
        if dataset.annotations_sorted:
            row = next(i for i in range(1, len(clean)) if clean[i].start_s < clean[i - 1].start_s)
            problems["annotation_unsorted"] = [f"segment {row + 1} begins before segment {row}"]
        else:
            notes["recordings whose segments were sorted"] += 1
    overlaps = [(a, b) for a, b in pairwise(ordered) if b.start_s < a.end_s - tolerance]
    if overlaps and not dataset.annotations_overlap and "annotation_malformed" not in problems:
        problems["annotation_overlap"] = [
            f"{a.start_s:g} to {a.end_s:g} s and {b.start_s:g} to {b.end_s:g} s" for a, b in overlaps
        ]
    return ordered, [Problem(reason, _shorten(places)) for reason, places in problems.items()], notes


def check_metadata(recording: Recording, dataset: Dataset) -> list[Problem]:
    """What the publisher's tables say, or should say, of a recording."""
    problems = []
    if recording.missing:
        problems.append(Problem("missing_metadata", ", ".join(recording.missing)))
    known = ", ".join(sorted(dataset.recording_labels))
    if recording.label is not None and recording.label not in dataset.recording_labels:
        problems.append(Problem("unknown_label", f"recording label {recording.label!r}; there are: {known}"))
    return problems


def _shorten(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} (and {len(places) - 1} more)"
