"""Layout of audio files with two tables, which every data set accepts for additions.

::

    recordings.csv   file, patient_id; recording_id, label, device, location, age_years, sex as required
    segments.csv     recording_id or file, start_s, end_s, label
    *.wav, *.flac    paths of the column ``file``, relative to the tables

Labels are the raw labels of the data set. A recording with an invalid row is rejected, with the line in the reason;
an invalid table is an error. The tables may have been written manually or by a spreadsheet.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from auscult.core.errors import DataError
from auscult.core.identifiers import normal
from auscult.core.records import Recording, Segment
from auscult.datasets import AnnotationError, AnnotationMissingError, Dataset, UnknownLabelError
from auscult.datasets.readers import text_tables
from auscult.datasets.readers.copies import files_below, is_audio, normal_path

RECORDINGS, SEGMENTS = "recordings.csv", "segments.csv"
#: Columns of recordings.csv: always required, and required by some data sets.
KEYS = ("file", "patient_id")
DESCRIPTIONS = ("recording_id", "label", "device", "location", "age_years", "sex")
TIMES = ("start_s", "end_s", "label")
_SEXES: dict[str, Literal["female", "male"]] = {"female": "female", "f": "female", "male": "male", "m": "male"}


def reader(dataset: Dataset, folder: Path) -> Dataset | TablesLayout:
    """Return the reader of a folder: :class:`TablesLayout` if it contains ``recordings.csv``, else the data set."""
    return TablesLayout(dataset) if (folder / RECORDINGS).is_file() else dataset


def owners(content: bytes) -> list[Recording]:
    """Return id, patient and file of each row of a ``recordings.csv`` written by :meth:`TablesLayout.excerpt`."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", errors="replace"), newline=""))
    found = [{key: row.get(key) or "" for key in ("recording_id", "patient_id", "file")} for row in rows]
    return [Recording(row["recording_id"], row["patient_id"], row["file"]) for row in found if row["patient_id"]]


@dataclass
class _Content:
    """Recordings of the tables of a folder, and their segments or the errors of these."""

    recordings: dict[str, Recording] = field(default_factory=dict)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    errors: dict[str, AnnotationError] = field(default_factory=dict)


