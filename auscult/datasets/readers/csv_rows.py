"""Read CSV files written manually or by spreadsheets: rows with line numbers, and precise errors."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from auscult.core.errors import DataError

#: Cells that mean unknown.
_UNKNOWN = frozenset(("", "na", "n/a", "nan", "none", "null"))


class CellError(Exception):
    """A cell is invalid; the text is the reason."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    line
        Line number in the file.
    cells
        Column → stripped text; empty if unknown.
    decimal_comma
        Whether the fields are separated by semicolons, so that a comma in a number is a decimal comma.
    fault
        What is wrong with the row as a whole; empty if nothing is.
    """

    line: int
    cells: dict[str, str]
    decimal_comma: bool
    fault: str

    def number(self, column: str, what: str) -> float | None:
        """Return a cell as a number, ``None`` if it is empty.

        Raises
        ------
        CellError
            If it is not a number; *what* says what it should be, such as "time in seconds".
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
    """Return the rows of a table without blank lines and lines that begin with ``#``.

    Fields are separated by commas or by semicolons. A byte-order mark and any line ends are accepted.

    Raises
    ------
    DataError
        If it is not UTF-8, has no header, or an open quote, or a column is missing, unknown or duplicated.
    """
    text = _text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip('" ').startswith("#")]
    if not lines:
        raise table_error(path, 1, "there is no header", "auscult data template FOLDER writes one")
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
    """Return the error for a table that cannot be read."""
    return DataError(f"{path.name}, line {line}: {what}", where=f"{path}:{line}", next_step=next_step)


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise table_error(path, line, "the table is not UTF-8", 'save it as "CSV UTF-8"') from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise table_error(path, line, "the table is not a text file", 'save it as "CSV UTF-8"')
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
            raise table_error(path, line, what, "rename or remove it: no other data of patients may be added")
        if names.count(name) > 1:
            raise table_error(path, line, f"the column {name!r} is duplicated", "remove one")
    if missing := [name for name in needed if name not in names]:
        what = f"the column {missing[0]!r} is missing; there are: {', '.join(names)}"
        raise table_error(path, line, what, "add it; auscult data template FOLDER writes all of them")
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
