"""A delivery of recordings: where its files belong, what its examination found, and the message of its commit."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auscult.core import reject_reasons
from auscult.core.errors import DataError, LayoutError
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import reader
from auscult.validation.additions import batch_name
from auscult.validation.manifest import Examined

#: Replaces advice about ``SOURCE``, which a delivery does not have.
_ONE_FOLDER = (
    "put all files of one delivery, its tables too, into a folder of their own: auscult data ingest --folder FOLDER"
    " (auscult data template FOLDER writes tables to fill in)"
)
#: Bytes of a file name that are not UTF-8, as Python represents them; no table can hold them.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
#: Reasons for which a recording of a delivery is rejected: those of the stage ``validate``, and those of an addition.
REASONS: dict[str, str] = reject_reasons.REASONS | {
    "corrected": "its name and audio are present with other labels; present data are not edited",
    "near_duplicate": "a near copy of another patient's recording: its patient is unknown",
    "expectation": "together with the present data it fails an expectation of the data set",
    "unplaced": "an audio file whose name or folder is not that of a recording of the data set",
    "withdrawn": "its patient has withdrawn consent; it is listed without its name",
    "no_delivery": "one of several folders, which holds no delivery, or one that cannot be used",
}


@dataclass(frozen=True)
class Rejected:
    """One reason for which one recording is rejected.

    Attributes
    ----------
    recording_id
        Its name; the path in the delivery of a file that belongs to no recording.
    reason
        A key of :data:`REASONS`.
    detail
        Details for the user.
    """

    recording_id: str
    reason: str
    detail: str

    @property
    def public_name(self) -> str:
        """The name as :func:`printable` text; empty if the patient has withdrawn."""
        return "" if self.reason == "withdrawn" else printable(self.recording_id)


@dataclass(frozen=True)
class Delivery:
    """A delivery that was examined.

    Attributes
    ----------
    dataset, root
        The data set that it belongs to, and the root of the repository.
    accepted
        Recordings that can be added, sorted by id.
    present
        Names of recordings that the data set has with the same audio and labels; they are skipped.
    rejected
        Rejected recordings; one has as many entries as reasons.
    parts
        Patient of an accepted recording → the part (development, test) that the stage ``split`` will assign.
    known
        Those of these patients who are in the present data: they keep their part.
    look_alikes
        Groups of patient ids that may be one patient's, with at least one id of an accepted recording.
    files
        Path in the batch → the delivery's file: of accepted recordings, and a publisher's tables.
    tables
        Path in the batch → content of ``recordings.csv`` and ``segments.csv``: the rows of accepted recordings.
    checksums
        Path in the batch → SHA-256, of files and tables.
    """

    dataset: str
    root: Path
    accepted: tuple[Examined, ...]
    present: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    parts: Mapping[str, str]
    known: frozenset[str]
    look_alikes: tuple[tuple[str, ...], ...]
    files: Mapping[str, Path]
    tables: Mapping[str, bytes]
    checksums: Mapping[str, str]

    @property
    def batch(self) -> str:
        """Name of the batch of accepted files; the same files have the same name."""
        return batch_name(self.checksums)

    @property
    def new(self) -> frozenset[str]:
        """Patients of accepted recordings who are not in the present data."""
        return frozenset(self.parts) - self.known

    @property
    def hours(self) -> float:
        """Duration of the accepted recordings in hours."""
        return sum(item.audio.duration_s for item in self.accepted if item.audio is not None) / 3600.0


def layout(dataset: Dataset, delivery: Path) -> dict[str, Path]:
    """Return path in the raw layout → file of the delivery, without files whose names are not UTF-8.

    Raises
    ------
    DataError
        The folder does not exist, or holds no delivery to this data set, or several.
    """
    if not delivery.is_dir():
        raise DataError(
            f"the delivery {delivery} {'is a file' if delivery.exists() else 'does not exist'}",
            where=str(delivery),
            next_step="name the folder that holds it; unpack an archive first",
        )
    try:
        found = reader(dataset, delivery).layout(delivery)
    except OSError as error:
        raise not_read(error, delivery) from error
    except LayoutError as error:  # its next step names a source; a delivery has none
        raise DataError(error.what, where=error.where, next_step=_ONE_FOLDER) from error
    return {target: file for target, file in found.items() if not _NOT_UTF8.search(target)}


def not_read(error: OSError, where: Path) -> DataError:
    """Return the error for a file at or below *where* that cannot be read."""
    what = f"{error.filename or where} cannot be read: {error.strerror}"
    return DataError(what, where=str(where), next_step="make it readable")


def printable(text: str) -> str:
    r"""Return text in which bytes of file names that are not UTF-8 are escaped, such as ``caf\xe9``."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def count_rejected(rejected: Iterable[Rejected]) -> Counter[str]:
    """Return reason → number of recordings, each counted for the first of its reasons in :data:`REASONS`."""
    order, first = list(REASONS), dict[str, str]()
    for entry in sorted(rejected, key=lambda entry: order.index(entry.reason)):
        first.setdefault(entry.recording_id, entry.reason)
    return Counter(first.values())


def message(*deliveries: Delivery) -> str:
    """Return the message of the commit: counts only, as git must not hold names of patients or recordings.

    Parameters
    ----------
    deliveries
        At least one, all to the same data set.
    """
    recordings = sum(len(delivery.accepted) for delivery in deliveries)
    patients = len({patient for delivery in deliveries for patient in delivery.parts})
    added = f"{_count(recordings, 'recording')} of {_count(patients, 'patient')}" if recordings else "nothing"
    lines = [f"data: {added} added to {deliveries[0].dataset}", ""]
    for delivery in deliveries:
        lines += _about(delivery) if delivery.accepted else []
    present = sum(len(delivery.present) for delivery in deliveries)
    counts = [f"{present} already present"] if present else []
    total = sum((count_rejected(delivery.rejected) for delivery in deliveries), Counter[str]())
    counts += [f"{count} {reason}" for reason, count in total.items()]
    lines.append(f"Not added: {', '.join(counts) or 'nothing'}")
    return "\n".join(lines) + "\n"


def _about(delivery: Delivery) -> list[str]:
    labels = (item.recording.label or "unknown" for item in delivery.accepted)
    return [
        f"Addition {delivery.batch}, {delivery.hours:.2f} hours",
        f"Recordings: {_tally(labels)}",
        f"Segments: {_tally(s.label for item in delivery.accepted for s in item.segments) or 'none'}",
        f"Known patients, who keep their part: {_placed(delivery, delivery.known)}",
        f"New patients: {_placed(delivery, delivery.new)}",
        *([f"Groups of patient ids that look alike: {len(delivery.look_alikes)}"] if delivery.look_alikes else []),
    ]


def _placed(delivery: Delivery, patients: frozenset[str]) -> str:
    """Return text such as ``3 (test 1, train 2)``."""
    parts = _tally(delivery.parts[patient] for patient in patients)
    return f"{len(patients)} ({parts})" if patients else "0"


def _tally(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items()))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
