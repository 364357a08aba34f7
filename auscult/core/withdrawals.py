"""Tables of patients who have withdrawn their consent, one per data set, tracked by git.

``data/withdrawn/<dataset>.csv`` has the columns ``patient`` (:func:`auscult.core.digests.patient_key`) and ``since``
(a date). It contains no patient ids. The keys are pseudonyms, not secrets: they can be found by trying all ids.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from auscult.core.digests import patient_keys
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text

COLUMNS = ("patient", "since")
_KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Withdrawals:
    """Withdrawn patients of one data set.

    Attributes
    ----------
    since
        Patient key → date of the withdrawal (ISO 8601).
    """

    dataset: str
    since: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.since)

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset(self.since)

    def holds(self, patient_id: str | None) -> bool:
        """Return whether a patient has withdrawn, in whatever Unicode form; False for ``None`` and the empty id."""
        if not self.since or not patient_id:
            return False
        return not patient_keys(self.dataset, str(patient_id)).isdisjoint(self.since)

    def any_of(self, patient_ids: Iterable[str | None]) -> bool:
        """Return whether at least one of the patients has withdrawn."""
        return bool(self.since) and any(self.holds(patient) for patient in patient_ids)


def read(dataset: str, root: Path = Path()) -> Withdrawals:
    """Load the table of a data set; a missing table counts as empty.

    Raises
    ------
    DataError
        If the table is malformed; the message names the line.
    """
    path = root / Paths(dataset).withdrawn
    if not path.exists():
        return Withdrawals(dataset)
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise _malformed(path, 1, f"the header {','.join(COLUMNS)}")
    since: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS) or not _KEY.fullmatch(row[0]) or not _is_date(row[1]):
            raise _malformed(path, number, "a patient's key (16 hex digits) and a date such as 2026-11-25")
        since.setdefault(row[0], row[1])  # merged branches may both have added a patient
    return Withdrawals(dataset, since)


def write(withdrawals: Withdrawals, root: Path = Path()) -> None:
    """Write the table atomically, sorted by key to avoid merge conflicts."""
    lines = [",".join(COLUMNS), *(f"{key},{day}" for key, day in sorted(withdrawals.since.items()))]
    write_text(root / Paths(withdrawals.dataset).withdrawn, "\n".join(lines) + "\n")


def make_ready(dataset: str, root: Path = Path()) -> None:
    """Create the withdrawal table and the pinned split of a data set if missing: stages depend on both files."""
    if not (root / Paths(dataset).withdrawn).exists():
        write(Withdrawals(dataset), root)
    if not (root / Paths(dataset).pinned_split).exists():
        write_text(root / Paths(dataset).pinned_split, "{}\n")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _malformed(path: Path, number: int, expected: str) -> DataError:
    return DataError(
        f"line {number} of {path.name} should contain {expected}",
        where=f"{path}:{number}",
        next_step=f"correct it (after a merge?) or restore the committed version: git checkout {path}",
    )
