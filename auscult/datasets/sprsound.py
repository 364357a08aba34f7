"""SPRSound, BioCAS 2022: respiratory sounds of children, with labels of recordings and of events."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from auscult.core.errors import LayoutError
from auscult.core.identifiers import normal
from auscult.core.records import Recording, Segment
from auscult.core.tasks import Task
from auscult.datasets import AnnotationError, AnnotationMissingError, Counts, Dataset, RemoteFile
from auscult.datasets.readers.copies import audio_by_stem, files_below, gather, is_audio, prefer_wav

_REPOSITORY = "https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound"

#: Audio folder, its annotation folder, the part of the official split, and the reason for an exemption.
_TRAIN, _TEST = "train2022_wav", "test2022_wav"
_INTER, _INTRA = "test2022_json/inter_test_json", "test2022_json/intra_test_json"
_PARTS: tuple[tuple[str, str, Literal["train", "test"], str | None], ...] = (
    (_TRAIN, "train2022_json", "train", None),
    (_TEST, _INTER, "test", None),
    (_TEST, _INTRA, "test", "intra-patient test: this child is in the training part as well, by design"),
)

#: Name of a folder in a copy (lower case) → folder in the raw folder. Some copies omit the year.
_FOLDERS = {
    "train2022_wav": _TRAIN,
    "train_wav": _TRAIN,
    "train2022_json": "train2022_json",
    "train_json": "train2022_json",
    "test2022_wav": _TEST,
    "test_wav": _TEST,
    "inter_test_json": _INTER,
    "intra_test_json": _INTRA,
}
#: The repository contains later challenges as well, in a folder for each year.
_OTHER_YEAR = re.compile(r"biocas20(?!22)\d\d", re.IGNORECASE)

#: patient_age_sex_location_number, such as 65058931_3.4_1_p2_1086
_NAME = re.compile(r"(?P<patient>\d+)_(?P<age>\d+(?:\.\d+)?)_(?P<sex>[01])_(?P<location>[^_]+)_(?P<number>\d{1,15})")
_SEX: dict[str, Literal["female", "male"]] = {"0": "male", "1": "female"}
#: Names of the chest locations in the publisher's description.
LOCATIONS = {"p1": "left posterior", "p2": "left lateral", "p3": "right posterior", "p4": "right lateral"}

_ADVENTITIOUS_EVENTS = ("Rhonchi", "Wheeze", "Stridor", "Coarse Crackle", "Fine Crackle", "Wheeze+Crackle")
_ADVENTITIOUS_RECORDS = ("CAS", "DAS", "CAS & DAS")

TASKS: tuple[Task, ...] = (
    Task(
        name="binary",
        unit="recording",
        classes=("normal", "adventitious"),
        normal="normal",
        mapping={"Normal": "normal", "Poor Quality": None} | dict.fromkeys(_ADVENTITIOUS_RECORDS, "adventitious"),
        title="normal or adventitious recording, poor quality left out",
    ),
    Task(
        name="multiclass",
        unit="recording",
        classes=("normal", "CAS", "DAS", "CAS & DAS", "poor quality"),
        normal="normal",
        mapping={"Normal": "normal", "Poor Quality": "poor quality"} | {name: name for name in _ADVENTITIOUS_RECORDS},
        title="official task 2-2: recordings, five classes",
        unscored=("poor quality",),
    ),
    Task(
        name="abnormal",
        unit="segment",
        classes=("normal", "adventitious"),
        normal="normal",
        mapping={"Normal": "normal"} | dict.fromkeys(_ADVENTITIOUS_EVENTS, "adventitious"),
        title="official task 1-1: normal or adventitious event",
    ),
    Task(
        name="sounds",
        unit="segment",
        classes=("normal", "crackle", "wheeze", "both"),
        normal="normal",
        mapping={"Normal": "normal", "Wheeze+Crackle": "both"}
        | dict.fromkeys(("Coarse Crackle", "Fine Crackle"), "crackle")
        | dict.fromkeys(("Wheeze", "Rhonchi", "Stridor"), "wheeze"),
        title="events as ICBHI's four sounds",
    ),
    Task(
        name="official_1_2",
        unit="segment",
        classes=("Normal", *_ADVENTITIOUS_EVENTS),
        normal="Normal",
        mapping={name: name for name in ("Normal", *_ADVENTITIOUS_EVENTS)},
        title="official task 1-2: events, seven classes",
    ),
    Task(
        name="official_2_1",
        unit="recording",
        classes=("normal", "adventitious", "poor quality"),
        normal="normal",
        mapping={"Normal": "normal", "Poor Quality": "poor quality"}
        | dict.fromkeys(_ADVENTITIOUS_RECORDS, "adventitious"),
        title="official task 2-1: recordings, three classes",
        unscored=("poor quality",),
    ),
)


class SprSound(Dataset):
    """The training part of the BioCAS 2022 challenge, and its test part if the copy has it."""

    name = "sprsound"
    title = "SPRSound, the SJTU Paediatric Respiratory Sound Database (BioCAS 2022)"
    citation = (
        "Zhang, Q. et al. (2022). SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database. "
        "IEEE Transactions on Biomedical Circuits and Systems 16(5), 867-881. Data: doi:10.21227/rqh3-h568"
    )
    licence = "Creative Commons Attribution"
    homepage = _REPOSITORY
    # The publisher states neither size nor checksum: a download is compared with the published counts.
    files = (
        RemoteFile(
            name="SPRSound.zip",
            urls=(
                f"{_REPOSITORY}/archive/174500e401f4ebf54061414c2fe082c7dccfb9d2.zip",
                f"{_REPOSITORY}/archive/refs/heads/main.zip",
            ),
        ),
    )
    expected = Counts(recordings=2683, patients=292, segments=9089)
    expected_parts: ClassVar[tuple[Counts, ...]] = (Counts(recordings=1949, patients=251, segments=6656),)
    tasks = TASKS
    segment_labels = frozenset(("Normal", *_ADVENTITIOUS_EVENTS))
    recording_labels = frozenset(("Normal", "Poor Quality", *_ADVENTITIOUS_RECORDS))
    needed_columns = ("label", "location", "age_years", "sex")
    limits = (
        "Only children, of one hospital, recorded with one type of stethoscope.",
        "The children of the published intra-patient test are in the training part as well, by design; it is exempt.",
        "The publisher states no checksum: a copy is compared with the published counts.",
        "A few patients have most of the adventitious events: intervals are by patient.",
    )
    annotated = False  # recordings of poor quality have no events
    annotations_sorted = False  # events come in the order in which they were drawn

    def layout(self, source: Path) -> dict[str, Path]:
        """Return the files of a copy, with the folder names that include the year."""
        found = prefer_wav(gather(_targets(source), source))
        folders = {target.rpartition("/")[0] for target in found}
        if not {_TRAIN, "train2022_json"} <= folders:
            raise LayoutError(
                f"this is no copy of {self.title}: found {', '.join(sorted(folders)) or 'none of its folders'}",
                where=str(source),
                next_step="give a source that contains train2022_wav/ and train2022_json/ (and test2022_wav/ and"
                f" test2022_json/ if you have them); the publisher: {self.homepage}",
            )
        return found

    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording with an audio file or an annotation file."""
        result: dict[str, Recording] = {}
        for audio_folder, annotation_folder, part, exempt_reason in _PARTS:
            audio = audio_by_stem(raw / audio_folder)
            annotations = {path.stem for path in (raw / annotation_folder).glob("*.json")}
            names = annotations | (audio.keys() if part == "train" else set())
            for name in sorted(names - result.keys()):
                path = f"{audio_folder}/{audio[name].name}" if name in audio else ""
                label = _read_record_label(raw / annotation_folder / f"{name}.json")
                result[name] = _recording(name, path, label, part, exempt_reason)
        for name, file in audio_by_stem(raw / _TEST).items():
            result.setdefault(name, _recording(name, f"{_TEST}/{file.name}", None, "test", None))
        return [result[name] for name in sorted(result)]

    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """Return the events of a recording; none if its quality is poor."""
        for _, folder, _, _ in _PARTS:
            path = raw / folder / f"{recording.recording_id}.json"
            if path.is_file():
                return _read_events(path)
        raise AnnotationMissingError(f"there is no annotation file {recording.recording_id}.json")

    def patient_of(self, name: str) -> str | None:
        """Return the number at the start of a recording's name; the age in the name contains a point."""
        path = PurePosixPath(name)
        match = _NAME.fullmatch(normal(path.name)) or _NAME.fullmatch(normal(path.stem))
        return match["patient"] if match is not None else None


