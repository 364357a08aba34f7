"""A delivery's accepted recordings as a batch in ``data/added``, tracked by DVC: whole or not there at all."""

from __future__ import annotations

import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.core import withdrawals
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import ADDED_DIR, Paths
from auscult.core.storage import replacing_folder
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions.delivery import Delivery
from auscult.curation.additions.withdrawn import leave_out_of_batch
from auscult.datasets import Dataset, load
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.readers.delivery_tables import reader
from auscult.validation.additions import batch_name, batches, checksums
from auscult.versioning.commands import dvc

_BATCH = re.compile(r"[0-9a-f]{12}")


def add(delivery: Delivery) -> str | None:
    """Put in what was accepted; git's part, to commit ``data/added/<dataset>/<batch>.dvc``, is the caller's.

    A kill at any moment leaves the whole batch, or something that the next call removes.

    Returns
    -------
    str or None
        The batch; ``None`` where nothing was accepted. A batch that is there already stays as it is.

    Raises
    ------
    DataError
        A file of the delivery changed since it was examined.
    AuscultError
        DVC cannot track the batch (it is not there then), or there is no DVC repository.
    """
    if not delivery.accepted:
        return None
    added = delivery.root / Paths(delivery.dataset).added
    target = added / delivery.batch
    with locked(delivery.root):
        _sweep(added)
        if not _dvc_file(target).exists():
            with replacing_folder(target) as scratch:
                _copy(delivery, scratch)
            _track(target, delivery.root)
    return delivery.batch


def replaced(dataset: Dataset, folder: Path, withdrawn: Withdrawals, root: Path) -> str | None:
    """Put another batch in the place of one that holds withdrawn patients: the same without them.

    The new one is there and tracked before the old one goes: after a kill both may be there, and the next call ends it.
    The lock of :func:`locked` must be held.

    Returns
    -------
    str or None
        The new batch; ``None`` where no recording is left.
    """
    name = None
    with tempfile.TemporaryDirectory(prefix=".reduced.", suffix=".part", dir=folder.parent) as scratch:
        left = Path(scratch) / folder.name
        shutil.copytree(folder, left, copy_function=shutil.copyfile)
        leave_out_of_batch(dataset, left, withdrawn)
        if any(is_audio(path.name) for path in files_below(left)):
            name = batch_name(checksums(left))
            target = folder.with_name(name)
            if not _dvc_file(target).exists():
                with replacing_folder(target) as fresh:
                    shutil.copytree(left, fresh, copy_function=shutil.copyfile, dirs_exist_ok=True)
                _track(target, root)
    _dvc_file(folder).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return name


def make_ready(root: Path | None = None) -> None:
    """See to it that the additions of all data sets are there, before DVC stops for want of one.

    The folder itself is made where it is missing: a stage depends on it, and git keeps it only by its README.

    Raises
    ------
    DataError
        Naming the first addition that is missing or untracked, with the command that leads on.
    """
    folder = (Path() if root is None else root) / ADDED_DIR
    folder.mkdir(parents=True, exist_ok=True)
    for added in sorted(path for path in folder.iterdir() if path.is_dir()):
        batches(added)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Be the only one who adds to this repository, or looks at what is added.

    Another process is waited for; the kernel lets go of its lock when it dies.

    Raises
    ------
    AuscultError
        There is no DVC repository at *root*.
    """
    if not (root / ".dvc").is_dir():
        raise AuscultError("this is no DVC repository", where=str(root), next_step="name the repository's root")
    (root / ".dvc/tmp").mkdir(exist_ok=True)
    with (root / ".dvc/tmp/additions.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(added: Path) -> None:
    """Remove what a killed call left: half-written folders, and batches that were not tracked yet."""
    for path in added.glob("*"):
        half = path.name.startswith(".") and path.suffix in (".part", ".old")
        if path.is_dir() and (half or (_BATCH.fullmatch(path.name) and not _dvc_file(path).exists())):
            shutil.rmtree(path)


def _copy(delivery: Delivery, folder: Path) -> None:
    """Copy, never link: nothing that DVC does to its own files may reach the delivery."""
    for place, file in delivery.files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, folder / place)
        except FileNotFoundError as error:
            raise _changed(f"{file} is gone", file) from error
    for place, content in delivery.tables.items():
        (folder / place).write_bytes(content)
    leave_out_of_batch(load(delivery.dataset), folder, withdrawals.read(delivery.dataset, delivery.root))
    if batch_name(checksums(folder)) != delivery.batch:
        raise _changed("a file of the delivery changed since it was examined", delivery.root)
    source = reader(load(delivery.dataset), folder)
    names = {recording.recording_id for recording in source.recordings(folder)}
    if names != {item.recording.recording_id for item in delivery.accepted}:
        raise DataError(
            "the accepted recordings cannot be told from the others of the delivery by their files' names",
            where=f"auscult/datasets/{delivery.dataset}.py",
            next_step="leave out the recordings that were rejected, and add the rest",
        )


def _changed(what: str, where: Path) -> DataError:
    return DataError(what, where=str(where), next_step="let it be complete first, then examine and add it again")


def _track(target: Path, root: Path) -> None:
    """``dvc add``; where that fails the batch is taken away again."""
    try:
        dvc(root, "add", "--quiet", target.relative_to(root).as_posix())
    except BaseException:
        _dvc_file(target).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        raise


def _dvc_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.dvc")
