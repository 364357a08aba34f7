"""Tables of corrected labels, one per data set, tracked by git. What was released is never edited.

``data/corrections/<dataset>.csv`` has one line per correction, in the order in which they were made:

``item``     a recording (its ``recording_id``) or a segment (its ``segment_id``)
``old``      its label before; empty where it had none
``new``      its label from now on, or ``drop``: the item is left out
``by``       who corrected it
``because``  why
``on``       a date (ISO 8601)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text

#: Instead of a new label: the item is left out.
DROP = "drop"


@dataclass(frozen=True)
class Correction:
    """One line of the table."""

    item: str
    old: str
    new: str
    by: str
    because: str
    on: str

    @property
    def recording_id(self) -> str:
        """Return the recording that the item is, or lies in."""
        return self.item.rpartition(":")[0] or self.item


COLUMNS = tuple(field.name for field in fields(Correction))


def read(dataset: str, root: Path = Path()) -> list[Correction]:
    """Load the table of a data set; a missing table counts as empty.

    Raises
    ------
    DataError
        If the table is malformed; the message names the line.
    """
    path = root / Paths(dataset).corrections
    if not path.exists():
        return []
    lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    found: list[Correction] = []
    for row in lines:
        number = lines.line_num
        if number == 1 and tuple(row) == COLUMNS:
            continue
        if number == 1:
            raise malformed(path, number, f"should be the header {','.join(COLUMNS)}")
        if len(row) != len(COLUMNS):
            raise malformed(path, number, f"has {len(row)} fields, not {len(COLUMNS)}: {', '.join(COLUMNS)}")
        made = Correction(*(each.strip() for each in row))
        for name in ("item", "new", "by", "because"):
            if not getattr(made, name):
                raise malformed(path, number, f"names no {name!r}")
        if not _is_date(made.on):
            raise malformed(path, number, f"has {made.on!r} for a date such as 2026-11-25")
        found.append(made)
    return found


def write(dataset: str, corrections: Iterable[Correction], root: Path = Path()) -> None:
    """Write the table atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *map(astuple, corrections)])
    write_text(root / Paths(dataset).corrections, text.getvalue())


def make_ready(dataset: str, root: Path = Path()) -> None:
    """Create an empty table if there is none: a stage depends on it."""
    if not (root / Paths(dataset).corrections).exists():
        write(dataset, (), root)


def malformed(path: Path, number: int, problem: str) -> DataError:
    """Return the error for a line of the table."""
    return DataError(
        f"line {number} of {path.name} {problem}",
        where=f"{path}:{number}",
        next_step=f"correct or remove the line, or restore the committed version: git checkout {path}",
    )


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