def _targets(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the raw folder, file) for the files of the data set in *source*."""
    for path in files_below(source):
        folder = _FOLDERS.get(path.parent.name.lower())
        inside = path.relative_to(source).parts[:-1]
        name = normal(path.stem)
        if folder is None or not _NAME.fullmatch(name) or any(_OTHER_YEAR.fullmatch(part) for part in inside):
            continue
        if path.suffix.lower() == ".json" if folder.endswith("json") else is_audio(path.name):
            yield f"{folder}/{name}{path.suffix.lower()}", path


def _recording(
    name: str, path: str, label: str | None, part: Literal["train", "test"], exempt_reason: str | None
) -> Recording:
    match = _NAME.fullmatch(name)
    missing = () if label is not None else ("record_annotation",)
    if match is None:
        return Recording(recording_id=name, patient_id="", path=path, label=label, missing=("patient", *missing))
    return Recording(
        recording_id=name,
        patient_id=match["patient"],
        path=path,
        device="Yunting II",
        location=LOCATIONS.get(match["location"], match["location"]),
        age_years=float(match["age"]),
        sex=_SEX[match["sex"]],
        label=label,
        sequence=int(match["number"]),
        published_part=part,
        exempt_reason=exempt_reason,
        missing=missing,
    )


def _read_events(path: Path) -> list[Segment]:
    """Return the events of a recording in the order of the file; begin and end are in ms, as text or numbers.

    Raises
    ------
    AnnotationError
        If the file is not JSON, or an event is malformed.
    """
    events = _load(path).get("event_annotation")
    if not isinstance(events, list):
        raise AnnotationError(f"{path.name}: there is no list event_annotation")
    return [_event(path, number, event) for number, event in enumerate(events, start=1)]


def _event(path: Path, number: int, event: Any) -> Segment:
    where = f"{path.name}, event {number}"
    if not isinstance(event, dict) or not {"start", "end", "type"} <= event.keys():
        raise AnnotationError(f"{where}: start, end and type are needed, not {json.dumps(event)[:120]}")
    if not isinstance(event["type"], str):
        raise AnnotationError(f"{where}: type must be text, not {event['type']!r}")
    return Segment(_seconds(where, event["start"]), _seconds(where, event["end"]), event["type"])


def _seconds(where: str, value: Any) -> float:
    try:
        milliseconds = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):  # an integer of hundreds of digits
        milliseconds = math.nan
    if isinstance(value, bool) or not math.isfinite(milliseconds):
        raise AnnotationError(f"{where}: {repr(value)[:80]} is no time in milliseconds")
    return milliseconds / 1000.0


def _read_record_label(path: Path) -> str | None:
    """Return the label of the whole recording, ``None`` if the file has none."""
    try:
        label = _load(path).get("record_annotation")
    except AnnotationError:
        return None  # segments() reports the error
    return label if isinstance(label, str) else None


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise AnnotationMissingError(f"there is no annotation file {path.name}") from error
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or too large a number or depth
        raise AnnotationError(f"{path.name}: {error}") from error
    if not isinstance(data, dict):
        raise AnnotationError(f"{path.name}, line 1: an object is needed, not {type(data).__name__}")
    return data


DATASET = SprSound()
