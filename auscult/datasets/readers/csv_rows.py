"""CSV files as people and spreadsheets write them: rows with their line numbers, and what is wrong with a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from auscult.core.errors import DataError

#: What stands for "not known".
_UNKNOWN = frozenset(("", "na", "n/a", "nan", "none", "null"))


class CellError(Exception):
    """A cell cannot be used; the text says why."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    line
        Number of its line in the file.
    cells
        Column → text without blanks around it; empty where nothing is known.
    decimal_comma
        Whether the file has its fields parted by semicolons, so that a comma in a number is a decimal one.
    fault
        What is wrong with the row as a whole; empty where nothing is.
    """

    line: int
    cells: dict[str, str]
    decimal_comma: bool
    fault: str

    def number(self, column: str, what: str) -> float | None:
        """A cell as a number, ``None`` where it is empty.

        Raises
        ------
        CellError
            It is none; *what* says what it should be, such as "a time in seconds".
        """
        text = self.cells.get(column, "")
        if not text:
            return None
        plain = text.replace(",", ".") if self.decimal_comma and text.count(",") == 1 and "." not in text else text
        try:
            value = float(plain)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        hint = f": write {text.replace(',', '.')}" if text.count(",") == 1 and text.replace(",", "").isdigit() else ""
        raise CellError(f"{column} {text!r} is no {what}{hint}")


def read_rows(path: Path, needed: Collection[str], optional: Collection[str]) -> list[Row]:
    """The rows of a table; blank lines, and those that begin with ``#``, are passed over.

    Fields are parted by commas, or all by semicolons, as spreadsheets write them where the comma is the decimal sign.
    A byte-order mark and any line ends do no harm.

    Raises
    ------
    DataError
        It is no such table: not UTF-8, no header, a column that is missing, unknown or there twice, an open quote.
    """
    text = _text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip('" ').startswith("#")]
    if not lines:
        raise table_error(path, 1, "there is no header", "auscult data template FOLDER shows one")
    semicolons = ";" in lines[0] and "," not in lines[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if semicolons else ",", strict=True)
    header: list[str] = []
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            fields = [cell.strip() for cell in cells]
            if any(fields) and not fields[0].startswith("#"):
                if header:
                    rows.append(_row(line, fields, header, semicolons))
                else:
                    header = _header(path, line, fields, needed, optional)
            line = reader.line_num + 1
    except csv.Error as error:
        raise table_error(path, line, f"the row cannot be read ({error})", "close the quotes in it") from error
    return rows


def table_error(path: Path, line: int, what: str, next_step: str) -> DataError:
    """The error for a table that cannot be used as a whole."""
    return DataError(f"{path.name}, line {line}: {what}", where=f"{path}:{line}", next_step=next_step)


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise table_error(path, line, "the table is not UTF-8", 'save it as "CSV UTF-8"') from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise table_error(path, line, "the table is no text", 'save it as "CSV UTF-8"')
    return text


def _header(path: Path, line: int, fields: list[str], needed: Collection[str], optional: Collection[str]) -> list[str]:
    """The columns' names in lower case, checked."""
    import difflib

    while fields and not fields[-1]:
        fields = fields[:-1]
    names, known = [field.lower() for field in fields], [*needed, *optional]
    for name in names:
        if name not in known:
            longer = [each for each in known if name and each.startswith(name)]
            close = longer or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            what = f"there is no column {name[:80]!r}; there are: {', '.join(known)}.{hint}"
            raise table_error(path, line, what, "rename or remove it: nothing else of a patient belongs here")
        if names.count(name) > 1:
            raise table_error(path, line, f"the column {name!r} is there twice", "remove one")
    if missing := [name for name in needed if name not in names]:
        what = f"the column {missing[0]!r} is missing; there are: {', '.join(names)}"
        raise table_error(path, line, what, "add it; auscult data template FOLDER shows all of them")
    return names


def _row(line: int, fields: list[str], header: list[str], semicolons: bool) -> Row:
    while len(fields) > len(header) and not fields[-1]:
        fields = fields[:-1]
    fault = ""
    if len(fields) > len(header):
        comma = "" if semicolons else " (a decimal comma? write 0.5, not 0,5)"
        fault = f"{len(fields)} fields, the header has {len(header)}{comma}"
    padded = [*fields, *[""] * (len(header) - len(fields))]
    cells = {name: "" if value.lower() in _UNKNOWN else value for name, value in zip(header, padded, strict=False)}
    return Row(line, cells, semicolons, fault)
