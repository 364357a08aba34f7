"""A folder that holds one delivery, or a folder for each of several: a clinic drops one per week."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auscult.core.errors import DataError
from auscult.curation.additions.batch import add
from auscult.curation.additions.delivery import Delivery, Rejected
from auscult.curation.additions.examination import examine
from auscult.curation.additions.layout import layout
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import is_audio
from auscult.datasets.readers.delivery_tables import RECORDINGS


def add_all(
    dataset_name: str, folder: Path, root: Path, *, dry_run: bool = False
) -> tuple[list[Delivery], list[Rejected]]:
    """Examine and add the delivery that a folder holds or, where it does not hold one, those of its folders, by name.

    Each is a batch of its own, and present when the next one is examined. One that cannot be used stops no other.

    Parameters
    ----------
    dry_run
        Examine only, each as if there were no other.

    Returns
    -------
    deliveries
        As they were examined.
    rejected
        What stays out, of all of them; where there are several, each name begins with its folder's.

    Raises
    ------
    DataError
        Neither the folder nor any folder in it holds a delivery to this data set, or none that can be used.
    AuscultError
        As :func:`auscult.curation.additions.examine` and :func:`auscult.curation.additions.add`.
    """
    folders = _deliveries(load(dataset_name), folder)
    if folders == [folder]:
        return [delivery := _taken(dataset_name, folder, root, dry_run)], list(delivery.rejected)
    loose = sorted(path.name for path in folder.iterdir() if path.is_file() and is_audio(path.name))
    rejected = [Rejected(name, "unplaced", "it lies beside folders that are deliveries of their own") for name in loose]
    deliveries: list[Delivery] = []
    errors: list[DataError] = []
    for each in folders:
        try:
            deliveries.append(_taken(dataset_name, each, root, dry_run))
        except DataError as error:
            rejected.append(Rejected(each.name, "no_delivery", error.what))
            errors.append(error)
            continue
        rejected += [replace(e, recording_id=f"{each.name}/{e.recording_id}") for e in deliveries[-1].rejected]
    if not deliveries:
        raise errors[0]
    return deliveries, rejected


def _taken(dataset_name: str, folder: Path, root: Path, dry_run: bool) -> Delivery:
    delivery = examine(dataset_name, folder, root)
    if not dry_run:
        add(delivery)
    return delivery


def _deliveries(dataset: Dataset, folder: Path) -> list[Path]:
    """The folder itself, or all in it where one at least holds a delivery."""
    inside = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    apart = not (folder / RECORDINGS).is_file() and any((path / RECORDINGS).is_file() for path in inside)
    if apart:  # a data set's own layout may lie some levels down: it would claim the folder, and the others' audio
        return inside
    if _is_delivery(dataset, folder):
        return [folder]
    if not any(_is_delivery(dataset, path) for path in inside):
        layout(dataset, folder)  # says what is wrong with it
    return inside


def _is_delivery(dataset: Dataset, folder: Path) -> bool:
    try:
        layout(dataset, folder)
    except DataError:
        return False
    return True
