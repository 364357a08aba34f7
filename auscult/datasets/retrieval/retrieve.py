"""Retrieve a data set into its raw folder: generate it, or copy or download it, completely or not at all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from auscult.core import withdrawals
from auscult.core.digests import digest
from auscult.core.errors import DataError, DownloadError
from auscult.core.paths import CACHE_DIR, Paths
from auscult.core.sections import Params
from auscult.core.storage import replacing_folder, sweep_leftovers
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import AnnotationError, Counts, Dataset, RemoteFile
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.retrieval.source import is_new, is_url, mark_used, recall, redacted
from auscult.datasets.retrieval.unpack import BadArchive, unpack
from auscult.datasets.retrieval.withdrawn_files import contains_withdrawn, leave_out, leave_out_of_raw

_LOG = logging.getLogger(__name__)

DOWNLOADS = CACHE_DIR / "downloads"


def retrieve(dataset: Dataset, params: Params) -> None:
    """Bring the raw folder of a data set up to date, without withdrawn patients.

    A raw folder that only has to lose withdrawn patients, or whose source is gone, is not retrieved again.

    Raises
    ------
    DataError
        If the source is missing, incomplete, or not this data set.
    """
    raw = Paths(dataset.name).raw
    withdrawn = withdrawals.read(dataset.name)
    if dataset.generated:
        _LOG.info("download: generating %s", dataset.title)
        with replacing_folder(raw) as folder:
            dataset.make(folder, params)
            _log(leave_out(dataset, folder, withdrawn))
        return
    reducible = contains_withdrawn(dataset, raw, withdrawn)
    if raw.is_dir() and reducible and not is_new(dataset.name):
        _LOG.info("download: %s; the rest of %s is kept", leave_out_of_raw(dataset, raw, withdrawn), raw)
        return
    try:
        source = recall(dataset.name)
    except DataError as error:
        if not _has_recordings(dataset, raw):
            raise
        _LOG.warning("download: %s; %s is kept as it is", error.what, raw)
        if reducible:
            _log(leave_out_of_raw(dataset, raw, withdrawn))
        return
    origin = f"the publisher ({dataset.homepage})" if source is None else redacted(source)
    _LOG.info("download: %s, from %s", dataset.title, origin)
    assemble(dataset, source, raw, withdrawn)
    mark_used(dataset.name)


def assemble(dataset: Dataset, source: str | None, raw: Path, withdrawn: Withdrawals | None = None) -> Counts:
    """Fill *raw* from *source*, or from the URLs of the publisher if that is ``None``.

    *raw* is replaced when the copy is complete and readable; after any error it is unchanged. The copy is checked and
    counted before *withdrawn* patients are removed.

    Raises
    ------
    DataError
        If the source is not this data set, or is incomplete.
    """
    unpacked = raw.parent / "unpacked"  # on the same disk as raw: its files are moved, not copied
    sweep_leftovers(unpacked)
    scratch = raw.parent / f".{unpacked.name}.{dataset.name}.part"
    scratch.mkdir(parents=True)
    given = str(DOWNLOADS) if source is None else redacted(source)
    origins: dict[str, str] = {str(scratch): given}
    try:
        with replacing_folder(raw) as folder, _original_paths(dataset, source, given, origins):
            origin = _origin(dataset, source, scratch, origins)
            layout = _layout(dataset, origin)
            _report_unused(layout, origin)
            origins[str(folder)] = given
            origins |= {str(folder / target): str(file) for target, file in layout.items()}
            _place(layout, folder, scratch)
            counts = _checked(dataset, folder, published=source is None)
            if withdrawn is not None:
                _log(leave_out(dataset, folder, withdrawn))
            return counts
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _log(message: str) -> None:
    if message:
        _LOG.info("download: %s", message)


def _has_recordings(dataset: Dataset, raw: Path) -> bool:
    try:
        return raw.is_dir() and any(recording.path for recording in dataset.recordings(raw))
    except (DataError, OSError):
        return False


@contextmanager
def _original_paths(dataset: Dataset, source: str | None, given: str, origins: Mapping[str, str]) -> Iterator[None]:
    """Replace temporary paths in errors by the paths that the user knows.

    Parameters
    ----------
    origins
        Temporary folder or file → what it was made from. Later entries may name earlier ones.
    """
    try:
        yield
    except DataError as error:
        what, where, next_step = error.what, error.where or given, error.next_step
        for temporary in reversed(list(origins)):
            what, where = (text.replace(temporary, origins[temporary]) for text in (what, where))
        if source is None and not isinstance(error, DownloadError):
            next_step = f"remove that file from {DOWNLOADS} and run it again, or get it yourself: {dataset.homepage}"
        raise type(error)(what, where=where, next_step=next_step) from error


def _layout(dataset: Dataset, folder: Path) -> dict[str, Path]:
    try:
        return dataset.layout(folder)
    except OSError as error:
        raise _unreadable(error, folder) from error


def _unreadable(error: OSError, path: Path) -> DataError:
    return DataError(
        f"{error.filename or path} cannot be read: {error.strerror}",
        where=str(path),
        next_step="make it readable, or give another source",
    )


def _origin(dataset: Dataset, source: str | None, scratch: Path, origins: dict[str, str]) -> Path:
    """Return a folder with the copy: the user's own, or *scratch* with everything unpacked into it."""
    if source is not None and not is_url(source):
        path = Path(source)
        if not path.is_file():
            return _folder(dataset, path, scratch, origins)
        _add(path, scratch, origins)
        return scratch
    if source is None:
        if not dataset.files:
            raise DownloadError(
                f"{dataset.title} cannot be downloaded",
                next_step=f"get it from {dataset.homepage}, then:"
                f" auscult run --dataset {dataset.name} --source FOLDER_OR_ZIP",
            )
        # Tables first: a missing one is reported before two gigabytes are downloaded.
        files = sorted(dataset.files, key=lambda file: file.archive)
    else:
        name = Path(unquote(urlsplit(source).path)).name or "archive"
        files = [RemoteFile(f"{digest(source)[:8]}-{name}", (source,))]
    from auscult.datasets.retrieval.download import download  # requests: loaded only to download

    for file in files:
        _add(download(file, DOWNLOADS), scratch, origins)
    return scratch


