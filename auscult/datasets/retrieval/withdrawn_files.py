"""Remove the files and table lines of withdrawn patients from a folder in the raw layout of a data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from auscult.core.storage import replacing_file, replacing_folder
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset


def leave_out(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> str:
    """Remove the files and table lines of withdrawn patients from *folder*, which no other process reads.

    Files are unlinked and tables replaced, never written into: both may be hard links into DVC's cache.

    Returns
    -------
    str
        A message with the numbers of files and lines; empty if nothing was removed.
    """
    files = lines = 0
    if not withdrawn:
        return ""
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
    return f"removed {files} files and {lines} table lines of withdrawn patients" if files or lines else ""


def leave_out_of_raw(dataset: Dataset, raw: Path, withdrawn: Withdrawals) -> str:
    """Remove withdrawn patients from a raw folder that is in use: it is replaced as a whole, other files are linked."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # the file system has no hard links
            shutil.copyfile(source, target)

    with replacing_folder(raw) as folder:
        shutil.copytree(raw, folder, copy_function=link, dirs_exist_ok=True)
        return leave_out(dataset, folder, withdrawn)


def reduced(dataset: Dataset, place: str, content: bytes, withdrawn: Withdrawals) -> bytes:
    """Return the content of a table without the lines of withdrawn patients; of other files the whole content."""
    if not withdrawn or not dataset.is_table(place):
        return content
    return b"".join(line for line, patient in lines_of(dataset, place, content) if not withdrawn.holds(patient))


def lines_of(dataset: Dataset, place: str, content: bytes) -> Iterator[tuple[bytes, str | None]]:
    """Yield the lines of a table, line ends included, each with its patient."""
    for line in content.splitlines(keepends=True):
        yield line, dataset.patient_of_line(place, line.decode("utf-8-sig", errors="replace"))


def patients(dataset: Dataset, folder: Path) -> set[str]:
    """Return all patients with a file or a table line in a folder in the raw layout."""
    found: set[str | None] = set()
    for path in folder.rglob("*"):
        place = path.relative_to(folder).as_posix()
        if path.is_file():
            found.add(dataset.patient_of(place))
            if dataset.is_table(place):
                found |= {patient for _, patient in lines_of(dataset, place, path.read_bytes())}
    return {patient for patient in found if patient}


def contains_withdrawn(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> bool:
    """Return whether a folder in the raw layout has a file or a table line of a withdrawn patient."""
    return bool(withdrawn) and withdrawn.any_of(patients(dataset, folder))
