"""Read a data set through its file, look at every recording, and build the manifest's tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.checks import Audio, inspect
from auscult.audio.fingerprint import FINGERPRINT_COLUMNS
from auscult.core.paths import DATA_DIR, Paths
from auscult.core.records import RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS, Recording, Segment
from auscult.core.reject_reasons import REASONS, Problem
from auscult.core.sections import ValidateParams
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import AnnotationError, Dataset
from auscult.datasets.readers.delivery_tables import Reader, reader
from auscult.validation.annotations import check_metadata, check_segments

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Examined:
    """One recording with all that was found about it.

    ``path`` is its audio file relative to the folder ``data/``; ``batch`` the addition that it came with.
    """

    recording: Recording
    audio: Audio | None
    segments: tuple[Segment, ...]
    problems: tuple[Problem, ...]
    notes: Counter[str]
    path: str = ""
    batch: str | None = None


@dataclass(frozen=True)
class Tables:
    """The manifest, in the columns of ``auscult.core.records``.

    ``downloaded`` counts the recordings that came with no addition, accepted or not; ``batches`` the additions.
    """

    recordings: pd.DataFrame
    segments: pd.DataFrame
    rejects: pd.DataFrame
    fingerprints: pd.DataFrame
    notes: Counter[str]
    downloaded: int
    batches: int


def examine_all(
    dataset: Dataset,
    raw: Path,
    params: ValidateParams,
    workers: int,
    batch: str | None = None,
    withdrawn: Withdrawals | None = None,
) -> list[Examined]:
    """Every recording of a data set, or of one addition to it, examined by itself, sorted by id.

    Threads are enough: decoding, hashing, resampling and transforms all leave the
    interpreter's lock, and each thread holds one recording at a time.

    Parameters
    ----------
    raw
        The folder to read, in the data set's raw layout; an addition may have tables instead.
    batch
        Name of the addition, ``None`` for the data set as downloaded. No publisher's split knows an addition.
    withdrawn
        Patients whose recordings are passed over as if they were not there: not opened, not set aside by name.
    """
    source: Reader = dataset if batch is None else reader(dataset, raw)
    recordings = sorted(source.recordings(raw), key=lambda r: r.recording_id)
    if withdrawn:
        recordings = [recording for recording in recordings if not withdrawn.holds(recording.patient_id)]
    home = Paths(dataset.name).raw
    if batch is not None:
        recordings = [replace(recording, published_part=None, exempt_reason=None) for recording in recordings]
        home = Paths(dataset.name).added / batch
    place = home.relative_to(DATA_DIR).as_posix()
    with ThreadPoolExecutor(workers) as pool:
        examined = list(pool.map(lambda recording: _examine(dataset, source, raw, recording, params), recordings))
    return [replace(item, path=f"{place}/{item.recording.path}", batch=batch) for item in _mark_duplicates(examined)]


def _examine(dataset: Dataset, source: Reader, raw: Path, recording: Recording, params: ValidateParams) -> Examined:
    if recording.path:
        audio, problems = inspect(raw / recording.path, params)
    else:
        audio, problems = None, [Problem("missing_audio", "no audio file of this name")]
    problems += check_metadata(recording, dataset)
    segments, found, notes = _annotation(dataset, source, raw, recording, audio.duration_s if audio else float("inf"))
    return Examined(recording, audio, tuple(segments), (*problems, *found), notes)


def _annotation(
    dataset: Dataset, source: Reader, raw: Path, recording: Recording, duration_s: float
) -> tuple[list[Segment], list[Problem], Counter[str]]:
    try:
        published = source.segments(raw, recording)
    except AnnotationError as error:
        return [], [Problem(error.reason, str(error).replace(str(raw), "").lstrip("/"))], Counter()
    except OSError as error:
        return [], [Problem("unreadable", f"its annotation: {error.strerror}")], Counter()
    segments, problems, notes = check_segments(published, duration_s, dataset)
    if dataset.annotated and not published:
        problems.append(Problem("annotation_missing", "the annotation names no segment"))
    return segments, problems, notes


def _mark_duplicates(examined: Sequence[Examined]) -> list[Examined]:
    """Set aside what sounds the same sample for sample.

    Of one patient's copies the first sound one stays. Of two patients' copies none does:
    whose recording it is cannot be known. Silent files are no copies of each other.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(examined):
        if item.audio is not None and not any(p.reason in ("silent", "too_short") for p in item.problems):
            same[item.audio.audio_sha256].append(index)
    result = list(examined)
    for group in same.values():
        if len(group) < 2:
            continue
        names = [examined[i].recording.recording_id for i in group]
        if len({examined[i].recording.patient_id for i in group}) > 1:
            for i in group:
                others = ", ".join(name for name in names if name != examined[i].recording.recording_id)
                result[i] = _with(examined[i], Problem("duplicate_audio", f"same audio, other patient: {others}"))
            continue
        keep = next((i for i in group if not examined[i].problems), group[0])
        for i in group:
            if i != keep:
                kept = examined[keep].recording.recording_id
                result[i] = _with(examined[i], Problem("duplicate_audio", f"same audio, same patient as {kept}"))
    return result


