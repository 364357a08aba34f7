"""Leave withdrawn patients out of a folder in a data set's raw layout: their files, and their lines in tables.

Used on folders that nobody reads yet: on what is about to become ``raw``, or a batch of ``data/added``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auscult.core.storage import replacing_file, replacing_folder
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset


@dataclass(frozen=True)
class LeftOut:
    """How much was left out."""

    files: int = 0
    lines: int = 0

    def __bool__(self) -> bool:
        return bool(self.files or self.lines)

    def __str__(self) -> str:
        return f"{self.files} files and {self.lines} lines of tables of withdrawn patients are left out"


def leave_out(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> LeftOut:
    """Remove the files and lines of withdrawn patients from *folder*.

    Files are unlinked and tables replaced, never written into: either may be a link into DVC's cache.
    """
    files = lines = 0
    if not withdrawn:
        return LeftOut()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = path.relative_to(folder).as_posix()
        if withdrawn.holds(dataset.patient_of(place)):
            path.unlink()
            files += 1
        elif dataset.is_table(place):
            content = path.read_bytes()
            kept = reduced(dataset, place, content, withdrawn)
            if kept != content:
                lines += len(content.splitlines()) - len(kept.splitlines())
                with replacing_file(path) as scratch:
                    scratch.write_bytes(kept)
    return LeftOut(files, lines)


def reduced(dataset: Dataset, place: str, content: bytes, withdrawn: Withdrawals) -> bytes:
    """A table's bytes without the lines of withdrawn patients; the others' stay byte by byte. Other files stay."""
    if not withdrawn or not dataset.is_table(place):
        return content
    return b"".join(line for line, patient in lines_of(dataset, place, content) if not withdrawn.holds(patient))


def lines_of(dataset: Dataset, place: str, content: bytes) -> Iterator[tuple[bytes, str | None]]:
    """The lines of a table as they are, and whose each is."""
    for line in content.splitlines(keepends=True):
        yield line, dataset.patient_of_line(place, line.decode("utf-8-sig", errors="replace"))


def patients(dataset: Dataset, folder: Path) -> set[str]:
    """Everybody who has a file or a line of a table in a folder in the raw layout."""
    found: set[str | None] = set()
    for path in folder.rglob("*"):
        place = path.relative_to(folder).as_posix()
        if path.is_file():
            found.add(dataset.patient_of(place))
            if dataset.is_table(place):
                found |= {patient for _, patient in lines_of(dataset, place, path.read_bytes())}
    return {patient for patient in found if patient}


def holds(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> bool:
    """Whether a folder in the raw layout has a file or a line of somebody who has withdrawn."""
    return bool(withdrawn) and withdrawn.any_of(patients(dataset, folder))


def reduce(dataset: Dataset, raw: Path, withdrawn: Withdrawals) -> LeftOut:
    """Leave withdrawn patients out of a folder that is in use: it is replaced as a whole, or stays as it was.

    Nothing is fetched, and nobody else's file is copied: files are linked.
    """
    with replacing_folder(raw) as folder:
        shutil.copytree(raw, folder, copy_function=_link, dirs_exist_ok=True)
        return leave_out(dataset, folder, withdrawn)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # no hard links on this disk
        shutil.copy2(source, target)
