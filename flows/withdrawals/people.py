"""Who is where: the patients of a folder, of a table, of a piece of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.download.datasets import Dataset
from stages.download.datasets._tables import RECORDINGS, owners
from stages.withdrawals import Withdrawals

#: What a recording's name may consist of; the longest that a data set's names can be.
_NAMES = re.compile(rb"[\w.]{4,120}")


def patients(dataset: Dataset, folder: Path) -> set[str]:
    """Everybody who has a file or a line of a table in a folder: in the raw layout, or an addition with tables."""
    if (folder / RECORDINGS).is_file():
        return set(owners((folder / RECORDINGS).read_bytes()).values())
    found: set[str | None] = set()
    for path in folder.rglob("*"):
        place = path.relative_to(folder).as_posix()
        if path.is_file():
            found.add(dataset.patient_of(place))
            found |= set(lines_of(dataset, place, path.read_bytes())) if dataset.is_table(place) else set()
    return {patient for patient in found if patient}


def lines_of(dataset: Dataset, place: str, content: bytes) -> Iterator[str | None]:
    """Whose the lines of a table are."""
    for line in content.decode("utf-8-sig", errors="replace").splitlines():
        yield dataset.patient_of_line(place, line)


def mentions(dataset: Dataset, content: bytes, withdrawn: Withdrawals) -> bool:
    """Whether the name of a recording of somebody who has withdrawn stands in some text or in a database's bytes."""
    names = {name.decode(errors="ignore").strip("._") for name in set(_NAMES.findall(content)) if name[:1].isalnum()}
    return any(withdrawn.holds(patient) for patient in {dataset.patient_of(name) for name in names})


def file_mentions(dataset: Dataset, path: Path, withdrawn: Withdrawals) -> bool:
    """The same of a file, its name included; one that cannot be read mentions nobody."""
    if mentions(dataset, path.name.encode(errors="ignore"), withdrawn):
        return True
    try:
        return mentions(dataset, path.read_bytes(), withdrawn)
    except OSError:
        return False