class TablesLayout:
    """Reader of the layout of two tables, with the interface of :class:`Dataset`; reads the tables of a folder once."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[Path, _Content] = {}

    def layout(self, source: Path) -> dict[str, Path]:
        """Return the tables and the audio files that they name, at the paths of *source*."""
        files = {name: source / name for name in (RECORDINGS, SEGMENTS) if (source / name).is_file()}
        named = {recording.path for recording in self.recordings(source) if recording.path}
        return files | {name: source / name for name in sorted(named)}

    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording that a row of either table names, sorted by id; row errors are in ``missing``."""
        found = self._content(raw).recordings
        return [found[name] for name in sorted(found)]

    def segments(self, raw: Path, recording: Recording) -> Sequence[Segment]:
        """Return the segments of a recording, sorted by time."""
        content, name = self._content(raw), recording.recording_id
        if name in content.errors:
            raise content.errors[name]
        if name not in content.segments and self._dataset.annotated:
            raise AnnotationMissingError(f"{SEGMENTS} has no row for it")
        return sorted(content.segments.get(name, ()), key=lambda each: (each.start_s, each.end_s, each.label))

    def excerpt(self, raw: Path, names: Collection[str]) -> dict[str, bytes]:
        """Return the tables with the rows of the given recordings only: file name → content.

        The format is canonical: equal rows give equal bytes.
        """
        recordings = [each for each in self.recordings(raw) if each.recording_id in names]
        described = [
            [each.path, each.patient_id, *(_text(getattr(each, c)) for c in DESCRIPTIONS)] for each in recordings
        ]
        timed = [
            [each.recording_id, _text(segment.start_s), _text(segment.end_s), segment.label]
            for each in recordings
            for segment in self.segments(raw, each)
        ]
        return {
            RECORDINGS: _csv([*KEYS, *DESCRIPTIONS], described),
            SEGMENTS: _csv(["recording_id", *TIMES], timed),
        }

    def _content(self, folder: Path) -> _Content:
        if folder not in self._known:
            self._known[folder] = content = _Content()
            ids = self._describe(folder, content)
            if (folder / SEGMENTS).is_file():
                self._annotate(folder, content, ids)
        return self._known[folder]

    def _describe(self, folder: Path, content: _Content) -> dict[str, str]:
        """Read the recordings; return file → recording, for segments that name the file."""
        needed, files = self._dataset.needed_columns, _Files(folder)
        optional = [c for c in DESCRIPTIONS if c not in needed]
        rows = _read_rows(folder / RECORDINGS, [*KEYS, *needed], optional, lambda cell: bool(files.find(cell)))
        if not rows:
            raise _table_error(folder / RECORDINGS, 1, "no row follows the header", "add a row for each recording")
        lines: dict[str, int] = {}
        ids: dict[str, str] = {}
        for row in rows:
            recording = self._recording(row, files)
            name = recording.recording_id
            if name in lines:
                fault = f"{_line(RECORDINGS, row)}: {name!r} is in line {lines[name]} already"
                first = content.recordings[name]
                recording = replace(first, missing=(*first.missing, fault))
            lines.setdefault(name, row.line)
            content.recordings[name] = recording
            ids.setdefault(normal_path(row.cells["file"]), name)
        return ids

    def _recording(self, row: _Row, files: _Files) -> Recording:
        cells, file = row.cells, row.cells["file"]
        faults = [row.fault] if row.fault else []
        faults += [f"{name} is empty" for name in (*KEYS, *self._dataset.needed_columns) if not cells[name]]
        path = files.find(file)
        if file and not path:
            faults.append(files.absent(file))
        age, sex = None, _SEXES.get(cells.get("sex", "").lower())
        try:
            age = row.number("age_years", "age in years") if cells.get("age_years") else None
        except AnnotationError as error:
            faults.append(str(error))
        if cells.get("sex") and sex is None:
            faults.append(f"sex {cells['sex']!r} is neither female nor male")
        return Recording(
            recording_id=cells.get("recording_id") or PurePosixPath(normal_path(file)).stem or _line(RECORDINGS, row),
            patient_id=cells["patient_id"],
            path=path,
            device=cells.get("device") or None,
            location=cells.get("location") or None,
            age_years=age,
            sex=sex,
            label=cells.get("label") or None,
            missing=tuple(f"{_line(RECORDINGS, row)}: {fault}" for fault in faults),
        )

    def _annotate(self, folder: Path, content: _Content, ids: dict[str, str]) -> None:
        """Read the segments; a row without a known recording becomes a recording that will be rejected."""
        path = folder / SEGMENTS

        def names_one(cell: str) -> bool:
            return normal(cell) in content.recordings or normal_path(cell) in ids

        rows = _read_rows(path, TIMES, ("recording_id", "file"), names_one)
        if rows and not rows[0].cells.keys() & {"recording_id", "file"}:
            raise _table_error(path, 1, "neither recording_id nor file is among the columns", "add one of them")
        seen: dict[tuple[str, Segment], int] = {}
        for row in rows:
            file = row.cells.get("file", "")
            name = normal(row.cells.get("recording_id", "")) or ids.get(normal_path(file), "")
            where = _line(SEGMENTS, row)
            if name not in content.recordings:
                called = name or file or where
                fault = (f"{where}: {RECORDINGS} has no recording {called!r}",)
                content.recordings.setdefault(called, Recording(called, patient_id="", path="", missing=fault))
                continue
            try:
                segment = self._segment(row)
                if first := seen.get((name, segment)):
                    raise AnnotationError(f"the row is in line {first} already")
            except AnnotationError as error:
                content.errors.setdefault(name, type(error)(f"{where}: {error}"))
                continue
            seen[name, segment] = row.line
            content.segments.setdefault(name, []).append(segment)

    def _segment(self, row: _Row) -> Segment:
        fault = row.fault or next((f"{name} is empty" for name in TIMES if not row.cells[name]), "")
        if fault:
            raise AnnotationError(fault)
        start, end = (row.number(name, "time in seconds") for name in ("start_s", "end_s"))
        if end <= start:
            raise AnnotationError(f"the segment ends at {end:g} s, before it begins at {start:g} s")
        label, known = row.cells["label"], self._dataset.segment_labels
        if label not in known:
            raise UnknownLabelError(f"label {label!r} is unknown; there are: {', '.join(sorted(known))}")
        return Segment(start, end, label)


def _line(table: str, row: _Row) -> str:
    return f"{table}, line {row.line}"


class _Files:
    """The audio files of a folder, found by the names that a table gives them."""

    def __init__(self, folder: Path) -> None:
        self._all = [path.relative_to(folder).as_posix() for path in files_below(folder)]
        self._audio = {name for name in self._all if is_audio(name)}
        self._normal: dict[str, list[str]] = defaultdict(list)
        for name in self._audio:
            self._normal[normal_path(name)].append(name)

    def find(self, file: str) -> str:
        """Return the path of a file; empty if there is none, or if several files have this name but for blanks."""
        exact = PurePosixPath(file.replace("\\", "/")).as_posix()
        found = [exact] if exact in self._audio else self._normal.get(normal_path(file), [])
        return found[0] if len(found) == 1 else ""

    def absent(self, file: str) -> str:
        """Return why :meth:`find` finds nothing."""
        if not is_audio(file):
            return f"{file!r} is no .wav or .flac"
        if same := sorted(self._normal.get(normal_path(file), [])):
            return f"{file!r} may be any of {', '.join(map(ascii, same))}: rename all but one"
        alike = {PurePosixPath(normal_path(name)).stem.lower(): name for name in self._all}
        close = alike.get(PurePosixPath(normal_path(file)).stem.lower())
        return f"there is no file {file!r}" + (f"; did you mean {close!r}?" if close else "")


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


