"""``auscult data add`` and ``auscult data template``: add the deliveries of a folder, write tables to fill in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_text
from auscult.curation.additions import batch
from auscult.curation.additions.delivery import Delivery, Rejected, layout, left_out, message
from auscult.curation.additions.examination import examine
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import is_audio
from auscult.datasets.readers.delivery_tables import DESCRIPTIONS, KEYS, RECORDINGS, SEGMENTS, TIMES

#: Number of names that a list shows.
SHOWN = 20


def add(folder: Path, dataset_name: str | None, *, dry_run: bool) -> str:
    """``auscult data add``: examine a folder's delivery, or those of its subfolders, and add what can be added.

    Parameters
    ----------
    folder
        Folder in a layout of the data set, or with ``recordings.csv`` and ``segments.csv``.
    dataset_name
        By default the data set that ``params.yaml`` names.
    dry_run
        Write nothing. Of several deliveries each is then examined as if it were the only one.

    Returns
    -------
    str
        What is added, present or rejected and why, the parts of the patients, and the next commands.

    Raises
    ------
    DataError
        Nothing can be added and nothing is present; the reasons are in the message.
    AuscultError
        As :func:`add_all`.
    """
    root, dataset = Path.cwd(), dataset_name or parameters.load().dataset
    deliveries, rejected = add_all(dataset, folder, root, dry_run=dry_run)
    accepted = [item.recording.recording_id for each in deliveries for item in each.accepted]
    present = [name for each in deliveries for name in each.already_there]
    text = "\n\n".join(
        block
        for block in (
            _listed("would be added" if dry_run else "added", accepted),
            _listed("already present", present),
            _left_out(rejected),
            _parts(deliveries),
        )
        if block
    )
    if not accepted and not present:
        raise DataError(
            f"nothing of {folder} can be added to {dataset}\n{text}",
            where=str(folder),
            next_step="fix what the reasons name, and run the same command again",
        )
    return f"{text}\n\n{_next(deliveries, folder, dataset, dry_run=dry_run)}"


def add_all(
    dataset_name: str, folder: Path, root: Path, *, dry_run: bool = False
) -> tuple[list[Delivery], list[Rejected]]:
    """Examine and add the delivery that a folder holds or, if it holds none, those of its subfolders, sorted by name.

    Each becomes a batch, which belongs to the present data when the next one is examined. A delivery that cannot be
    used does not stop the others.

    Parameters
    ----------
    dry_run
        Examine only, each as if it were the only one.

    Returns
    -------
    deliveries
        The deliveries as they were examined.
    rejected
        The rejected recordings of all; of several deliveries each name begins with its folder.

    Raises
    ------
    DataError
        Neither the folder nor a subfolder holds a delivery to this data set that can be used.
    AuscultError
        As :func:`auscult.curation.additions.examine` and :func:`auscult.curation.additions.batch.add`.
    """
    folders = _deliveries(load(dataset_name), folder)
    if folders == [folder]:
        return [delivery := _examined(dataset_name, folder, root, dry_run)], list(delivery.rejected)
    loose = sorted(path.name for path in folder.iterdir() if path.is_file() and is_audio(path.name))
    rejected = [Rejected(name, "unplaced", "it lies beside folders that are deliveries") for name in loose]
    deliveries: list[Delivery] = []
    errors: list[DataError] = []
    for each in folders:
        try:
            deliveries.append(_examined(dataset_name, each, root, dry_run))
        except DataError as error:
            rejected.append(Rejected(each.name, "no_delivery", error.what))
            errors.append(error)
            continue
        rejected += [replace(e, recording_id=f"{each.name}/{e.recording_id}") for e in deliveries[-1].rejected]
    if not deliveries:
        raise errors[0]
    return deliveries, rejected


def _examined(dataset_name: str, folder: Path, root: Path, dry_run: bool) -> Delivery:
    delivery = examine(dataset_name, folder, root)
    if not dry_run:
        batch.add(delivery)
    return delivery


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


def _listed(what: str, names: Sequence[str]) -> str:
    lines = [f"{what}: {len(names)}", *(f"  {name}" for name in names[:SHOWN])]
    return "\n".join([*lines, *_more(len(names))]) if names else ""


def _left_out(rejected: Sequence[Rejected]) -> str:
    """Return every rejected recording with all its reasons, so that they can be fixed; each is counted once."""
    if not rejected:
        return ""
    counts = left_out(rejected)
    lines = [f"rejected: {counts.total()} ({', '.join(f'{count} {reason}' for reason, count in counts.items())})"]
    return "\n".join([*lines, *(f"  {entry.recording_id}: {entry.reason}, {entry.detail}" for entry in rejected)])


def _more(total: int) -> list[str]:
    return [f"  … and {total - SHOWN} more"] if total > SHOWN else []


def _parts(deliveries: Sequence[Delivery]) -> str:
    """Return the parts of accepted patients; one who is new in the first of several deliveries counts as new."""
    parts = {patient: part for each in deliveries for patient, part in each.parts.items()}
    new = {patient for each in deliveries for patient in each.new}

    def lines(what: str, chosen: Mapping[str, str]) -> list[str]:
        listed = [f"  {patient}: {part}" for patient, part in sorted(chosen.items())[:SHOWN]]
        return [f"{what}: {len(chosen)}", *listed, *_more(len(chosen))] if chosen else []

    known = {patient: part for patient, part in parts.items() if patient not in new}
    others = {patient: part for patient, part in parts.items() if patient in new}
    return "\n".join(lines("known patients, who keep their part", known) + lines("new patients", others))


def _next(deliveries: Sequence[Delivery], folder: Path, dataset: str, *, dry_run: bool) -> str:
    if not any(each.accepted for each in deliveries):
        return "Everything that can be added is already present: nothing was added."
    if dry_run:
        return f"Nothing was written. To add them: auscult data add {shlex.quote(str(folder))}"
    paths = Paths(dataset)
    return "\n".join(
        [
            "Next:",
            "  dvc repro" if parameters.load().dataset == dataset else f"  auscult run --dataset {dataset}",
            f"  git add {paths.added} {paths.data} {paths.reports / 'metrics'} dvc.lock",
            f"  git commit -F - <<'END'\n{message(*deliveries).rstrip()}\nEND",
            "  dvc push",
            "  git push",
        ]
    )


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
    for name in (RECORDINGS, SEGMENTS):
        if (folder / name).exists():
            raise AuscultError(
                f"{folder / name} exists already", where=str(folder), next_step="fill it in, or name another folder"
            )
    for name, lines in ((RECORDINGS, _recordings_table(dataset)), (SEGMENTS, _segments_table(dataset))):
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


def _recordings_table(dataset: Dataset) -> list[tuple[str, ...]]:
    label = min(dataset.recording_labels)
    example = ("# first.wav", "P001", "", label, "Meditron", "left posterior", "63", "female")
    return [(*KEYS, *DESCRIPTIONS), example]


def _segments_table(dataset: Dataset) -> list[tuple[str, ...]]:
    return [("file", *TIMES), ("# first.wav", "0.35", "2.61", min(dataset.segment_labels))]
