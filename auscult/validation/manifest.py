"""Examine every recording of a data set and its additions, and build the manifest's tables."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.audio.checks import Audio, inspect
from auscult.audio.fingerprint import FINGERPRINT_COLUMNS
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.records import (
    CORRECTION_COLUMNS,
    RECORDING_COLUMNS,
    REJECT_COLUMNS,
    SEGMENT_COLUMNS,
    Recording,
    Segment,
)
from auscult.core.reject_reasons import REASONS, Problem
from auscult.core.sections import ValidateParams
from auscult.core.threads import Progress, in_order
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import AnnotationError, Dataset
from auscult.datasets.readers.delivery_tables import TablesLayout, reader
from auscult.validation.additions import batches, check_unchanged

logger = logging.getLogger(__name__)
#: What the threads import.
_IMPORTS = ("auscult.audio.compiled", "scipy.fft", "scipy.ndimage")


@dataclass(frozen=True)
class Examined:
    """One recording and everything found about it.

    Attributes
    ----------
    audio
        ``None`` when the file is absent or cannot be decoded.
    problems
        Reasons to reject the recording; it is accepted when there are none.
    notes
        Corrections that are no fault → how often they were made.
    path
        Audio file relative to ``data/``.
    batch
        Addition that brought the recording; ``None`` for the data set as downloaded.
    """

    recording: Recording
    audio: Audio | None
    segments: tuple[Segment, ...]
    problems: tuple[Problem, ...]
    notes: Counter[str]
    path: str = ""
    batch: str | None = None

    def with_problem(self, reason: str, detail: str) -> Examined:
        """Return the recording with one more problem."""
        return replace(self, problems=(*self.problems, Problem(reason, detail)))


@dataclass(frozen=True)
class Tables:
    """The manifest, with the columns of ``auscult.core.records``.

    Attributes
    ----------
    downloaded
        Number of recordings of the data set as downloaded, accepted or not.
    batches
        Number of additions.
    corrections
        What :func:`auscult.validation.corrections.apply` changed.
    """

    recordings: pd.DataFrame
    segments: pd.DataFrame
    rejects: pd.DataFrame
    fingerprints: pd.DataFrame
    notes: Counter[str]
    downloaded: int
    batches: int
    corrections: pd.DataFrame


def examine_all(
    dataset: Dataset,
    raw: Path,
    params: ValidateParams,
    workers: int,
    batch: str | None = None,
    withdrawn: Withdrawals | None = None,
) -> list[Examined]:
    """Examine every recording of a data set, or of one addition, and return them sorted by id.

    Parameters
    ----------
    raw
        Folder to read, in the data set's raw layout; an addition may have tables instead.
    batch
        Name of the addition, ``None`` for the data set as downloaded. The publisher's split and the
        order of recording do not apply to additions.
    withdrawn
        Patients whose recordings are skipped: they are neither opened nor listed as rejects.
    """
    source = dataset if batch is None else reader(dataset, raw)
    recordings = sorted(source.recordings(raw), key=lambda r: r.recording_id)
    if withdrawn:
        recordings = [recording for recording in recordings if not withdrawn.holds(recording.patient_id)]
    folder = Paths(dataset.name).raw
    if batch is not None:
        recordings = [
            replace(recording, sequence=None, published_part=None, exempt_reason=None) for recording in recordings
        ]
        folder = Paths(dataset.name).added / batch
    prefix = folder.relative_to(DATA_DIR).as_posix()
    progress = Progress("validate", len(recordings))
    examined = []
    examine = partial(_examine, dataset, source, raw, params=params)
    for item in in_order(examine, recordings, workers, imports=_IMPORTS):
        examined.append(item)
        for note in item.audio.notes if item.audio else ():
            logger.info("validate: note: %s: %s", item.recording.recording_id, note)
        progress.step()
    return [replace(item, path=f"{prefix}/{item.recording.path}", batch=batch) for item in _mark_duplicates(examined)]


def _examine(
    dataset: Dataset, source: Dataset | TablesLayout, raw: Path, recording: Recording, params: ValidateParams
) -> Examined:
    if recording.path:
        audio, problems = inspect(raw / recording.path, params)
    else:
        audio, problems = None, [Problem("missing_audio", "no audio file of this name")]
    if recording.missing:
        problems.append(Problem("missing_metadata", ", ".join(recording.missing)))
    if recording.label is not None and recording.label not in dataset.recording_labels:
        known = ", ".join(sorted(dataset.recording_labels))
        problems.append(Problem("unknown_label", f"recording label {recording.label!r}; there are: {known}"))
    segments: list[Segment] = []
    notes: Counter[str] = Counter()
    try:
        published = source.segments(raw, recording)
    except AnnotationError as error:
        problems.append(Problem(error.reason, str(error).replace(str(raw), "").lstrip("/")))
    except OSError as error:
        problems.append(Problem("unreadable", f"its annotation: {error.strerror}"))
    else:
        segments, found, notes = check_segments(published, audio.duration_s if audio else float("inf"), dataset)
        problems += found
        if dataset.annotated and not published:
            problems.append(Problem("annotation_missing", "the annotation names no segment"))
    notes.update(f"recordings with {note}" for note in (audio.notes if audio else ()))
    return Examined(recording, audio, tuple(segments), tuple(problems), notes)


def check_segments(
    segments: Sequence[Segment], duration_s: float, dataset: Dataset
) -> tuple[list[Segment], list[Problem], Counter[str]]:
    """Sort segments by time and check them against the audio.

    Parameters
    ----------
    segments
        In the order of the published file.
    duration_s
        Length of the audio; infinite when it could not be decoded.
    dataset
        Defines the labels, whether order and overlap are faults, and the tolerance of times.

    Returns
    -------
    clean
        Sorted; an end that rounding put after the audio is moved to the end of the audio.
    problems
        At most one per reason; the detail names the first segment.
    notes
        Corrections that are no fault → how often they were made.
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
            notes["segments shortened to fit the audio"] += 1
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
    found = [
        Problem(reason, details[0] + (f" (and {len(details) - 1} more)" if len(details) > 1 else ""))
        for reason, details in problems.items()
    ]
    return ordered, found, notes


