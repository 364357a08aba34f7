"""``data template``: the two tables of a delivery, to be filled in."""

from __future__ import annotations

from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.storage import write_text
from auscult.datasets import Dataset, load
from auscult.datasets.readers.delivery_tables import DESCRIPTIONS, KEYS, RECORDINGS, SEGMENTS, TIMES


def template(folder: Path, dataset_name: str | None = None) -> str:
    """Write ``recordings.csv`` and ``segments.csv`` with a header and an example that is a comment.

    Parameters
    ----------
    folder
        Made where it is not there. Audio may lie in it already.
    dataset_name
        By default the one that ``params.yaml`` names.

    Returns
    -------
    str
        What the tables need, in words.

    Raises
    ------
    AuscultError
        A table is there already, or the folder cannot be written to.
    """
    dataset = load(dataset_name or parameters.load().dataset)
    for name in (RECORDINGS, SEGMENTS):
        if (folder / name).exists():
            raise AuscultError(
                f"{folder / name} is there already", where=str(folder), next_step="fill it in, or name another folder"
            )
    for name, lines in ((RECORDINGS, _recordings(dataset)), (SEGMENTS, _segments(dataset))):
        try:
            write_text(folder / name, "".join(f"{','.join(line)}\n" for line in lines))
        except OSError as error:
            what = f"{folder / name} cannot be written: {error.strerror}"
            raise AuscultError(what, where=str(folder), next_step="name another folder") from error
    return "\n".join(
        [
            f"{folder / RECORDINGS}: a row for each recording; the line that begins with # is an example",
            f"  needed: {', '.join((*KEYS, *dataset.needed_columns))}",
            f"  label, one of: {', '.join(sorted(dataset.recording_labels))}",
            f"{folder / SEGMENTS}: a row for each {'cycle' if dataset.annotated else 'event'}, times in seconds",
            f"  label, one of: {', '.join(sorted(dataset.segment_labels))}",
            f"Then: python -m auscult.cli data add {folder} --dry-run",
        ]
    )


def _recordings(dataset: Dataset) -> list[tuple[str, ...]]:
    label = min(dataset.recording_labels)
    example = ("# first.wav", "P001", "", label, "Meditron", "left posterior", "63", "female")
    return [(*KEYS, *DESCRIPTIONS), example]


def _segments(dataset: Dataset) -> list[tuple[str, ...]]:
    return [("file", *TIMES), ("# first.wav", "0.35", "2.61", min(dataset.segment_labels))]
