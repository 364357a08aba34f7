"""Fetching one file: resumed after a cut, retried, and verified before anyone reads it.

A download grows as ``<name>.part``; beside it ``<name>.json`` keeps the address and
the server's mark of the file (see :mod:`stages.download.resume`). It gets its own
name when its size and checksum are right.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stages.download import resume
from stages.download.address import check_address, shown
from stages.download.datasets import RemoteFile
from stages.errors import DownloadError

if TYPE_CHECKING:
    from requests import Response

#: Tries per address that bring nothing new; the pause doubles from the first of these seconds.
ATTEMPTS = 5
PAUSE_S = 1.0
_TIMEOUT_S = (15.0, 60.0)
_BLOCK = 1 << 14  # at most so much is lost in a cut: what a block lacks is not given out
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "auscult"}
#: Answers of a server that may differ in a moment; any other refusal is final for that address.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Refused(Exception):
    """This address will not give the file; the text says why."""


class _Cut(Exception):
    """The transfer ended early; another try may go on from there."""


def fetch(file: RemoteFile, folder: Path, *, attempts: int = ATTEMPTS, pause_s: float = PAUSE_S) -> Path:
    """The verified file in *folder*, fetched unless it is there already.

    Raises
    ------
    DownloadError
        No address gave it, or what came is not what the publisher describes; the
        message holds each address's reason, and both checksums where they differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if target.is_file():
        problem = mismatch(target, file) or _changed(target, file)
        if problem is None:
            print(f"download: {file.name} is already in {folder}", flush=True)
            return target
        print(f"download: fetching {target} again: {problem}", flush=True)
    part = folder / f"{file.name}.part"
    with _alone(part):
        reasons = []
        for url in file.urls:
            try:
                _fetch_from(url, file, part, attempts, pause_s)
            except _Refused as refusal:
                reasons.append(f"{shown(url)}: {refusal}")
                print(f"download: {reasons[-1]}", flush=True)
                continue
            part.replace(target)
            return target
    raise DownloadError(
        f"{file.name} could not be fetched:\n  - " + "\n  - ".join(reasons),
        where=str(part if part.exists() else folder),
        next_step="run the same command again (it goes on where it stopped), or give your own copy: "
        "make repro DATASET=<name> SOURCE=<folder, zip or URL>",
    )


def mismatch(path: Path, file: RemoteFile) -> str | None:
    """How a file differs from what the publisher states, in words; ``None`` when it does not."""
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        return f"size is {size:,} bytes, expected {file.size_bytes:,}"
    for algorithm, expected in (("md5", file.md5), ("sha256", file.sha256)):
        if expected is not None:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm).hexdigest()
            if found != expected.lower():
                return f"{algorithm} is {found}, expected {expected}"
    return None


