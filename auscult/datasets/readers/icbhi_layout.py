"""ICBHI's layout: file names, annotation files, tables and tasks.

A data set in this layout is a subclass of :class:`IcbhiLayout`. The raw folder has the names of the publisher::

    ICBHI_final_database/<patient>_<index>_<location>_<mode>_<device>.{wav,txt}
    ICBHI_Challenge_diagnosis.txt                patient, diagnosis
    ICBHI_Challenge_demographic_information.txt  patient, age (years), sex, BMI, weight, height
    ICBHI_challenge_train_test.txt               recording, train or test

Columns are separated by tabs, blanks, commas or semicolons; a header is optional.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from auscult.core.errors import DataError, LayoutError
from auscult.core.records import Recording, Segment
from auscult.core.tasks import Task
from auscult.datasets import AnnotationError, AnnotationMissingError, Dataset
from auscult.datasets.readers.copies import audio_by_stem, files_below, gather, is_audio, prefer_wav, same_bytes

AUDIO_FOLDER = "ICBHI_final_database"
DIAGNOSIS = "ICBHI_Challenge_diagnosis.txt"
DEMOGRAPHICS = "ICBHI_Challenge_demographic_information.txt"
SPLIT = "ICBHI_challenge_train_test.txt"

#: Name of a table in a copy (lower case) → name of the publisher.
TABLE_NAMES: dict[str, str] = {
    DIAGNOSIS.lower(): DIAGNOSIS,
    "patient_diagnosis.csv": DIAGNOSIS,
    "patient_diagnosis.txt": DIAGNOSIS,
    DEMOGRAPHICS.lower(): DEMOGRAPHICS,
    "demographic_info.txt": DEMOGRAPHICS,
    SPLIT.lower(): SPLIT,
}

#: patient_index_location_mode_device, such as 101_1b1_Al_sc_Meditron
_NAME = re.compile(r"(?P<patient>\d+)_(?P<index>[^_]+)_(?P<location>[^_]+)_(?P<mode>sc|mc)_(?P<device>[^_]+)")

#: (crackles, wheezes) as annotated → raw label of a cycle
SOUNDS = {("0", "0"): "normal", ("1", "0"): "crackle", ("0", "1"): "wheeze", ("1", "1"): "both"}
_SEXES: dict[str, Literal["female", "male"]] = {"F": "female", "M": "male"}
_PARTS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}
_UNKNOWN = ("NA", "NAN")

CHRONIC = ("COPD", "Asthma", "Bronchiectasis")
INFECTIOUS = ("URTI", "LRTI", "Pneumonia", "Bronchiolitis")
DIAGNOSES = ("Healthy", *CHRONIC, *INFECTIOUS)

ICBHI_TASKS: tuple[Task, ...] = (
    Task(
        name="binary",
        unit="recording",
        classes=("healthy", "diseased"),
        normal="healthy",
        mapping={name: "healthy" if name == "Healthy" else "diseased" for name in DIAGNOSES},
        title="healthy or diseased, by recording",
    ),
    Task(
        name="multiclass",
        unit="recording",
        classes=("healthy", "chronic", "infectious"),
        normal="healthy",
        mapping={"Healthy": "healthy"} | dict.fromkeys(CHRONIC, "chronic") | dict.fromkeys(INFECTIOUS, "infectious"),
        title="healthy, chronic or infectious, by recording",
    ),
    Task(
        name="abnormal",
        unit="segment",
        classes=("normal", "abnormal"),
        normal="normal",
        mapping={"normal": "normal", "crackle": "abnormal", "wheeze": "abnormal", "both": "abnormal"},
        title="normal or abnormal breathing cycle",
    ),
    Task(
        name="sounds",
        unit="segment",
        classes=("normal", "crackle", "wheeze", "both"),
        normal="normal",
        mapping={name: name for name in ("normal", "crackle", "wheeze", "both")},
        title="normal, crackle, wheeze or both in a breathing cycle",
    ),
)


class IcbhiLayout(Dataset):
    """A data set in ICBHI's layout."""

    tasks: ClassVar[tuple[Task, ...]] = ICBHI_TASKS
    segment_labels: ClassVar[frozenset[str]] = frozenset(SOUNDS.values())
    recording_labels: ClassVar[frozenset[str]] = frozenset(DIAGNOSES)
    needed_columns: ClassVar[tuple[str, ...]] = ("label", "device", "location")
    #: Wrong name in the split file → recording that it means.
    split_names: ClassVar[Mapping[str, str]] = {}
    #: Patient → reason why the test recordings are excluded from the pooled test part.
    exempt_test_patients: ClassVar[Mapping[str, str]] = {}

    def layout(self, source: Path) -> dict[str, Path]:
        """Return the files of a copy in the publisher's layout."""
        found = prefer_wav(gather(_targets(source), source, _same))
        if not any(target.startswith(f"{AUDIO_FOLDER}/") for target in found):
            raise LayoutError(
                f"this is no copy of {self.title}: no recording such as 101_1b1_Al_sc_Meditron.wav or .flac in it",
                where=str(source),
                next_step="give as the source the folder or zip file with ICBHI_final_database/ or"
                f" audio_and_txt_files/; the publisher: {self.homepage}",
            )
        if DIAGNOSIS not in found:
            raise LayoutError(
                f"this copy of {self.title} lacks the diagnoses: {DIAGNOSIS} or patient_diagnosis.csv",
                where=str(source),
                next_step=f"get {DIAGNOSIS} from {self.homepage}, put it into one folder with the recordings (or"
                " their zip file), and give that folder as the source",
            )
        return found

    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording with an audio file or an annotation file."""
        audio = audio_by_stem(raw / AUDIO_FOLDER)
        annotated = {path.stem for path in (raw / AUDIO_FOLDER).glob("*.txt") if _NAME.fullmatch(path.stem)}
        diagnoses = _read_diagnoses(raw / DIAGNOSIS)
        demographics = _read_demographics(raw / DEMOGRAPHICS)
        parts = {self.split_names.get(name, name): part for name, part in _read_split(raw / SPLIT).items()}
        result = []
        for name in sorted(audio.keys() | annotated):
            path = f"{AUDIO_FOLDER}/{audio[name].name}" if name in audio else ""
            match = _NAME.fullmatch(name)
            if match is None:
                missing = ("patient", "location", "device")
                result.append(Recording(recording_id=name, patient_id="", path=path, missing=missing))
                continue
            patient, part = match["patient"], parts.get(name)
            age_years, sex = demographics.get(patient, (None, None))
            lacking = ["diagnosis"] if patient not in diagnoses else []
            if demographics and patient not in demographics:
                lacking.append("demographics")
            recording = Recording(
                recording_id=name,
                patient_id=patient,
                path=path,
                device=match["device"],
                location=match["location"],
                age_years=age_years,
                sex=sex,
                label=diagnoses.get(patient),
                published_part=part,
                exempt_reason=self.exempt_test_patients.get(patient) if part == "test" else None,
                missing=tuple(lacking),
            )
            result.append(recording)
        return result

    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """Return the breathing cycles of a recording."""
        return _read_cycles(raw / AUDIO_FOLDER / f"{recording.recording_id}.txt")

    def patient_of(self, name: str) -> str | None:
        """Return the number at the start of a recording's name."""
        match = _NAME.fullmatch(PurePosixPath(name).stem)
        return match["patient"] if match is not None else None

    def is_table(self, place: str) -> bool:
        """Return True for diagnoses, demographics and the official split."""
        return place in _READERS

    def patient_of_line(self, place: str, line: str) -> str | None:
        """Return the number in the first column; in the split file, that of the recording."""
        first = next(iter(_fields(line)), "")
        return self.patient_of(first) if place == SPLIT else first if first.isdigit() else None


