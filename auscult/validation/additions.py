"""Additions: deliveries that became part of a data set, one folder each, tracked by DVC.

``data/added/<dataset>/<batch>/`` has the layout of the data set's raw folder and is read by the same
functions. ``<batch>`` is a digest of its files; git tracks ``<batch>.dvc`` beside it.
``auscult data add`` writes additions; this module finds and verifies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import DataError


def batch_name(checksums: Mapping[str, str]) -> str:
    """Return the name of an addition with these files (relative path → SHA-256): 12 hex digits of their digest."""
    return digest(dict(checksums))[:12]


def checksums(folder: Path) -> dict[str, str]:
    """Return relative path → SHA-256 of every file in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def batches(added: Path) -> list[Path]:
    """Return the folders of one data set's additions, sorted by name.

    Parameters
    ----------
    added
        ``data/added/<dataset>``; it need not exist.

    Raises
    ------
    DataError
        An addition that git tracks is absent, or a folder is not tracked.
    """
    tracked = {path.with_suffix("") for path in added.glob("*.dvc")}
    present = {path for path in added.glob("*") if path.is_dir() and not path.name.startswith(".")}
    for folder in sorted(tracked - present):
        raise DataError(
            f"the addition {folder.name} is missing, only its {folder.name}.dvc exists",
            where=str(folder),
            next_step=f"dvc pull {folder}.dvc (`dvc pull` for everything)",
        )
    for folder in sorted(present - tracked):
        raise DataError(
            f"the addition {folder.name} has no {folder.name}.dvc, so nobody else can get it",
            where=str(folder),
            next_step=f"rm -r {folder}, then add the delivery again; if git left it from another branch: dvc checkout",
        )
    return sorted(present)


def check_unchanged(folder: Path) -> None:
    """Raise if the files of an addition do not match its name.

    DVC alone cannot notice this: ``dvc repro`` records the change in the ``.dvc`` file before a stage runs.

    Raises
    ------
    DataError
        A file was changed, added, removed or damaged.
    """
    if batch_name(checksums(folder)) != folder.name:
        raise DataError(
            f"the addition {folder.name} is damaged or was edited: its files do not match its name",
            where=str(folder),
            next_step=f"git checkout {folder}.dvc && dvc checkout --force {folder}.dvc;"
            " make corrections in a delivery of their own",
        )
