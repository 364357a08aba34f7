"""What tests ask of an examined delivery and of the repository."""

from __future__ import annotations

from pathlib import Path

from auscult.core.storage import read_table
from auscult.curation.additions import REASONS, Delivery
from auscult.validation.additions import checksums
from tests.validation.small_data_set import PATHS, name_of

#: Patients of the present data have three digits that begin with 1.
NEW, NEWER = name_of(301), name_of(302)


def folder_of(examined: Delivery) -> Path:
    return examined.files["ICBHI_Challenge_diagnosis.txt"].parent


def accepted(examined: Delivery) -> list[str]:
    return [item.recording.recording_id for item in examined.accepted]


def reasons(examined: Delivery) -> dict[str, str]:
    """Return recording → its reason; each has one."""
    found = {entry.recording_id: entry.reason for entry in examined.rejected}
    assert len(found) == len(examined.rejected)
    assert set(found.values()) <= set(REASONS)
    return found


def parts(root: Path) -> dict[str, str]:
    table = read_table(root / PATHS.split / "assignment.parquet")
    return dict(zip(table["recording_id"], table["part"], strict=True))


def everything(folder: Path) -> dict[str, str]:
    """Return the files with their checksums, except DVC's own."""
    return {place: value for place, value in checksums(folder).items() if not place.startswith(".dvc/")}