def _folder(dataset: Dataset, path: Path, scratch: Path, origins: dict[str, str]) -> Path:
    """Return the user's folder; if it is not a copy, unpack the zip files in it."""
    try:
        _layout(dataset, path)
        return path
    except DataError:
        archives = sorted(file for file in path.glob("*") if file.suffix.lower() == ".zip" and file.is_file())
        if not archives:
            raise
    for archive in archives:
        _add(archive, scratch, origins)
    beside = scratch / "beside"  # tables beside the archives
    beside.symlink_to(path, target_is_directory=True)
    origins[f"{beside}/"] = f"{path}/"
    return scratch


def _add(file: Path, scratch: Path, origins: dict[str, str]) -> None:
    """Unpack an archive into *scratch*, or copy a table into it."""
    if file.suffix.lower() in (".txt", ".csv", ".json"):
        shutil.copyfile(file, scratch / file.name)
        origins[str(scratch / file.name)] = str(file)
        return
    _LOG.info("download: unpacking %s", file.name)
    folder = scratch / "unpacked" / file.stem
    try:
        unpack(file, folder)
    except BadArchive as error:
        if not file.is_relative_to(DOWNLOADS):
            raise
        # The file counts as downloaded, so the same command would fail each time.
        next_step = f"remove {file} and run the same command again, or give your own copy as the source"
        raise BadArchive(error.what, where=error.where, next_step=next_step) from error
    origins[f"{folder}/"] = f"{file}/"


def _report_unused(layout: dict[str, Path], origin: Path) -> None:
    """Log how many audio files of the source are not used: other data, second copies, names without a patient."""
    used = set(layout.values())
    unused = [path for path in files_below(origin) if is_audio(path.name) and path not in used]
    if unused:
        _LOG.info("download: %d other audio files are not used, such as %s", len(unused), unused[0].name)


def _place(layout: dict[str, Path], folder: Path, scratch: Path) -> None:
    """Move unpacked files, copy the user's."""
    temporary = scratch.resolve()
    for target, file in layout.items():
        place = folder / target
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            if file.resolve().is_relative_to(temporary):
                file.rename(place)
            else:
                shutil.copyfile(file, place)
        except PermissionError as error:
            raise _unreadable(error, file) from error


def _checked(dataset: Dataset, folder: Path, *, published: bool) -> Counts:
    """Count the content; a download must be complete, a user's copy must contain audio."""
    recordings = dataset.recordings(folder)
    with_audio = [recording for recording in recordings if recording.path]
    if not with_audio:
        raise DataError(
            f"this copy of {dataset.title} names {len(recordings)} recordings but has no audio file (.wav or .flac)",
            next_step="give a source that contains the recordings",
        )
    segments = 0
    for recording in recordings:
        try:
            segments += len(dataset.segments(folder, recording))
        except AnnotationError:
            continue  # validate rejects the recording, with the reason
    found = Counts(len(with_audio), len({recording.patient_id for recording in with_audio}), segments)
    if published and dataset.recording_labels and not any(recording.label for recording in with_audio):
        raise DownloadError(
            f"the download has no label (diagnosis) for any of its {len(with_audio):,} recordings",
            where=str(DOWNLOADS),
            next_step=f"check the tables there, remove those that are none, and run it again, or get {dataset.homepage}"
            " yourself and give it as the source",
        )
    complete = [counts for counts in (dataset.expected, *dataset.expected_parts) if counts is not None]
    if published and complete and found not in complete:
        raise DownloadError(
            f"the download is not complete: {_described(found)}; expected {_described(complete[0])}",
            where=str(DOWNLOADS),
            next_step=f"remove {DOWNLOADS} and run it again, or get {dataset.homepage} yourself and give it as"
            " the source",
        )
    _LOG.info("download: %s", _described(found))
    if absent := len(recordings) - len(with_audio):
        _LOG.info("download: %d recordings have an annotation but no audio file", absent)
    if complete and found not in complete:
        _LOG.info("download: this is a part; the complete data set has %s", _described(complete[0]))
    return found


def _described(counts: Counts) -> str:
    return f"{counts.recordings:,} recordings of {counts.patients:,} patients, {counts.segments:,} segments"
