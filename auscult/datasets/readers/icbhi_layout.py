"""ICBHI's layout: file names, annotation files, tables and tasks.

A data set in this layout is a subclass of :class:`IcbhiLayout`. The raw folder has the names of the publisher::

    ICBHI_final_database/<patient>_<index>_<location>_<mode>_<device>.{wav,txt}
    ICBHI_Challenge_diagnosis.txt                patient, diagnosis
    ICBHI_Challenge_demographic_information.txt  patient, age (years), sex, BMI, weight, height
    ICBHI_challenge_train_test.txt               recording, train or test

Columns are separated by tabs, blanks, commas or semicolons (:mod:`auscult.datasets.readers.text_tables`); a header is
optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from auscult.core.errors import DataError, LayoutError
from auscult.core.identifiers import normal
from auscult.core.records import Recording, Segment
from auscult.core.tasks import Task
from auscult.datasets import AnnotationError, AnnotationMissingError, Dataset
from auscult.datasets.readers import text_tables
from auscult.datasets.readers.copies import (
    audio_by_stem,
    by_stem,
    files_below,
    gather,
    is_audio,
    prefer_wav,
    same_bytes,
)

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
_SEXES: dict[str, Literal["female", "male"]] = {"F": "female", "M": "male", "FEMALE": "female", "MALE": "male"}
_PARTS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}
#: A patient in a table.
_PATIENT = re.compile(r"(\d+)(?:[.,]0+)?")
#: What DOS and some recorders write behind the end of a text.
_PADDING = "\x1a\0"

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
        annotated = {name for name in by_stem(raw / AUDIO_FOLDER, ".txt") if _NAME.fullmatch(name)}
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
        name, folder = recording.recording_id, raw / AUDIO_FOLDER
        path = folder / f"{name}.txt"
        # A folder of an older version, or on a disk of macOS, may hold the name in another Unicode form.
        return _read_cycles(path if path.is_file() else by_stem(folder, ".txt").get(name, path))

    def patient_of(self, name: str) -> str | None:
        """Return the number at the start of a recording's name."""
        match = _NAME.fullmatch(normal(PurePosixPath(name).stem))
        return match["patient"] if match is not None else None

    def is_table(self, place: str) -> bool:
        """Return True for diagnoses, demographics and the official split."""
        return place in _READERS

    def patient_of_line(self, place: str, line: str) -> str | None:
        """Return the number in the first column; in the split file, that of the recording."""
        first = text_tables.cells(line)[0] if line.strip() else ""
        return self.patient_of(first) if place == SPLIT else _patient_number(first)