def _changed(target: Path, file: RemoteFile) -> str | None:
    """Whether the server has another file by now; asked only where no checksum tells. Offline counts as no."""
    import requests

    if file.md5 or file.sha256 or not file.urls:
        return None
    url = file.urls[0]
    check_address(url)
    try:
        with requests.get(url, headers=_HEADERS, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code != 200 or resume.unchanged(target, url, answer.headers):
                return None
    except requests.exceptions.RequestException as error:
        print(f"download: {shown(url)} cannot be asked for a newer file ({_brief(error)})", flush=True)
        return None
    resume.forget(target)
    return "the server has another one"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Hold the download against a second run that would write the same file."""
    with part.with_name(f".{part.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DownloadError(
                f"another run is downloading {part.stem} already", where=str(part), next_step="wait for it to end"
            ) from error
        yield


def _fetch_from(url: str, file: RemoteFile, part: Path, attempts: int, pause_s: float) -> None:
    """Bring the whole file from one address and verify it; what is wrong is removed."""
    check_address(url)
    idle, furthest = 0, _size(part)
    resumed = furthest > 0
    while True:
        try:
            _transfer(url, file, part)
            problem = mismatch(part, file)
            if problem is None:
                return
            part.unlink()
            if not resumed:
                raise _Refused(f"what came is not the publisher's file and was removed: {problem}")
            resumed = False  # the beginning may have been another file's: once more, from the start
            print(f"download: {file.name}: {problem}; once more from the start", flush=True)
        except _Cut as cut:
            idle = idle + 1 if _size(part) <= furthest else 1
            furthest = max(furthest, _size(part))
            resumed = resumed or _size(part) > 0
            if idle >= attempts:
                raise _Refused(f"gave up after {attempts} tries without progress: {cut}") from cut
            print(f"download: {file.name}: {cut}; trying again", flush=True)
            time.sleep(pause_s * 2 ** (idle - 1))


def _transfer(url: str, file: RemoteFile, part: Path) -> None:
    """One request, from the end of what is there already.

    Raises
    ------
    _Cut
        It ended early, or the server is busy.
    _Refused
        Another try would end the same way.
    """
    import requests

    target = part.with_name(file.name)
    verified = file.md5 is not None or file.sha256 is not None
    headers = _HEADERS | resume.headers(target, part, url, verified=verified)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            start = _start_of(answer, part)
            total = _total(answer, start)
            if file.size_bytes is not None and total is not None and total != file.size_bytes:
                raise _Refused(f"the server has another file of {total:,} bytes, expected {file.size_bytes:,}")
            resume.remember(target, url, answer.headers)
            with part.open("ab" if start else "wb") as stream:
                _copy(answer, stream, file, start, total)
    except requests.exceptions.SSLError as error:
        raise _Refused(f"its certificate is not valid (expired?), so it is not trusted: {_brief(error)}") from error
    except (
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
    ) as error:
        raise _Refused(f"no address to download from: {_brief(error)}") from error
    except requests.exceptions.TooManyRedirects as error:
        raise _Refused("it redirects without end") from error
    except requests.exceptions.RequestException as error:
        raise _Cut(_brief(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"no space left on the disk while fetching {file.name}",
                where=str(part),
                next_step="free some space and run the same command again; it goes on where it stopped",
            ) from error
        raise


def _start_of(answer: Response, part: Path) -> int:
    """The byte from which the answer's body goes on; anything but a fit starts anew."""
    if answer.status_code == 416:  # nothing beyond what is there: it is complete or another file
        part.unlink(missing_ok=True)
        raise _Cut("the server could not go on from where it stopped")
    if answer.status_code in _PASSING:
        raise _Cut(f"the server answered {answer.status_code} {answer.reason}")
    if answer.status_code not in (200, 206):
        raise _Refused(f"the server answered {answer.status_code} {answer.reason}")
    if answer.status_code == 200:
        return 0
    size = _size(part)
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        part.unlink(missing_ok=True)
        raise _Cut("the server went on from another place")
    return size


def _total(answer: Response, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None


def _copy(answer: Response, stream: IO[bytes], file: RemoteFile, start: int, total: int | None) -> None:
    """Append the answer's body, with a line about the progress."""
    done, begun, told = start, time.monotonic(), 0.0
    step_s = 0.5 if sys.stdout.isatty() else 15.0
    for block in answer.iter_content(_BLOCK):
        stream.write(block)
        done += len(block)
        if file.size_bytes is not None and done > file.size_bytes:
            stream.truncate(0)
            raise _Refused(f"the server sends more than the expected {file.size_bytes:,} bytes")
        if time.monotonic() - max(told, begun) >= step_s:
            told = time.monotonic()
            _tell(file.name, done, total, (done - start) / (told - begun))
    if total is not None and done < total:
        raise _Cut(f"the connection ended after {done:,} of {total:,} bytes")
    print(f"download: {file.name}: {done / 1e6:,.1f} MB", flush=True)


def _tell(name: str, done: int, total: int | None, rate: float) -> None:
    share = f" of {total / 1e6:,.0f} MB ({done / total:.0%})" if total else " MB"
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"download: {name}: {done / 1e6:,.0f}{share}, {rate / 1e6:.1f} MB/s   ", end=end, flush=True)


def _brief(error: Exception) -> str:
    """The innermost reason of a failed request, without addresses and object ids."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return f"{type(cause).__name__}: {str(cause).split(' at 0x')[0]}"[:200]
