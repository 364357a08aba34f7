"""A delivery that was examined, and what a commit says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auscult.core import reject_reasons
from auscult.validation.additions import batch_name
from auscult.validation.manifest import Examined

#: Why a recording of a delivery stays out: the reasons of the stage ``validate``, and those of the door.
REASONS: dict[str, str] = reject_reasons.REASONS | {
    "corrected": "its name and audio are there with other labels; what is there is not edited",
    "twin": "a near copy of another patient's recording: nobody knows whose it is",
    "expectation": "beside what is present an expectation of the data set fails for it",
    "unplaced": "an audio file whose name or folder tells no recording of the data set",
    "withdrawn": "its patient has withdrawn consent; whose it is, is written nowhere",
    "no_delivery": "a folder, of several, that holds no delivery, or one that cannot be used",
}


@dataclass(frozen=True)
class Rejected:
    """One reason why one recording stays out.

    Attributes
    ----------
    recording_id
        Its name; of a file that has no place in the data set, the path in the delivery.
    reason
        A key of :data:`REASONS`.
    detail
        What was found, for a person.
    """

    recording_id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Delivery:
    """A delivery, examined.

    Attributes
    ----------
    dataset, root
        The data set that it is for, and the root of the repository.
    accepted
        What can join, sorted by id.
    already_there
        Names of recordings that the data set has with the same audio and labels: no error, left out.
    rejected
        What stays out; a recording has as many entries as reasons.
    sides
        Patient of an accepted recording → the part (train, validation, test) that the stage ``split`` gives them.
    known
        Those of these patients whom the present data know: they keep their side.
    files
        Place in the batch → the delivery's file: of accepted recordings, and a publisher's tables.
    tables
        Place in the batch → content, of ``recordings.csv`` and ``segments.csv``: the rows of accepted recordings.
    checksums
        Place in the batch → SHA-256, of both.
    """

    dataset: str
    root: Path
    accepted: tuple[Examined, ...]
    already_there: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    sides: Mapping[str, str]
    known: frozenset[str]
    files: Mapping[str, Path]
    tables: Mapping[str, bytes]
    checksums: Mapping[str, str]

    @property
    def batch(self) -> str:
        """The name of what was accepted, as a batch: the same for the same files."""
        return batch_name(self.checksums)

    @property
    def new(self) -> frozenset[str]:
        """Patients of accepted recordings whom the present data do not know."""
        return frozenset(self.sides) - self.known

    @property
    def hours(self) -> float:
        """Length of the accepted recordings."""
        return sum(item.audio.duration_s for item in self.accepted if item.audio is not None) / 3600.0


def left_out(rejected: Iterable[Rejected]) -> Counter[str]:
    """Reason → recordings, each counted once, for the first of its reasons in the order of :data:`REASONS`."""
    order, first = list(REASONS), dict[str, str]()
    for entry in sorted(rejected, key=lambda entry: order.index(entry.reason)):
        first.setdefault(entry.recording_id, entry.reason)
    return Counter(first.values())


def message(*deliveries: Delivery) -> str:
    """The text of a commit: counts only, as git is no place for patients' or recordings' names.

    Parameters
    ----------
    deliveries
        To one data set; one at least.
    """
    recordings = sum(len(delivery.accepted) for delivery in deliveries)
    patients = len({patient for delivery in deliveries for patient in delivery.sides})
    added = f"{_count(recordings, 'recording')} of {_count(patients, 'patient')}" if recordings else "nothing"
    lines = [f"data: {added} added to {deliveries[0].dataset}", ""]
    for delivery in deliveries:
        lines += _about(delivery) if delivery.accepted else []
    there = sum(len(delivery.already_there) for delivery in deliveries)
    counts = [f"{there} already there"] if there else []
    total = sum((left_out(delivery.rejected) for delivery in deliveries), Counter[str]())
    counts += [f"{count} {reason}" for reason, count in total.items()]
    lines.append(f"Left out: {', '.join(counts) or 'nothing'}")
    return "\n".join(lines) + "\n"


def _about(delivery: Delivery) -> list[str]:
    labels = (item.recording.label or "unknown" for item in delivery.accepted)
    return [
        f"Addition {delivery.batch}, {delivery.hours:.2f} hours",
        f"Recordings: {_tally(labels)}",
        f"Segments: {_tally(s.label for item in delivery.accepted for s in item.segments) or 'none'}",
        f"Known patients, who keep their side: {_placed(delivery, delivery.known)}",
        f"New patients: {_placed(delivery, delivery.new)}",
    ]


def _placed(delivery: Delivery, patients: frozenset[str]) -> str:
    """Such as ``3 (test 1, train 2)``."""
    parts = _tally(delivery.sides[patient] for patient in patients)
    return f"{len(patients)} ({parts})" if patients else "0"


def _tally(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items()))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
