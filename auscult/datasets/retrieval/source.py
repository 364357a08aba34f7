"""The source of a data set: the user's copy, remembered from ``auscult run --source``, or the publisher.

The source is a line in ``.cache/``, never a parameter, dependency or path in ``dvc.lock``: only the content that
``download`` brings is versioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from auscult import datasets
from auscult.core.errors import AuscultError, DataError, DownloadError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import write_text

#: As a source: forget the user's copy and download from the publisher.
PUBLISHER = "publisher"


def remember(dataset: str, source: str) -> str | None:
    """Store the source of a data set; return it as an absolute path or URL, ``None`` for the publisher.

    Parameters
    ----------
    dataset
        A data set that is not generated.
    source
        A folder, a zip file, a URL (http, https, file), or ``publisher``.

    Raises
    ------
    DataError
        If the path does not exist or is neither a folder nor a zip file, the URL is not supported, or the data
        set is generated.
    """
    if datasets.load(dataset).generated:
        raise DataError(
            f"data set {dataset!r} is generated and takes no source",
            where=source,
            next_step="omit the source, or name its data set: auscult run --dataset icbhi --source SOURCE",
        )
    kept = None if source.strip() == PUBLISHER else _checked(dataset, source)
    if kept is None:
        _file(dataset).unlink(missing_ok=True)
    else:
        write_text(_file(dataset), kept + "\n")
    write_text(_new_marker(dataset), "")
    return kept


@contextmanager
def remembered(dataset: str, source: str) -> Iterator[None]:
    """Remember a source during the block; restore the previous one if the block raises an ``AuscultError``.

    Raises
    ------
    DataError
        As :func:`remember` does.
    """
    file = _file(dataset)
    before = file.read_text(encoding="utf-8") if file.is_file() else None
    remember(dataset, source)
    try:
        yield
    except AuscultError:
        mark_used(dataset)
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_text(file, before)
        raise


def recall(dataset: str) -> str | None:
    """Return the remembered source of a data set, ``None`` if there is none; raise ``DataError`` if it is gone."""
    file = _file(dataset)
    return _checked(dataset, file.read_text(encoding="utf-8")) if file.is_file() else None


def is_new(dataset: str) -> bool:
    """Return whether a source was given after the data set was last retrieved."""
    return _new_marker(dataset).exists()


def mark_used(dataset: str) -> None:
    """Record that the given source was retrieved or refused."""
    _new_marker(dataset).unlink(missing_ok=True)


def is_url(source: str) -> bool:
    """Return whether a source is downloaded, not copied."""
    return "://" in source


def check_url(url: str) -> None:
    """Raise ``DownloadError`` unless the scheme is http or https and the host and port are valid."""
    why = ""
    try:
        parts = urlsplit(url)
        _ = parts.port  # the property validates it
        if parts.scheme not in ("http", "https") or not parts.hostname:
            why = "only http:// and https:// are supported"
    except ValueError:
        why = "its host or port is malformed"
    if why:
        raise DownloadError(
            f"cannot download from {redacted(url)}: {why}",
            next_step="give an http or https URL, or the path of a folder or zip file",
        )


def redacted(source: str) -> str:
    """Return a URL, valid or not, without user, password and query, which may be secret; a path as it is."""
    scheme, mark, rest = source.partition("://")
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _checked(dataset: str, source: str) -> str:
    another = (
        f"give another source: auscult run --dataset {dataset} --source FOLDER_ZIP_OR_URL"
        f" (or --source {PUBLISHER} to download it)"
    )
    text = source.strip()
    if not text or "\n" in text:
        raise DataError("the source is empty or has several lines", next_step=another)
    if text.lower().startswith("file://"):
        text = unquote("/" + text[len("file://") :].partition("/")[2])  # without the name of this host
    if is_url(text):
        check_url(text)
        return text
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise DataError(f"the source {text} does not exist", where=str(path), next_step=another)
    if path.is_file() and path.suffix.lower() != ".zip":
        raise DataError(
            f"the source {path.name} is neither a folder nor a .zip file",
            where=str(path),
            next_step="unpack it and give the folder",
        )
    return str(path)


def _file(dataset: str) -> Path:
    return CACHE_DIR / f"source-{dataset}.txt"


def _new_marker(dataset: str) -> Path:
    return CACHE_DIR / f"source-{dataset}.given"
