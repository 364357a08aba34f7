"""Additions: deliveries that join a data set, each a folder that DVC tracks on its own.

``data/added/<dataset>/<batch>/`` is laid out as the data set's raw folder is, and read by the
same functions. ``<batch>`` is a digest of its files; ``<batch>.dvc`` beside it is what git keeps.
They are put in by ``auscult.curation.additions``; here they are found and held against their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import DataError


def batch_name(checksums: Mapping[str, str]) -> str:
    """What a batch with these files (place in the batch → SHA-256) is called: 12 hex digits of their digest."""
    return digest(dict(checksums))[:12]


def checksums(folder: Path) -> dict[str, str]:
    """Place → SHA-256 of every file in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def batches(added: Path) -> list[Path]:
    """The folders of one data set's additions, by name; none where there is no such folder.

    Parameters
    ----------
    added
        ``data/added/<dataset>``.

    Raises
    ------
    DataError
        A batch that git knows is not there, or one is there that git cannot know.
    """
    tracked = {path.with_suffix("") for path in added.glob("*.dvc")}
    present = {path for path in added.glob("*") if path.is_dir() and not path.name.startswith(".")}
    for folder in sorted(tracked - present):
        raise DataError(
            f"the addition {folder.name} is not there, only its {folder.name}.dvc",
            where=str(folder),
            next_step=f"dvc pull {folder}.dvc (`dvc pull` for everything)",
        )
    for folder in sorted(present - tracked):
        raise DataError(
            f"the addition {folder.name} is there without its {folder.name}.dvc: nobody else would have it",
            where=str(folder),
            next_step=f"rm -r {folder}, then add the delivery again; what git left of another branch: dvc checkout",
        )
    return sorted(present)


def check_unchanged(folder: Path) -> None:
    """Refuse a batch whose files are not those that its name stands for.

    ``dvc repro`` has recorded the change in the ``.dvc`` file by the time that anybody asks, so that
    DVC alone can neither notice it nor undo it.

    Raises
    ------
    DataError
        A file was changed, added, removed or damaged.
    """
    if batch_name(checksums(folder)) != folder.name:
        raise DataError(
            f"the addition {folder.name} is damaged or was edited: its files are not those that its name stands for",
            where=str(folder),
            next_step=f"git checkout {folder}.dvc && dvc checkout --force {folder}.dvc;"
            " corrections are a delivery of their own",
        )
