"""Read ICBHI's annotation files and tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from auscult.core.errors import DataError
from auscult.core.records import Segment
from auscult.datasets import AnnotationError, AnnotationMissingError

PublishedPart = Literal["train", "test"]
Sex = Literal["female", "male"]
#: (age in years, sex), each None for NA
Demographics = tuple[float | None, Sex | None]

#: (crackles, wheezes) as annotated → raw label of a cycle
SOUNDS: dict[tuple[str, str], str] = {
    ("0", "0"): "normal",
    ("1", "0"): "crackle",
    ("0", "1"): "wheeze",
    ("1", "1"): "both",
}


def read_cycles(path: Path) -> list[Segment]:
    """Return the breathing cycles of a file with begin (s), end (s), crackles (0/1) and wheezes (0/1) in each line.

    Raises
    ------
    AnnotationError
        If the file is missing or empty, or a line is malformed.
    """
    if not path.is_file():
        raise AnnotationMissingError(f"there is no annotation file {path.name}")
    cycles = []
    for number, fields in _rows(path, str.split):
        if len(fields) != 4:
            raise AnnotationError(f"{path.name}, line {number}: {len(fields)} columns instead of 4")
        label = SOUNDS.get((fields[2], fields[3]))
        if label is None:
            raise AnnotationError(f"{path.name}, line {number}: crackles and wheezes must be 0 or 1, not {fields[2:]}")
        cycles.append(Segment(_seconds(path, number, fields[0]), _seconds(path, number, fields[1]), label))
    if not cycles:
        raise AnnotationMissingError(f"{path.name}: the file contains no cycle")
    return cycles


def _seconds(path: Path, number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(f"{path.name}, line {number}: {text!r} is no time in seconds")
    return value


def read_diagnoses(path: Path) -> dict[str, str]:
    """Return patient → diagnosis; empty if there is no file.

    Columns are separated by tabs, blanks or commas; a header is optional.

    Raises
    ------
    DataError
        If the file is something else, such as a web page.
    """
    return {
        fields[0]: fields[1]
        for _, fields in _patients(path, "patient, diagnosis")
        if fields[1].upper() not in ("NA", "NAN", "")
    }


def read_demographics(path: Path) -> dict[str, Demographics]:
    """Return patient → (age in years, sex), each ``None`` for NA; empty if there is no file.

    Raises
    ------
    DataError
        If the file is something else, or an age is not a number.
    """
    result: dict[str, Demographics] = {}
    sexes: dict[str, Sex] = {"F": "female", "M": "male"}
    for number, fields in _patients(path, "patient, age in years, sex"):
        age = None if fields[1].upper() in ("NA", "NAN", "") else _age(path, number, fields[1])
        result[fields[0]] = (age, sexes.get(fields[2].upper()))
    return result


def read_split(path: Path) -> dict[str, PublishedPart]:
    """Return recording, as written in the file → part of the official split; empty if there is no file."""
    parts: dict[str, PublishedPart] = {"train": "train", "test": "test"}
    result = {}
    for number, fields in _table(path):
        if len(fields) != 2 or fields[1].lower() not in parts:
            raise _malformed(path, number, "a recording's name and train or test")
        result[fields[0]] = parts[fields[1].lower()]
    return result


def _age(path: Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise _malformed(path, number, "patient, age in years, sex") from error


def _malformed(path: Path, number: int, expected: str) -> DataError:
    return DataError(
        f"line {number} of {path.name} should contain {expected}", where=f"{path}:{number}", next_step="correct it"
    )


def _patients(path: Path, columns: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that begin with a patient's number, which a header does not."""
    lines = found = 0
    for number, fields in _table(path):
        lines += 1
        if fields and fields[0].isdigit() and len(fields) > columns.count(","):
            found += 1
            yield number, fields
    if lines and not found:  # an empty table is accepted: validate reports the missing patients
        raise DataError(
            f"{path.name} is not a table of {columns}",
            where=str(path),
            next_step="open it (it may be a login page) and get the table again",
        )


def _table(path: Path) -> Iterator[tuple[int, list[str]]]:
    if path.is_file():
        try:
            yield from _rows(path, _fields)
        except AnnotationError as error:
            raise DataError(
                str(error), where=str(path), next_step="correct the table, or use the publisher's"
            ) from error


def first_field(line: str) -> str:
    """Return the first column of a line of a table; empty for an empty line."""
    return next(iter(_fields(line)), "")


def _fields(line: str) -> list[str]:
    return [field for field in re.split(r"[,;\s]+", line) if field]


def _rows(path: Path, split: Callable[[str], list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of the lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path.name}: not a text file ({error})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, split(line)
