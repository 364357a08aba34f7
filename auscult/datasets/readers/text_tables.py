"""Text tables as people, spreadsheets and pandas write them: encodings, separators, quotes, numbers, empty cells."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

#: Cells, in lower case, that mean unknown.
UNKNOWN = frozenset(("", "na", "n/a", "nan", "none", "null", "<na>"))
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: Spreadsheets write ``="0010"`` to keep the zeros.
_FORMULA = re.compile(r'="([^"]*)"')
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")


class NotTextError(ValueError):
    """A file is not text in an encoding that is read.

    Attributes
    ----------
    line
        Number of the first line that cannot be read.
    """

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def read_text(path: Path, *, utf16: bool) -> str:
    """Return the text of a file in UTF-8 or, if *utf16* and it begins with a byte-order mark, in UTF-16.

    Raises
    ------
    NotTextError
        It is neither.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-16" if utf16 and content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotTextError(f"not UTF-8: {error.reason}", content.count(b"\n", 0, error.start) + 1) from error


def lines(text: str) -> list[tuple[int, str]]:
    """Return number and text of the lines that are not blank; a line ends where :meth:`bytes.splitlines` ends it."""
    return [(number, line) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1) if line.strip()]


def cells(line: str) -> list[str]:
    """Split a line of a table that does not state its separator: semicolons, tabs, commas or blanks.

    Empty cells are kept, so that later ones stay in their columns; blanks cannot enclose one. Commas between digits are
    decimal commas in a line with another separator.

    Examples
    --------
    >>> cells("101 0,75 F NA"), cells("101;0,75;F;"), cells('101,"0,75",F,')
    (['101', '0,75', 'F', 'NA'], ['101', '0,75', 'F', ''], ['101', '0,75', 'F', ''])
    """
    if ";" in line:
        return _split(line, ";")
    tabbed = _split(line, "\t")
    if len(tabbed) > 1 and not any(re.search(r"\s", cell) for cell in tabbed):
        return tabbed
    decimal = len(line.split()) > 1 and "," not in _DECIMAL_COMMA.sub("", line)
    return _split(line, ",") if "," in line and not decimal else [plain(cell) for cell in line.split()]


def plain(cell: str) -> str:
    """Return a cell without outer blanks and without the formula by which a spreadsheet keeps zeros."""
    found = _FORMULA.fullmatch(cell.strip())
    return (found[1] if found else cell).strip()


def number(text: str, *, decimal_comma: bool) -> float | None:
    """Return a cell as a number, ``None`` if it is none.

    Parameters
    ----------
    decimal_comma
        Whether a single comma is a decimal comma: commas do not separate the cells of the table.
    """
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    value = float(text) if _NUMBER.fullmatch(text) else math.nan  # float() also reads 2_0 as 20
    return value if math.isfinite(value) else None


def _split(line: str, separator: str) -> list[str]:
    try:
        return [plain(cell) for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error:  # a cell of more than 131,072 characters
        return [line]
