"""Who is where: the patients of a folder, of a table, of a piece of text."""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from pathlib import Path

from auscult.core.errors import DataError
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import RECORDINGS, TablesLayout, owners
from auscult.datasets.retrieval import withdrawn_files

#: What a recording's name may consist of; the longest that a data set's names can be.
_NAMES = re.compile(rb"[\w.]{4,120}")


def patients(dataset: Dataset, folder: Path) -> set[str]:
    """Everybody who has a file or a line of a table in a folder: in the raw layout, or an addition with tables."""
    table = folder / RECORDINGS
    return set(owners(table.read_bytes()).values()) if table.is_file() else withdrawn_files.patients(dataset, folder)


def delivered(dataset: Dataset, folder: Path) -> dict[Path, set[str]]:
    """Folder → patients, of everything below a folder that a person has filled: its tables are as people write them."""
    found: dict[Path, set[str]] = {}
    for path in folder.rglob("*"):
        if patient := dataset.patient_of(path.name):
            found.setdefault(path.parent, set()).add(patient)
        if path.name == RECORDINGS:
            try:
                described = TablesLayout(dataset).recordings(path.parent)
            except (DataError, OSError):  # nothing of a table that cannot be read ever joined
                continue
            found.setdefault(path.parent, set()).update(each.patient_id for each in described)
    return found


def in_table(dataset: Dataset, place: str, content: bytes) -> set[str]:
    """Everybody who has a line of a table in the raw layout."""
    return {patient for _, patient in withdrawn_files.lines_of(dataset, place, content) if patient}


def mentions(dataset: Dataset, content: bytes, withdrawn: Withdrawals, called: Collection[str] = ()) -> bool:
    """Whether the name of a recording of somebody who has withdrawn stands in some text or in a database's bytes.

    Parameters
    ----------
    called
        Names of their recordings that do not tell whose they are: of additions with tables.
    """
    names = {name.decode(errors="ignore").strip("._") for name in set(_NAMES.findall(content)) if name[:1].isalnum()}
    if any(withdrawn.holds(patient) for patient in {dataset.patient_of(name) for name in names}):
        return True
    written = {form.encode() for name in called for form in (name, html.escape(name))}
    return any(re.search(rb"(?<!\w)" + re.escape(form) + rb"(?!\w)", content) for form in written if form in content)


def file_mentions(dataset: Dataset, path: Path, withdrawn: Withdrawals, called: Collection[str] = ()) -> bool:
    """The same of a file, its name included; one that cannot be read mentions nobody."""
    if mentions(dataset, path.name.encode(errors="ignore"), withdrawn, called):
        return True
    try:
        return mentions(dataset, path.read_bytes(), withdrawn, called)
    except OSError:
        return False