def _targets(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the raw folder, file) for the files of the layout in *source*."""
    for path in files_below(source):
        if path.name.lower() in TABLE_NAMES:
            yield TABLE_NAMES[path.name.lower()], path
        elif _NAME.fullmatch(path.stem) and (is_audio(path.name) or path.suffix.lower() == ".txt"):
            yield f"{AUDIO_FOLDER}/{path.stem}{path.suffix.lower()}", path


def _same(target: str, one: Path, other: Path) -> bool:
    """Return whether two files are equal; tables are compared by content, not by format."""
    read = _READERS.get(target)
    return same_bytes(target, one, other) or (read is not None and read(one) == read(other))


def _read_cycles(path: Path) -> list[Segment]:
    """Return the breathing cycles of a file with begin (s), end (s), crackles (0/1) and wheezes (0/1) in each line.

    Raises
    ------
    AnnotationError
        If the file is missing or empty, or a line is malformed.
    """
    if not path.is_file():
        raise AnnotationMissingError(f"there is no annotation file {path.name}")
    cycles = []
    for number, line in _lines(path):
        where, fields = f"{path.name}, line {number}", line.split()
        if len(fields) != 4:
            raise AnnotationError(f"{where}: {len(fields)} columns instead of 4")
        label = SOUNDS.get((fields[2], fields[3]))
        if label is None:
            raise AnnotationError(f"{where}: crackles and wheezes must be 0 or 1, not {fields[2:]}")
        cycles.append(Segment(_seconds(where, fields[0]), _seconds(where, fields[1]), label))
    if not cycles:
        raise AnnotationMissingError(f"{path.name}: the file contains no cycle")
    return cycles


def _seconds(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(f"{where}: {text!r} is no time in seconds")
    return value


def _read_diagnoses(path: Path) -> dict[str, str]:
    """Return patient → diagnosis without NA; raises as :func:`_patients` does."""
    rows = _patients(path, "patient, diagnosis")
    return {fields[0]: fields[1] for _, fields in rows if fields[1].upper() not in _UNKNOWN}


def _read_demographics(path: Path) -> dict[str, tuple[float | None, Literal["female", "male"] | None]]:
    """Return patient → (age in years, sex), each ``None`` for NA; raises as :func:`_patients` does."""
    result = {}
    columns = "patient, age in years, sex"
    for number, fields in _patients(path, columns):
        try:
            age = None if fields[1].upper() in _UNKNOWN else float(fields[1])
        except ValueError as error:
            raise _malformed(path, number, columns) from error
        result[fields[0]] = (age, _SEXES.get(fields[2].upper()))
    return result


def _read_split(path: Path) -> dict[str, Literal["train", "test"]]:
    """Return recording, as written in the file → part of the official split."""
    result = {}
    for number, fields in _rows(path):
        if len(fields) != 2 or fields[1].lower() not in _PARTS:
            raise _malformed(path, number, "a recording's name and train or test")
        result[fields[0]] = _PARTS[fields[1].lower()]
    return result


def _malformed(path: Path, number: int, expected: str) -> DataError:
    return DataError(
        f"line {number} of {path.name} should contain {expected}", where=f"{path}:{number}", next_step="correct it"
    )


def _patients(path: Path, columns: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that begin with a patient's number, which a header does not.

    Raises
    ------
    DataError
        If there is no such row, but another one: the file is something else, such as a web page.
    """
    rows = list(_rows(path))
    found = [(n, fields) for n, fields in rows if fields and fields[0].isdigit() and len(fields) > columns.count(",")]
    if rows and not found:  # an empty table is accepted: validate reports the missing patients
        raise DataError(
            f"{path.name} is not a table of {columns}",
            where=str(path),
            next_step="open it (it may be a login page) and get the table again",
        )
    yield from found


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a table; nothing if there is no file."""
    if path.is_file():
        try:
            yield from ((number, _fields(line)) for number, line in _lines(path))
        except AnnotationError as error:
            raise DataError(
                str(error), where=str(path), next_step="correct the table, or use the publisher's"
            ) from error


def _fields(line: str) -> list[str]:
    return [field for field in re.split(r"[,;\s]+", line) if field]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that are not blank; raise ``AnnotationError`` if the file is not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path.name}: not a text file ({error})") from error
    yield from ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


#: Table → function that reads it.
_READERS: dict[str, Callable[[Path], Mapping[str, object]]] = {
    DIAGNOSIS: _read_diagnoses,
    DEMOGRAPHICS: _read_demographics,
    SPLIT: _read_split,
}