@dataclass(frozen=True)
class _Row:
    """One row of a table.

    Attributes
    ----------
    line
        Line number in the file.
    cells
        Column → stripped text; empty if unknown.
    decimal_comma
        Whether the fields are not separated by commas, so that a comma in a number is a decimal comma.
    fault
        What is wrong with the row as a whole; empty if nothing is.
    """

    line: int
    cells: dict[str, str]
    decimal_comma: bool
    fault: str

    def number(self, column: str, what: str) -> float:
        """Return a cell as a number.

        Raises
        ------
        AnnotationError
            If it is not a number; *what* says what it should be, such as "time in seconds".
        """
        text = self.cells[column]
        value = text_tables.number(text, decimal_comma=self.decimal_comma)
        if value is not None:
            return value
        hint = f": write {text.replace(',', '.')}" if text.count(",") == 1 and text.replace(",", "").isdigit() else ""
        raise AnnotationError(f"{column} {text!r} is no {what}{hint}")


def _read_rows(
    path: Path, needed: Collection[str], optional: Collection[str], names_one: Callable[[str], bool]
) -> list[_Row]:
    """Return the rows of a table without blank lines and lines that begin with ``#``, unless these name a recording.

    Fields are separated by commas, semicolons or tabs. UTF-16, a byte-order mark, any line ends and Excel's line
    ``sep=;`` are accepted.

    Raises
    ------
    DataError
        If it is not UTF-8 or UTF-16, has no header, or an open quote, or a column is missing, unknown or duplicated.
    """
    text = _read_text(path)
    lines = [line for _, line in text_tables.lines(text) if not _is_note(line)]
    if not lines:
        raise _table_error(path, 1, "there is no header", "auscult data template FOLDER writes one")
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    rows: list[_Row] = []
    line = 1
    try:
        for cells in reader:
            fields = [text_tables.plain(cell) for cell in cells]
            if any(fields) and (not _is_note(fields[0]) or names_one(fields[0])):
                if header:
                    rows.append(_row(line, fields, header, decimal_comma=separator != ","))
                else:
                    header = _header(path, line, fields, needed, optional)
            line = reader.line_num + 1
    except csv.Error as error:
        raise _table_error(path, line, f"the row cannot be read ({error})", "close the quotes in it") from error
    return rows


def _is_note(line: str) -> bool:
    """Return whether a line is a comment, or states the separator as Excel does."""
    return line.lstrip('" ').startswith("#") or re.fullmatch(r"sep=.?\s*", line) is not None


def _table_error(path: Path, line: int, what: str, next_step: str) -> DataError:
    """Return the error for a table that cannot be read."""
    return DataError(f"{path.name}, line {line}: {what}", where=f"{path}:{line}", next_step=next_step)


def _read_text(path: Path) -> str:
    advice = 'save it as "CSV UTF-8"'
    try:
        text = text_tables.read_text(path, utf16=True)
    except text_tables.NotTextError as error:
        raise _table_error(path, error.line, "the table is not UTF-8", advice) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _table_error(path, line, "the table is not a text file", advice)
    return text


def _header(path: Path, line: int, fields: list[str], needed: Collection[str], optional: Collection[str]) -> list[str]:
    """Return the checked names of the columns in lower case."""
    while fields and not fields[-1]:
        fields = fields[:-1]
    names, known = [field.lower() for field in fields], [*needed, *optional]
    for name in names:
        if name not in known:
            longer = [each for each in known if name and each.startswith(name)]
            close = longer or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            what = f"there is no column {name[:80]!r}; there are: {', '.join(known)}.{hint}"
            raise _table_error(path, line, what, "rename or remove it: no other data of patients may be added")
        if names.count(name) > 1:
            raise _table_error(path, line, f"the column {name!r} is duplicated", "remove one")
    if missing := [name for name in needed if name not in names]:
        what = f"the column {missing[0]!r} is missing; there are: {', '.join(names)}"
        raise _table_error(path, line, what, "add it; auscult data template FOLDER writes all of them")
    return names


def _row(line: int, fields: list[str], header: list[str], *, decimal_comma: bool) -> _Row:
    while len(fields) > len(header) and not fields[-1]:
        fields = fields[:-1]
    fault = ""
    if len(fields) > len(header):
        comma = "" if decimal_comma else " (a decimal comma? write 0.5, not 0,5)"
        fault = f"{len(fields)} fields, the header has {len(header)}{comma}"
    padded = [*fields, *[""] * (len(header) - len(fields))]
    unknown = text_tables.UNKNOWN
    cells = {name: "" if value.lower() in unknown else value for name, value in zip(header, padded, strict=False)}
    return _Row(line, cells, decimal_comma, fault)