def _with(item: Examined, problem: Problem) -> Examined:
    return replace(item, problems=(*item.problems, problem))


def build(examined: Sequence[Examined]) -> Tables:
    """The tables of accepted recordings, and the rejects with their reasons."""
    import pandas as pd

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
        recordings=_typed(
            pd.DataFrame([_recording_row(i) for i in accepted], columns=list(RECORDING_COLUMNS)), RECORDING_COLUMNS
        ),
        segments=_typed(
            pd.DataFrame([row for i in accepted for row in _segment_rows(i)], columns=list(SEGMENT_COLUMNS)),
            SEGMENT_COLUMNS,
        ),
        rejects=_typed(pd.DataFrame(rejects, columns=list(REJECT_COLUMNS)), REJECT_COLUMNS),
        fingerprints=_fingerprints(accepted),
        notes=notes,
        downloaded=sum(item.batch is None for item in examined),
        batches=len({item.batch for item in examined} - {None}),
    )


def _recording_row(item: Examined) -> dict[str, object]:
    recording, audio = item.recording, item.audio
    assert audio is not None
    return {
        "recording_id": recording.recording_id,
        "patient_id": recording.patient_id,
        "path": item.path,
        "sha256": audio.sha256,
        "audio_sha256": audio.audio_sha256,
        "sample_rate_hz": audio.sample_rate_hz,
        "channels": audio.channels,
        "subtype": audio.subtype,
        "duration_s": audio.duration_s,
        "device": recording.device,
        "location": recording.location,
        "age_years": recording.age_years,
        "sex": recording.sex,
        "label": recording.label,
        "published_part": recording.published_part,
        "exempt_reason": recording.exempt_reason,
        "batch": item.batch,
    }


def _segment_rows(item: Examined) -> list[tuple[object, ...]]:
    name, patient = item.recording.recording_id, item.recording.patient_id
    return [
        (f"{name}:{number:03d}", name, patient, segment.start_s, segment.end_s, segment.label)
        for number, segment in enumerate(item.segments)
    ]


def _fingerprints(accepted: Sequence[Examined]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    audios = [item.audio for item in accepted if item.audio is not None]
    names = np.array([item.recording.recording_id for item in accepted], dtype=object)
    empty = [np.zeros(0, dtype=np.int64)]
    table = pd.DataFrame(
        {
            "recording_id": np.repeat(names, [len(audio.hashes) for audio in audios]),
            "hash": np.concatenate([audio.hashes for audio in audios] or empty),
            "time": np.concatenate([audio.times for audio in audios] or empty),
        }
    )
    return _typed(table, FINGERPRINT_COLUMNS)


def _typed(table: pd.DataFrame, columns: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """The documented types, so that a column without a single value has one as well."""
    return table.astype({name: kind for name, (kind, _) in columns.items()})