def _mark_duplicates(examined: Sequence[Examined]) -> list[Examined]:
    """Reject recordings whose samples are equal.

    Of one patient's copies the first one without a problem is kept. Of two patients' copies none
    is kept: the right patient is unknown. Silent and very short files are not compared.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(examined):
        if item.audio is not None and not any(p.reason in ("silent", "too_short") for p in item.problems):
            same[item.audio.audio_sha256].append(index)
    result = list(examined)
    for group in same.values():
        if len(group) < 2:
            continue
        names = {i: examined[i].recording.recording_id for i in group}
        if len({examined[i].recording.patient_id for i in group}) > 1:
            for i in group:
                others = ", ".join(name for name in names.values() if name != names[i])
                result[i] = examined[i].with_problem("duplicate_audio", f"same audio, other patient: {others}")
            continue
        keep = next((i for i in group if not examined[i].problems), group[0])
        for i in group:
            if i != keep:
                detail = f"same audio, same patient as {names[keep]}"
                result[i] = examined[i].with_problem("duplicate_audio", detail)
    return result


@dataclass
class Present:
    """Names and audio of the recordings that an addition is checked against.

    Attributes
    ----------
    ids
        Recording, accepted or rejected → its origin, for messages.
    audio
        ``audio_sha256`` → recording. Rejected recordings count only if they are duplicates: for those,
        one more copy does not tell whose recording it is.
    """

    ids: dict[str, str] = field(default_factory=dict)
    audio: dict[str, str] = field(default_factory=dict)

    def add(self, examined: Sequence[Examined]) -> None:
        """Count these recordings as present from now on."""
        for item in examined:
            name = item.recording.recording_id
            self.ids.setdefault(name, origin(item.batch))
            if item.audio is not None and {problem.reason for problem in item.problems} <= {"duplicate_audio"}:
                self.audio.setdefault(item.audio.audio_sha256, name)

    def check(self, item: Examined) -> Examined:
        """Return an addition's recording, rejected if its name or its audio is already present."""
        name = item.recording.recording_id
        if name in self.ids:
            return item.with_problem("duplicate_id", f"{self.ids[name]} has a recording of this name")
        if item.audio is not None and item.audio.audio_sha256 in self.audio:
            other = self.audio[item.audio.audio_sha256]
            return item.with_problem("duplicate_audio", f"same audio as {other}, which is already present")
        return item


