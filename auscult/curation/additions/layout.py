"""Where the files of a delivery belong in the data set's own layout."""

from __future__ import annotations

import re
from pathlib import Path

from auscult.core.errors import DataError
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import reader

#: Instead of ``SOURCE``, which a delivery has not.
_FOLDER = (
    "put all of one delivery, its tables too, into a folder of its own: python -m auscult.cli ingest --folder FOLDER"
    " (tables to fill in, where there are none: python -m auscult.cli data template FOLDER)"
)
#: Bytes of a file's name that are no UTF-8, as Python has them; no table can hold them.
_NO_TEXT = re.compile("[\udc80-\udcff]")


def layout(dataset: Dataset, delivery: Path) -> dict[str, Path]:
    """Place in the raw layout → file of the delivery; files whose names are no text have no place.

    Raises
    ------
    DataError
        The folder is not there, holds no delivery to this data set, or several.
    """
    if not delivery.is_dir():
        raise DataError(
            f"the delivery {delivery} is {'a file' if delivery.exists() else 'not there'}",
            where=str(delivery),
            next_step="name the folder that holds it (unpacked, where it is an archive)",
        )
    try:
        found = reader(dataset, delivery).layout(delivery)
    except OSError as error:
        raise not_read(error, delivery) from error
    except DataError as error:
        next_step = _FOLDER if "SOURCE" in error.next_step else error.next_step
        raise DataError(error.what, where=error.where, next_step=next_step) from error
    return {target: file for target, file in found.items() if not _NO_TEXT.search(target)}


def not_read(error: OSError, where: Path) -> DataError:
    """The error for a file that the system does not let us read, below *where* or at it."""
    what = f"{error.filename or where} cannot be read: {error.strerror}"
    return DataError(what, where=str(where), next_step="make it readable")
