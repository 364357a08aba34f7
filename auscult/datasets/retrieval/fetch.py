"""Fetching one file: resumed after a cut, retried, and verified before anyone reads it.

A download grows as ``<name>.part``; beside it the address and the server's marks of the file
are kept (see :mod:`auscult.datasets.retrieval.resume`). It gets its own name when its size and checksum
are right.
"""

from __future__ import annotations

import errno
import fcntl
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from auscult.core.errors import DownloadError
from auscult.datasets import RemoteFile
from auscult.datasets.retrieval import resume
from auscult.datasets.retrieval.address import check_address, shown

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


class _Unfit(_Cut):
    """The server's answer does not go on from what is there; another try asks for all of it."""


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
        problem = resume.mismatch(target, file) or _changed(target, file)
        if problem is None:
            print(f"download: {file.name} is already in {folder}", flush=True)
            return target
        print(f"download: fetching {target} again: {problem}", flush=True)
    part = folder / f"{file.name}.part"
    with _alone(part):
        if resume.complete(part, file):
            resume.finish(part, target)
            return target
        reasons = []
        for url in file.urls:
            try:
                _fetch_from(url, file, part, attempts, pause_s)
            except _Refused as refusal:
                reasons.append(f"{shown(url)}: {refusal}")
                print(f"download: {reasons[-1]}", flush=True)
                continue
            resume.finish(part, target)
            return target
    raise DownloadError(
        f"{file.name} could not be fetched:\n  - " + "\n  - ".join(reasons),
        where=str(part if part.exists() else folder),
        next_step="run the same command again (it goes on where it stopped), or give your own copy: "
        "make repro DATASET=<name> SOURCE=<folder, zip or URL>",
    )


def _changed(target: Path, file: RemoteFile) -> str | None:
    """Whether the server has another file by now; asked only where no checksum tells. No answer counts as no."""
    import requests

    if resume.verified(file) or not file.urls:
        return None
    earlier = resume.fetched_from(target)
    url = earlier if earlier in file.urls else file.urls[0]
    check_address(url)
    try:
        with requests.get(url, headers=_HEADERS, stream=True, timeout=_TIMEOUT_S) as answer:
            newer = resume.newer(target, url, answer.headers) if answer.status_code == 200 else False
    except requests.exceptions.RequestException as error:
        print(f"download: {shown(url)} cannot be asked for a newer file ({_brief(error)})", flush=True)
        return None
    if newer is None:
        print(f"download: {shown(url)} does not say whether it changed; to fetch it anew, remove {target}", flush=True)
    return "the server has another one" if newer else None


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
    idle, losses, rest_only = 0, 0, True
    mixed, again = resume.size_of(part) > 0, False
    while True:
        before = resume.size_of(part)
        try:
            _transfer(url, file, part, rest_only=rest_only)
            problem = resume.mismatch(part, file)
            if problem is None:
                return
            part.unlink()
            if again or not mixed:
                raise _Refused(f"what came is not the publisher's file and was removed: {problem}")
            again = True  # the beginning may have been another file's: once more, from the start
            print(f"download: {file.name}: {problem}; once more from the start", flush=True)
        except _Cut as cut:
            # Compared with the try before, not with the furthest ever: the server may have begun another file.
            # That it does so again and again must end too, so these tries are counted.
            idle = 1 if resume.size_of(part) > before else idle + 1
            losses += resume.size_of(part) < before
            mixed = mixed or resume.size_of(part) > 0
            rest_only = not isinstance(cut, _Unfit)
            if max(idle, losses) >= attempts:
                raise _Refused(f"gave up after {attempts} tries without progress: {cut}") from cut
            print(f"download: {file.name}: {cut}; trying again", flush=True)
            time.sleep(pause_s * 2 ** (idle - 1))


def _transfer(url: str, file: RemoteFile, part: Path, *, rest_only: bool) -> None:
    """One request, from the end of what is there already where *rest_only*.

    Raises
    ------
    _Cut
        It ended early, or the server is busy.
    _Refused
        Another try would end the same way.
    """
    import requests

    headers = _HEADERS | (resume.headers(file, part, url) if rest_only else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            _receive(answer, url, file, part)
    except requests.exceptions.SSLError as error:
        if isinstance(_innermost(error), ssl.SSLCertVerificationError):
            raise _Refused(f"its certificate is not valid (expired?), so it is not trusted: {_brief(error)}") from error
        raise _Cut(_brief(error)) from error  # a connection that broke off, as others do
    except ValueError as error:  # what requests and urllib say of an address, also of one that a server leads to
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


def _receive(answer: Response, url: str, file: RemoteFile, part: Path) -> None:
    """Append what an answer brings to what is there."""
    size = resume.size_of(part)
    if size and answer.status_code == 416 and answer.headers.get("Content-Range") == f"bytes */{size}":
        return  # all of it is there: an earlier run was killed before it gave it its name
    start = _start_of(answer, size)
    total = _total(answer, start)
    if file.size_bytes is not None and total is not None and total != file.size_bytes:
        raise _Refused(f"the server has another file of {total:,} bytes, expected {file.size_bytes:,}")
    have = start or resume.kept(file, part, url, answer.headers, total)
    resume.remember(part, url, answer.headers)
    with part.open("ab" if have else "wb") as stream:
        _copy(answer, stream, file, start, total)


def _start_of(answer: Response, size: int) -> int:
    """The byte from which the answer's body goes on: *size*, or zero."""
    if answer.status_code == 416:
        raise _Unfit("the server could not go on from where it stopped")
    if answer.status_code in _PASSING:
        raise _Cut(f"the server answered {answer.status_code} {answer.reason}")
    if answer.status_code not in (200, 206):
        raise _Refused(f"the server answered {answer.status_code} {answer.reason}")
    if answer.status_code == 200:
        return 0
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        raise _Unfit("the server went on from another place")
    return size


def _total(answer: Response, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None


def _copy(answer: Response, stream: IO[bytes], file: RemoteFile, start: int, total: int | None) -> None:
    """Append what of the answer's body is not there yet, with a line about the progress."""
    done, have, begun, told = start, stream.tell(), time.monotonic(), 0.0
    step_s = 0.5 if sys.stdout.isatty() else 15.0
    for block in answer.iter_content(_BLOCK):
        done += len(block)
        if done > have:
            stream.write(block[-min(len(block), done - have) :])
        if file.size_bytes is not None and done > file.size_bytes:
            stream.truncate(have)
            raise _Refused(f"the server sends more than the expected {file.size_bytes:,} bytes")
        if time.monotonic() - max(told, begun) >= step_s:
            told = time.monotonic()
            _tell(file.name, done, total, (done - start) / (told - begun))
    if total is not None and done < total:
        raise _Cut(f"the connection ended after {done:,} of {total:,} bytes")
    if done < have:
        raise _Cut(f"the answer ended after {done:,} bytes, of which {have:,} are there already")
    print(f"download: {file.name}: {done / 1e6:,.1f} MB", flush=True)


def _tell(name: str, done: int, total: int | None, rate: float) -> None:
    share = f" of {total / 1e6:,.0f} MB ({done / total:.0%})" if total else " MB"
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"download: {name}: {done / 1e6:,.0f}{share}, {rate / 1e6:.1f} MB/s   ", end=end, flush=True)


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _brief(error: Exception) -> str:
    """The innermost reason of a failed request, without addresses and object ids."""
    cause = _innermost(error)
    return f"{type(cause).__name__}: {str(cause).split(' at 0x')[0]}"[:200]