def origin(batch: str | None) -> str:
    """Describe where a recording came from, for messages."""
    return f"the addition {batch}" if batch else "the data set as downloaded"


def examine_merged(
    dataset: Dataset, paths: Paths, params: ValidateParams, workers: int, withdrawn: Withdrawals | None = None
) -> list[Examined]:
    """Examine the data set as downloaded and then its additions in the order of their names.

    An addition never changes a recording that is already present. If two additions contradict each other, the one
    whose name comes first counts, as nothing tells which is older. ``auscult data add`` refuses the second one, so
    this happens only when two people add independently.

    Raises
    ------
    DataError
        An addition is missing, not tracked, or damaged.
    """
    folders = batches(paths.added)  # fail on a missing addition before anything is decoded
    for folder in folders:
        check_unchanged(folder)
    examined = examine_all(dataset, paths.raw, params, workers, withdrawn=withdrawn)
    present = Present()
    present.add(examined)
    for folder in folders:
        added = examine_all(dataset, folder, params, workers, batch=folder.name, withdrawn=withdrawn)
        checked = [present.check(item) for item in added]
        present.add(checked)
        for item in checked:  # a name alone may stand for two recordings, so every problem names its addition
            problems = (Problem(p.reason, f"{p.detail} (addition {item.batch})") for p in item.problems)
            examined.append(replace(item, problems=tuple(problems)))
    return sorted(examined, key=lambda item: item.recording.recording_id)


def build(examined: Sequence[Examined]) -> Tables:
    """Return the tables of accepted recordings, and the rejects with their reasons."""
    accepted = [item for item in examined if not item.problems]
    order = {reason: position for position, reason in enumerate(REASONS)}
    rejects = [
        (item.recording.recording_id, problem.reason, problem.detail)
        for item in examined
        for problem in sorted(item.problems, key=lambda p: (order[p.reason], p.detail))
    ]
    notes: Counter[str] = Counter()
    for item in accepted:
        notes += item.notes
    return Tables(
        recordings=_typed([_recording_row(item) for item in accepted], RECORDING_COLUMNS),
        segments=_typed([row for item in accepted for row in _segment_rows(item)], SEGMENT_COLUMNS),
        rejects=_typed(rejects, REJECT_COLUMNS),
        fingerprints=_fingerprints(accepted),
        notes=notes,
        downloaded=sum(item.batch is None for item in examined),
        batches=len({item.batch for item in examined} - {None}),
        corrections=_typed([], CORRECTION_COLUMNS),
    )


def _recording_row(item: Examined) -> dict[str, object]:
    """Return the fields of the recording and its audio, which have the names of the columns."""
    return vars(item.recording) | vars(item.audio) | {"path": item.path, "batch": item.batch}


def _segment_rows(item: Examined) -> list[tuple[object, ...]]:
    name, patient = item.recording.recording_id, item.recording.patient_id
    return [
        (f"{name}:{number:03d}", name, patient, segment.start_s, segment.end_s, segment.label)
        for number, segment in enumerate(item.segments)
    ]


def _fingerprints(accepted: Sequence[Examined]) -> pd.DataFrame:
    audios = [item.audio for item in accepted if item.audio is not None]
    names = np.array([item.recording.recording_id for item in accepted], dtype=object)
    empty = [np.zeros(0, dtype=np.int64)]
    columns = {
        "recording_id": np.repeat(names, [len(audio.hashes) for audio in audios]),
        "hash": np.concatenate([audio.hashes for audio in audios] or empty),
        "time": np.concatenate([audio.times for audio in audios] or empty),
    }
    return _typed(columns, FINGERPRINT_COLUMNS)


def _typed(rows: object, columns: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Return a table with the documented types, also for columns without a single value."""
    table = pd.DataFrame(rows, columns=list(columns))
    return table.astype({name: kind for name, (kind, _) in columns.items()})
