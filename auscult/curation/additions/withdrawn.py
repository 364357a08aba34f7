"""Whose a delivery's and a batch's files are, in a data set's own layout or beside tables, when somebody withdraws."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from auscult.core.storage import replacing_file
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.datasets.readers.delivery_tables import TablesLayout, reader
from auscult.datasets.retrieval.withdrawn_files import leave_out


def places(source: Dataset | TablesLayout, folder: Path, files: Iterable[str], withdrawn: Withdrawals) -> set[str]:
    """Places of the files of patients who have withdrawn, among *files* of a folder that *source* reads."""
    if isinstance(source, TablesLayout):
        return {each.path for each in source.recordings(folder) if each.path and withdrawn.holds(each.patient_id)}
    return {place for place in files if withdrawn.holds(source.patient_of(place))}


def leave_out_of_batch(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> None:
    """Remove the files of withdrawn patients from a folder that is about to become a batch, and their lines in tables.

    As :func:`auscult.datasets.retrieval.withdrawn_files.leave_out`, and also where the batch has tables of its own.
    """
    source = reader(dataset, folder)
    if not isinstance(source, TablesLayout):
        leave_out(dataset, folder, withdrawn)
        return
    gone = places(source, folder, (), withdrawn)
    if not gone:
        return
    kept = {each.recording_id for each in source.recordings(folder) if not withdrawn.holds(each.patient_id)}
    for name, content in source.excerpt(folder, kept).items():
        with replacing_file(folder / name) as scratch:
            scratch.write_bytes(content)
    for place in gone:
        (folder / place).unlink()
