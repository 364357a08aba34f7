"""Bringing a data set into its raw folder: from the publisher or from the user's copy, whole or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from auscult.core.digests import digest
from auscult.core.errors import AuscultError, DataError, DownloadError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import replacing_folder, sweep_leftovers
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import AnnotationError, Counts, Dataset, RemoteFile
from auscult.datasets.readers.copies import files_below, is_audio
from auscult.datasets.retrieval.address import shown
from auscult.datasets.retrieval.fetch import fetch
from auscult.datasets.retrieval.leave_out import leave_out
from auscult.datasets.retrieval.source import is_address
from auscult.datasets.retrieval.unpack import BadArchive, unpack

DOWNLOADS = CACHE_DIR / "downloads"


def bring(dataset: Dataset, source: str | None, raw: Path, withdrawn: Withdrawals | None = None) -> Counts:
    """Fill *raw* from *source*, or from the publisher's addresses where that is ``None``.

    *raw* is replaced when everything is there and reads as this data set; on any
    error it stays as it was. It is judged, and counted, before *withdrawn* patients are left out.

    Raises
    ------
    DataError
        The source is not this data set, or is not complete.
    """
    unpacked = raw.parent / "unpacked"  # on the same disk as raw: its files are moved, not copied
    sweep_leftovers(unpacked)
    scratch = raw.parent / f".{unpacked.name}.{dataset.name}.part"
    scratch.mkdir(parents=True)
    places: dict[str, str] = {str(scratch): _shown(source)}
    try:
        origin = _origin(dataset, source, scratch, places)
        with _named_as_given(dataset, source, places):
            layout = _layout(dataset, origin)
            _tell_left_out(layout, origin)
            with replacing_folder(raw) as folder:
                places[str(folder)] = _shown(source)
                places |= {str(folder / target): str(file) for target, file in layout.items()}
                _place(layout, folder, scratch)
                counts = _checked(dataset, folder, published=source is None)
                if withdrawn is not None and (left := leave_out(dataset, folder, withdrawn)):
                    print(f"download: {left}", flush=True)
                return counts
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AuscultError(
                "no space left on the disk while unpacking",
                where=str(raw.parent),
                next_step="free some space and run the same command again; what was downloaded is kept",
            ) from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_there(dataset: Dataset, raw: Path) -> bool:
    """Whether *raw* holds recordings of the data set already."""
    try:
        return raw.is_dir() and any(recording.path for recording in dataset.recordings(raw))
    except (DataError, OSError):
        return False


def _shown(source: str | None) -> str:
    if source is None:
        return str(DOWNLOADS)
    return shown(source) if is_address(source) else source


@contextmanager
def _named_as_given(dataset: Dataset, source: str | None, places: Mapping[str, str]) -> Iterator[None]:
    """Let errors name what the user knows, not copies of it that are gone when he reads of them.

    Parameters
    ----------
    places
        A scratch folder or file → what it was made from. Later ones may name earlier ones.
    """
    try:
        yield
    except DataError as error:
        what, where, next_step = error.what, error.where or _shown(source), error.next_step
        for ours in reversed(list(places)):
            what, where = (text.replace(ours, places[ours]) for text in (what, where))
        if source is None and not isinstance(error, DownloadError):
            next_step = f"remove that file from {DOWNLOADS} and run it again, or get it yourself: {dataset.homepage}"
        raise type(error)(what, where=where, next_step=next_step) from error


def _origin(dataset: Dataset, source: str | None, scratch: Path, places: dict[str, str]) -> Path:
    """A folder that holds the copy: the user's own, or *scratch* with everything unpacked into it."""
    if source is None:
        # Tables first: what cannot be had is known before two gigabytes are fetched.
        for file in sorted(_published(dataset), key=lambda file: file.archive):
            _add(fetch(file, DOWNLOADS), scratch, places)
        return scratch
    if is_address(source):
        name = Path(unquote(urlsplit(source).path)).name or "archive"
        _add(fetch(RemoteFile(f"{digest(source)[:8]}-{name}", (source,)), DOWNLOADS), scratch, places)
        return scratch
    path = Path(source)
    if path.is_file():
        _add(path, scratch, places)
        return scratch
    return _folder(dataset, path, scratch, places)


def _published(dataset: Dataset) -> tuple[RemoteFile, ...]:
    if not dataset.files:
        raise DownloadError(
            f"{dataset.title} is not offered for download",
            next_step=f"get it from {dataset.homepage}, then: make repro DATASET={dataset.name} SOURCE=<folder or zip>",
        )
    return dataset.files


def _layout(dataset: Dataset, folder: Path) -> dict[str, Path]:
    try:
        return dataset.layout(folder)
    except OSError as error:
        raise _unreadable(error, folder) from error


