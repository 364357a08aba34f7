"""``auscult data add`` and ``auscult data template``: add the deliveries of a folder, write tables to fill in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text
from auscult.curation.additions import batch
from auscult.curation.additions.delivery import Delivery, Rejected, count_rejected, layout, message, printable
from auscult.curation.additions.examination import examine
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import is_audio
from auscult.datasets.readers.delivery_tables import DESCRIPTIONS, KEYS, RECORDINGS, SEGMENTS, TIMES

#: To be raised when a key of :meth:`Added.to_json` changes its meaning.
SCHEMA = 1
#: Number of names that a list shows.
SHOWN = 20


@dataclass(frozen=True)
class Added:
    """What was added from a folder, or would be with *dry_run*.

    Attributes
    ----------
    deliveries
        The deliveries as they were examined.
    rejected
        The rejected recordings of all; of several deliveries each name begins with its folder.
    """

    dataset: str
    folder: Path
    dry_run: bool
    deliveries: list[Delivery]
    rejected: list[Rejected]

    @property
    def accepted(self) -> list[str]:
        """Names of the recordings that were added."""
        return [item.recording.recording_id for each in self.deliveries for item in each.accepted]

    @property
    def present(self) -> list[str]:
        """Names of the recordings that the data set has already."""
        return [name for each in self.deliveries for name in each.present]

    @property
    def batches(self) -> list[str]:
        """Names of the batches."""
        return [each.batch for each in self.deliveries if each.accepted]

    @property
    def look_alikes(self) -> list[tuple[str, ...]]:
        """Groups of patient ids that may be one patient's."""
        return sorted({group for each in self.deliveries for group in each.look_alikes})

    def check(self) -> None:
        """Raise a :class:`DataError` with the reasons if nothing was added and nothing is present."""
        if not self.accepted and not self.present:
            raise DataError(
                f"nothing of {self.folder} can be added to {self.dataset}\n{self._lists()}",
                where=str(self.folder),
                next_step="fix what the reasons name, and run the same command again",
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain data; recordings of withdrawn patients have no name in it."""
        parts, new = self._parts()
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "dry_run": self.dry_run,
            "batches": self.batches,
            "accepted": self.accepted,
            "present": self.present,
            "rejected": [
                {"recording_id": each.public_name, "reason": each.reason, "detail": printable(each.detail)}
                for each in self.rejected
            ],
            "parts": parts,
            "new_patients": new,
            "look_alikes": self.look_alikes,
        }

    def __str__(self) -> str:
        return printable(f"{self._lists()}\n\n{self._next()}")

    def _parts(self) -> tuple[dict[str, str], list[str]]:
        """Return patient → part, and who is new; a patient who is new in one of several deliveries counts as new."""
        parts = {patient: part for each in self.deliveries for patient, part in each.parts.items()}
        return dict(sorted(parts.items())), sorted(set().union(*(each.new for each in self.deliveries)))

    def _lists(self) -> str:
        parts, new = self._parts()
        lines = [f"{patient}: {part}" for patient, part in parts.items() if patient not in new]
        blocks = [
            _listed("would be added" if self.dry_run else "added", self.accepted),
            _listed("already present", self.present),
            _rejected(self.rejected),
            _listed("known patients, who keep their part", lines),
            _listed("new patients", [f"{patient}: {parts[patient]}" for patient in new]),
            _listed(
                "patient ids that look alike: if a line is one patient, use one id in the tables",
                [", ".join(map(repr, group)) for group in self.look_alikes],
            ),
        ]
        return "\n\n".join(block for block in blocks if block)

    def _next(self) -> str:
        if not self.accepted:
            return "Everything that can be added is already present: nothing was added."
        if self.dry_run:
            return f"Nothing was written. To add them: auscult data add {shlex.quote(str(self.folder))}"
        paths, named = Paths(self.dataset), parameters.load().dataset
        return "\n".join(
            [
                "Next:",
                "  dvc repro" if named == self.dataset else f"  auscult run --dataset {self.dataset}",
                f"  git add {paths.added} {paths.data} {paths.reports / 'metrics'} dvc.lock",
                f"  git commit -F - <<'END'\n{message(*self.deliveries).rstrip()}\nEND",
                "  dvc push",
                "  git push",
            ]
        )


def add_all(dataset_name: str | None, folder: Path, root: Path = Path(), *, dry_run: bool = False) -> Added:
    """Examine and add the delivery that a folder holds or, if it holds none, those of its subfolders, sorted by name.

    Each becomes a batch, which belongs to the present data when the next one is examined. A delivery that cannot be
    used does not stop the others.

    Parameters
    ----------
    dataset_name
        By default the data set that ``params.yaml`` names.
    folder
        Folder in a layout of the data set, or with ``recordings.csv`` and ``segments.csv``; or a folder of these.
    dry_run
        Write nothing, but find what the same call without it would.

    Raises
    ------
    DataError
        Neither the folder nor a subfolder holds a delivery to this data set that can be used.
    AuscultError
        As :func:`auscult.curation.additions.examine` and :func:`auscult.curation.additions.batch.add`.
    """
    name = dataset_name or parameters.load(root / parameters.FILE).dataset
    folders = _deliveries(load(name), folder)
    several = folders != [folder]
    loose = [path.name for path in folder.iterdir() if path.is_file() and is_audio(path.name)] if several else []
    rejected = [Rejected(each, "unplaced", "it lies beside folders that are deliveries") for each in sorted(loose)]
    deliveries: list[Delivery] = []
    errors: list[DataError] = []
    for each in folders:
        try:
            delivery = examine(name, each, root, assumed=deliveries if dry_run else ())
            if dry_run:
                batch.check(delivery)
            else:
                batch.add(delivery)
        except DataError as error:
            rejected.append(Rejected(each.name, "no_delivery", error.what))
            errors.append(error)
            continue
        deliveries.append(delivery)
        prefix = f"{each.name}/" if several else ""
        rejected += [replace(e, recording_id=f"{prefix}{e.recording_id}") for e in delivery.rejected]
    if not deliveries:
        raise errors[0]
    return Added(name, folder, dry_run, deliveries, rejected)


def _deliveries(dataset: Dataset, folder: Path) -> list[Path]:
    """Return the folder itself, or all its subfolders if at least one holds a delivery."""
    inside = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    apart = not (folder / RECORDINGS).is_file() and any((path / RECORDINGS).is_file() for path in inside)
    if apart:  # another subfolder in the data set's own layout would claim the whole folder
        return inside
    if _is_delivery(dataset, folder):
        return [folder]
    if not any(_is_delivery(dataset, path) for path in inside):
        layout(dataset, folder)  # raises an error that says what is wrong
    return inside


def _is_delivery(dataset: Dataset, folder: Path) -> bool:
    try:
        layout(dataset, folder)
    except DataError:
        return False
    return True


def _listed(title: str, lines: Sequence[str]) -> str:
    """Return a title with the number of lines, and the first lines; empty if there are none."""
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n  ".join([f"{title}: {len(lines)}", *lines[:SHOWN], *more]) if lines else ""


def _rejected(rejected: Sequence[Rejected]) -> str:
    """Return every rejected recording with all its reasons, so that they can be fixed; each is counted once."""
    counts = count_rejected(rejected)
    title = f"rejected: {counts.total()} ({', '.join(f'{count} {reason}' for reason, count in counts.items())})"
    lines = [f"{each.recording_id}: {each.reason}, {each.detail}" for each in rejected]
    return "\n  ".join([title, *lines]) if rejected else ""


def template(folder: Path, dataset_name: str | None = None) -> str:
    """``auscult data template``: write ``recordings.csv`` and ``segments.csv`` with a header and a commented example.

    Parameters
    ----------
    folder
        Created if it does not exist. It may hold audio already.
    dataset_name
        By default the data set that ``params.yaml`` names.

    Returns
    -------
    str
        What the tables need, and the next command.

    Raises
    ------
    AuscultError
        A table exists already, or the folder cannot be written to.
    """
    dataset = load(dataset_name or parameters.load().dataset)
    label = min(dataset.recording_labels)
    example = ("# first.wav", "P001", "", label, "Meditron", "left posterior", "63", "female")
    tables: dict[str, list[tuple[str, ...]]] = {
        RECORDINGS: [(*KEYS, *DESCRIPTIONS), example],
        SEGMENTS: [("file", *TIMES), ("# first.wav", "0.35", "2.61", min(dataset.segment_labels))],
    }
    for name in tables:
        if (folder / name).exists():
            what = f"{folder / name} exists already"
            raise AuscultError(what, where=str(folder), next_step="fill it in, or name another folder")
    for name, lines in tables.items():
        try:
            write_text(folder / name, "".join(f"{','.join(line)}\n" for line in lines))
        except OSError as error:
            what = f"{folder / name} cannot be written: {error.strerror}"
            raise AuscultError(what, where=str(folder), next_step="name another folder") from error
    return "\n".join(
        [
            f"{folder / RECORDINGS}: a row for each recording; the line that begins with # is an example",
            f"  required: {', '.join((*KEYS, *dataset.needed_columns))}",
            f"  label, one of: {', '.join(sorted(dataset.recording_labels))}",
            f"{folder / SEGMENTS}: a row for each {'cycle' if dataset.annotated else 'event'}, times in seconds",
            f"  label, one of: {', '.join(sorted(dataset.segment_labels))}",
            f"Then: auscult data add {folder} --dry-run",
        ]
    )
