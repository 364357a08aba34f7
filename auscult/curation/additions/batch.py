"""Batches of added recordings in ``data/added``, tracked by DVC: a batch is complete or does not exist."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.core import withdrawals
from auscult.core.errors import AuscultError, DataError
from auscult.core.locks import hold
from auscult.core.paths import Paths
from auscult.core.storage import replacing_file, replacing_folder
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.delivery import Delivery
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.readers.delivery_tables import TablesLayout, reader
from auscult.datasets.retrieval.withdrawn_files import leave_out
from auscult.validation.additions import batch_name, checksums
from auscult.versioning.commands import dvc

_BATCH = re.compile(r"[0-9a-f]{12}")


def add(delivery: Delivery) -> str | None:
    """Add the accepted recordings as a batch; the caller commits ``data/added/<dataset>/<batch>.dvc``.

    A kill at any moment leaves the complete batch, or files that the next call removes.

    Returns
    -------
    str or None
        The batch; ``None`` if nothing was accepted. A batch that exists stays as it is.

    Raises
    ------
    DataError
        A file of the delivery changed since it was examined.
    AuscultError
        DVC cannot track the batch (it is removed again), or there is no DVC repository.
    """
    if not delivery.accepted:
        return None
    added = delivery.root / Paths(delivery.dataset).added
    target = added / delivery.batch
    with locked(delivery.root):
        sweep(added)
        if not _dvc_file(target).exists():
            with replacing_folder(target) as scratch:
                _fill(delivery, scratch, shutil.copyfile)  # never links: DVC changes its own files
            track(target, delivery.root)
    return delivery.batch


def check(delivery: Delivery) -> None:
    """Raise as :func:`add` would because of the delivery itself; nothing is written to the repository."""
    if delivery.accepted:
        with tempfile.TemporaryDirectory(prefix="auscult-delivery-") as scratch:
            _fill(delivery, Path(scratch), lambda file, place: place.symlink_to(file.resolve(strict=True)))


def rewrite(dataset: Dataset, folder: Path, withdrawn: Withdrawals, root: Path) -> str | None:
    """Replace a batch that holds withdrawn patients by the same batch without them.

    The new one is complete and tracked before the old one is removed: after a kill both may exist, and the next call
    removes the old one. The caller must hold the lock of :func:`locked`, and call :func:`sweep` first.

    Returns
    -------
    str or None
        The new batch; ``None`` if no recording is left.
    """
    name = None
    with tempfile.TemporaryDirectory(prefix=".reduced.", suffix=".part", dir=folder.parent) as scratch:
        reduced = Path(shutil.copytree(folder, Path(scratch) / folder.name, copy_function=shutil.copyfile))
        _leave_out(dataset, reduced, withdrawn)
        if any(is_audio(path.name) for path in files_below(reduced)):
            name = batch_name(checksums(reduced))
            target = folder.with_name(name)
            if not _dvc_file(target).exists():
                reduced.rename(target)
                track(target, root)
    _dvc_file(folder).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return name


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock on the additions of this repository; wait while another process holds it.

    Raises
    ------
    AuscultError
        There is no DVC repository at *root*.
    """
    if not (root / ".dvc").is_dir():
        raise AuscultError("this is not a DVC repository", where=str(root), next_step="name the repository's root")
    (root / ".dvc/tmp").mkdir(exist_ok=True)
    with hold(root / ".dvc/tmp/additions.lock"):
        yield


def withdrawn_files(
    source: Dataset | TablesLayout, folder: Path, files: Iterable[str], withdrawn: Withdrawals
) -> set[str]:
    """Return the paths of withdrawn patients' files, among *files* of a folder that *source* reads."""
    if isinstance(source, TablesLayout):
        return {each.path for each in source.recordings(folder) if each.path and withdrawn.holds(each.patient_id)}
    return {place for place in files if withdrawn.holds(source.patient_of(place))}


def _leave_out(dataset: Dataset, folder: Path, withdrawn: Withdrawals) -> None:
    """Remove the files and table rows of withdrawn patients from a folder that is about to become a batch."""
    source = reader(dataset, folder)
    if not isinstance(source, TablesLayout):
        leave_out(dataset, folder, withdrawn)
        return
    gone = withdrawn_files(source, folder, (), withdrawn)
    if not gone:
        return
    kept = {each.recording_id for each in source.recordings(folder) if not withdrawn.holds(each.patient_id)}
    for name, content in source.excerpt(folder, kept).items():
        with replacing_file(folder / name) as scratch:
            scratch.write_bytes(content)
    for place in gone:
        (folder / place).unlink()


def sweep(added: Path) -> None:
    """Remove what a killed call left in a data set's additions: partial folders, and batches without a ``.dvc`` file.

    The caller must hold the lock of :func:`locked`.
    """
    for path in added.glob("*"):
        partial = path.name.startswith(".") and path.suffix in (".part", ".old")
        if path.is_dir() and (partial or (_BATCH.fullmatch(path.name) and not _dvc_file(path).exists())):
            shutil.rmtree(path)


def _fill(delivery: Delivery, folder: Path, put: Callable[[Path, Path], object]) -> None:
    """Put the files into an empty folder and write the tables; check that they are what was examined."""
    for place, file in delivery.files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        try:
            put(file, folder / place)
        except FileNotFoundError as error:
            raise _changed(f"{file} does not exist any more", file) from error
    for place, content in delivery.tables.items():
        (folder / place).write_bytes(content)
    _leave_out(load(delivery.dataset), folder, withdrawals.read(delivery.dataset, delivery.root))
    if batch_name(checksums(folder)) != delivery.batch:
        raise _changed("a file of the delivery changed since it was examined", delivery.root)
    source = reader(load(delivery.dataset), folder)
    names = {recording.recording_id for recording in source.recordings(folder)}
    if names != {item.recording.recording_id for item in delivery.accepted}:
        raise DataError(
            "the names of the files do not tell the accepted recordings from the others of the delivery",
            where=f"auscult/datasets/{delivery.dataset}.py",
            next_step="leave out the recordings that were rejected, and add the rest",
        )


def _changed(what: str, where: Path) -> DataError:
    return DataError(what, where=str(where), next_step="wait until it is complete, then examine and add it again")


def track(target: Path, root: Path) -> None:
    """Let DVC track a batch; remove the batch if that fails."""
    try:
        dvc(root, "add", "--quiet", target.relative_to(root).as_posix())
    except BaseException:
        _dvc_file(target).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        raise


def _dvc_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.dvc")