def _folder(dataset: Dataset, path: Path, scratch: Path, places: dict[str, str]) -> Path:
    """The user's folder; where it is no copy, the publisher's archives in it are unpacked first."""
    try:
        dataset.layout(path)
    except DataError:
        archives = sorted(file for file in path.iterdir() if file.suffix.lower() == ".zip" and file.is_file())
        if not archives:
            raise
        for archive in archives:
            _add(archive, scratch, places)
        beside = scratch / "beside"  # tables that lie beside the archives
        beside.symlink_to(path, target_is_directory=True)
        places[f"{beside}/"] = f"{path}/"
        return scratch
    except OSError as error:
        raise _unreadable(error, path) from error
    return path


def _add(file: Path, scratch: Path, places: dict[str, str]) -> None:
    """Unpack an archive into *scratch*; lay a table there."""
    if file.suffix.lower() in (".txt", ".csv", ".json"):
        shutil.copyfile(file, scratch / file.name)
        places[str(scratch / file.name)] = str(file)
        return
    print(f"download: unpacking {file.name}", flush=True)
    folder = scratch / "unpacked" / file.stem
    try:
        unpack(file, folder)
    except BadArchive as error:
        if not file.is_relative_to(DOWNLOADS):
            raise
        # It counts as fetched: without this the same command would end here for ever.
        next_step = f"remove {file} and run the same command again, or give your own copy as SOURCE"
        raise BadArchive(error.what, where=error.where, next_step=next_step) from error
    places[f"{folder}/"] = f"{file}/"


def _tell_left_out(layout: dict[str, Path], origin: Path) -> None:
    """Say how much audio of the source is not taken: other data, second copies, names that tell no patient."""
    taken = set(layout.values())
    left = [path for path in files_below(origin) if is_audio(path.name) and path not in taken]
    if left:
        print(f"download: {len(left)} other audio files there are left out, such as {left[0].name}", flush=True)


def _place(layout: dict[str, Path], folder: Path, scratch: Path) -> None:
    """Move what was unpacked, copy what is the user's."""
    ours = scratch.resolve()
    for target, file in layout.items():
        place = folder / target
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            if file.resolve().is_relative_to(ours):
                file.rename(place)
            else:
                shutil.copyfile(file, place)
        except PermissionError as error:
            raise _unreadable(error, file) from error


def _unreadable(error: OSError, path: Path) -> AuscultError:
    return DataError(
        f"{error.filename or path} cannot be read: {error.strerror}",
        where=str(path),
        next_step="make it readable, or give another SOURCE",
    )


def _checked(dataset: Dataset, folder: Path, *, published: bool) -> Counts:
    """Count what is there; what the publisher sends must be complete, a user's copy must hold audio."""
    recordings = dataset.recordings(folder)
    audible = [recording for recording in recordings if recording.path]
    if not audible:
        raise DataError(
            f"this copy of {dataset.title} names {len(recordings)} recordings but holds no audio file (.wav or .flac)",
            next_step="give a SOURCE that holds the recordings as well",
        )
    segments = 0
    for recording in recordings:
        try:
            segments += len(dataset.segments(folder, recording))
        except AnnotationError:
            continue  # validate sets it aside, with the reason
    found = Counts(len(audible), len({recording.patient_id for recording in audible}), segments)
    if published and dataset.recording_labels and not any(recording.label for recording in audible):
        raise DownloadError(
            f"what the publisher sends has no label (diagnosis) for any of its {len(audible):,} recordings",
            where=str(DOWNLOADS),
            next_step=f"look into the tables there, remove what is none, and run it again, or get {dataset.homepage}"
            " yourself and give it as SOURCE",
        )
    whole = [counts for counts in (dataset.expected, *dataset.expected_parts) if counts is not None]
    if published and whole and found not in whole:
        raise DownloadError(
            f"what the publisher sends is not complete: {in_words(found)}; expected {in_words(whole[0])}",
            where=str(DOWNLOADS),
            next_step=f"remove {DOWNLOADS} and run it again, or get {dataset.homepage} yourself and give it as SOURCE",
        )
    _tell(found, whole, len(recordings) - len(audible))
    return found


def _tell(found: Counts, whole: list[Counts], silent: int) -> None:
    print(f"download: {in_words(found)}", flush=True)
    if silent:
        print(f"download: {silent} recordings have an annotation but no audio file", flush=True)
    if whole and found not in whole:
        print(f"download: this is a part: all of it is {in_words(whole[0])}", flush=True)


def in_words(counts: Counts) -> str:
    """Such as "920 recordings of 126 patients, 6,898 segments"."""
    return f"{counts.recordings:,} recordings of {counts.patients:,} patients, {counts.segments:,} segments"
