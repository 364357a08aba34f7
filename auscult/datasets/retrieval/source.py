"""Where a data set comes from: the user's copy, remembered from ``make repro SOURCE=``, or the publisher.

The remembered source is a line in ``.cache/``, never a parameter, dependency or
path in ``dvc.lock``: what counts is the content that ``download`` brings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from auscult import datasets
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import write_text
from auscult.datasets.retrieval.address import check_address, shown

#: Given as SOURCE, it forgets the user's copy.
PUBLISHER = "publisher"


def remember(dataset: str, source: str) -> str | None:
    """Keep where the user's copy lies: an absolute path or an address; ``None`` for the publisher's.

    Parameters
    ----------
    dataset
        A data set that is not generated.
    source
        A folder, a zip, an http(s) or file address, or the word ``publisher``.

    Raises
    ------
    DataError
        There is nothing at that path, it is neither a folder nor a zip, the scheme
        is not supported, or the data set is made here.
    """
    if datasets.load(dataset).generated:
        raise DataError(
            f"data set {dataset!r} is made by the project and takes no SOURCE",
            where=source,
            next_step="leave SOURCE out, or name the data set it holds: make repro DATASET=icbhi SOURCE=...",
        )
    kept = None if source.strip() == PUBLISHER else _checked(dataset, source)
    if kept is None:
        _file(dataset).unlink(missing_ok=True)
    else:
        write_text(_file(dataset), kept + "\n")
    write_text(_anew(dataset), "")
    return kept


@contextmanager
def remembered(dataset: str, source: str) -> Iterator[None]:
    """Remember a source for the block that tries it; where that refuses it, the one of before is put back.

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
        taken(dataset)
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_text(file, before)
        raise


def recall(dataset: str) -> str | None:
    """The remembered source of a data set, checked again; ``None`` when there is none.

    Raises
    ------
    DataError
        What was remembered is gone.
    """
    file = _file(dataset)
    if not file.is_file():
        return None
    return _checked(dataset, file.read_text(encoding="utf-8"))


def given_anew(dataset: str) -> bool:
    """Whether a source was given since the data set was last brought: then what is there is not enough."""
    return _anew(dataset).exists()


def taken(dataset: str) -> None:
    """The source that was given has been brought, or was refused."""
    _anew(dataset).unlink(missing_ok=True)


def is_address(source: str) -> bool:
    """Whether a source is fetched rather than copied."""
    return "://" in source


def _checked(dataset: str, source: str) -> str:
    text = source.strip()
    if not text or "\n" in text:
        raise DataError("SOURCE is empty or has several lines", next_step=_another(dataset))
    if text.lower().startswith("file://"):
        text = unquote("/" + text[len("file://") :].partition("/")[2])  # what stands before the path is this host
    if is_address(text):
        check_address(text)
        return text
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise DataError(f"SOURCE {text} does not exist (any more)", where=str(path), next_step=_another(dataset))
    if path.is_file() and path.suffix.lower() != ".zip":
        raise DataError(
            f"SOURCE {path.name} is neither a folder nor a .zip",
            where=str(path),
            next_step="unpack it and give the folder",
        )
    return str(path)


def _another(dataset: str) -> str:
    return (
        f"give another: make repro DATASET={dataset} SOURCE=<folder, zip or URL>,"
        f" or the publisher's again: SOURCE={PUBLISHER}"
    )


def _file(dataset: str) -> Path:
    return CACHE_DIR / f"source-{dataset}.txt"


def _anew(dataset: str) -> Path:
    return CACHE_DIR / f"source-{dataset}.given"


def describe(source: str | None, homepage: str) -> str:
    """A few words on where the data come from, for a progress line."""
    if source is None:
        return f"from the publisher ({homepage})"
    return f"from {shown(source) if is_address(source) else source}"