def _targets(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the raw folder, file) for the files of the layout in *source*."""
    for path in files_below(source):
        if path.name.lower() in TABLE_NAMES:
            yield TABLE_NAMES[path.name.lower()], path
        elif _NAME.fullmatch(name := normal(path.stem)) and (is_audio(path.name) or path.suffix.lower() == ".txt"):
            yield f"{AUDIO_FOLDER}/{name}{path.suffix.lower()}", path


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
    for number, line in _lines(path, utf16=True):
        where, fields = f"{path.name}, line {number}", _without_empty_end(text_tables.cells(line), 4)
        if len(fields) != 4:
            raise AnnotationError(f"{where}: {len(fields)} columns instead of 4")
        label = SOUNDS.get((_flag(fields[2]), _flag(fields[3])))
        if label is None:
            raise AnnotationError(f"{where}: crackles and wheezes must be 0 or 1, not {fields[2:]}")
        cycles.append(Segment(_seconds(where, fields[0]), _seconds(where, fields[1]), label))
    if not cycles:
        raise AnnotationMissingError(f"{path.name}: the file contains no cycle")
    return cycles


def _flag(text: str) -> str:
    """Return ``0`` or ``1``, which pandas may have written as ``0.0`` or ``1.0``; another text as it is."""
    value = text_tables.number(text, decimal_comma=True)
    return f"{value:g}" if value is not None else text


def _seconds(where: str, text: str) -> float:
    value = text_tables.number(text, decimal_comma=True)
    if value is None:
        raise AnnotationError(f"{where}: {text!r} is no time in seconds")
    return value


def _read_diagnoses(path: Path) -> dict[str, str]:
    """Return patient → diagnosis without NA; raises as :func:`_patients` does."""
    rows = _patients(path, ("patient", "diagnosis"), 2)
    return {patient: fields[1] for _, patient, fields in rows if not _is_unknown(fields[1])}


def _read_demographics(path: Path) -> dict[str, tuple[float | None, Literal["female", "male"] | None]]:
    """Return patient → (age in years, sex), each ``None`` for NA; raises as :func:`_patients` does."""
    result = {}
    for number, patient, fields in _patients(path, ("patient", "age in years", "sex"), 6):
        age = None if _is_unknown(fields[1]) else text_tables.number(fields[1], decimal_comma=True)
        sex = None if _is_unknown(fields[2]) else _SEXES.get(fields[2].upper())
        if (age is None and not _is_unknown(fields[1])) or (sex is None and not _is_unknown(fields[2])):
            raise _malformed(path, number, "patient, age in years, sex (F or M; NA if unknown)")
        result[patient] = (age, sex)
    return result


def _read_split(path: Path) -> dict[str, Literal["train", "test"]]:
    """Return recording, as written in the file → part of the official split."""
    result = {}
    for number, row in _rows(path):
        fields = _without_empty_end(row, 2)
        if len(fields) != 2 or fields[1].lower() not in _PARTS:
            raise _malformed(path, number, "a recording's name and train or test")
        result[normal(fields[0])] = _PARTS[fields[1].lower()]
    return result


def _is_unknown(cell: str) -> bool:
    return cell.lower() in text_tables.UNKNOWN


def _malformed(path: Path, number: int, expected: str) -> DataError:
    return DataError(
        f"line {number} of {path.name} should contain {expected}", where=f"{path}:{number}", next_step="correct it"
    )


def _patients(path: Path, columns: Sequence[str], most: int) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, patient, cells) of a table of patients; lines before the first patient are a header.

    Parameters
    ----------
    columns
        Names of the first columns, which every row must have.
    most
        Largest number of columns: a row with more was probably torn apart by a decimal comma.

    Raises
    ------
    DataError
        A row has too few or too many columns, or no patient. If no row has one, the file is something else, such as a
        web page.
    """
    rows = [(number, _patient_number(fields[0]), _without_empty_end(fields, most)) for number, fields in _rows(path)]
    names = ", ".join(columns)
    if rows and not any(patient and len(fields) >= len(columns) for _, patient, fields in rows):
        raise DataError(  # an empty table is accepted: validate reports the missing patients
            f"{path.name} is not a table of {names}",
            where=str(path),
            next_step="open it (it may be a login page) and get the table again",
        )
    began = False
    for number, patient, fields in rows:
        if patient is None and not began:
            continue
        if patient is None or not len(columns) <= len(fields) <= most:
            many = f", not {len(fields)} columns (a decimal comma? write 0.5, not 0,5)" if len(fields) > most else ""
            raise _malformed(path, number, names + many)
        began = True
        yield number, patient, fields


def _patient_number(cell: str) -> str | None:
    """Return the number of a patient, which pandas may have written as ``101.0``; ``None`` if it is none."""
    found = _PATIENT.fullmatch(normal(cell))
    return found[1] if found is not None else None


def _without_empty_end(fields: list[str], most: int) -> list[str]:
    """Return the cells without empty ones behind the last column."""
    while len(fields) > most and not fields[-1]:
        fields = fields[:-1]
    return fields


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a table; nothing if there is no file.

    Raises
    ------
    DataError
        It is not UTF-8. Lines of a withdrawn patient are cut from the bytes, which UTF-16 does not allow.
    """
    if not path.is_file():
        return
    try:
        found = _lines(path, utf16=False)
    except AnnotationError as error:
        raise DataError(
            str(error), where=str(path), next_step="save the table as UTF-8, or use the publisher's"
        ) from error
    yield from ((number, text_tables.cells(line)) for number, line in found if not line.startswith("#"))


def _lines(path: Path, *, utf16: bool) -> list[tuple[int, str]]:
    """Return number and text of the lines that are not blank; raise ``AnnotationError`` if the file is no text."""
    try:
        return text_tables.lines(text_tables.read_text(path, utf16=utf16).rstrip(_PADDING))
    except text_tables.NotTextError as error:
        raise AnnotationError(f"{path.name}: not a text file ({error})") from error


#: Table → function that reads it.
_READERS: dict[str, Callable[[Path], Mapping[str, object]]] = {
    DIAGNOSIS: _read_diagnoses,
    DEMOGRAPHICS: _read_demographics,
    SPLIT: _read_split,
}
