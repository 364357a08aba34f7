"""Download one file: resumed after an interruption, retried, and verified before it is used.

A download grows as ``<name>.part``. The URL and the validators of the server (ETag or Last-Modified) are kept in
``<name>.part.json``, those of a complete and verified file in ``<name>.json``, so that the validators of an
interrupted update are never taken for those of the older file.

pooch 1.9 is not used because it cannot resume: it sends no ``Range`` request, and an interruption removes its
temporary file, so that each attempt for the 2 GB of ICBHI would begin at the first byte. It knows no mirrors, and
without a checksum it cannot tell whether the file on the server has changed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import requests

from auscult.core.errors import DownloadError
from auscult.core.locks import hold
from auscult.datasets import RemoteFile
from auscult.datasets.retrieval.source import check_url, redacted

_LOG = logging.getLogger(__name__)

#: Attempts per URL without progress, and the first pause between them, which doubles each time.
ATTEMPTS = 5
PAUSE_S = 1.0
_TIMEOUT_S = (15.0, 60.0)
_BLOCK = 1 << 14  # bytes that are lost at most in an interruption
_REPORT_EVERY_S = 15.0
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "auscult"}
#: Temporary HTTP errors; any other one is final for the URL.
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Refused(Exception):
    """The URL does not deliver the file; the text is the reason."""


class _Interrupted(Exception):
    """The transfer ended early; another attempt may continue it."""


class _CannotResume(_Interrupted):
    """The server cannot continue the partial file; the next attempt requests all of it."""


def download(file: RemoteFile, folder: Path, *, attempts: int = ATTEMPTS, pause_s: float = PAUSE_S) -> Path:
    """Return the verified file in *folder*; download it if it is missing, damaged or out of date.

    Raises
    ------
    DownloadError
        If no URL delivers the file, or its content is not as the publisher states. The message contains the
        reason for each URL, and both checksums if they differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if target.is_file():
        problem = _mismatch(target, file) or _changed(target, file)
        if problem is None:
            _LOG.info("download: %s is already in %s", file.name, folder)
            return target
        _LOG.info("download: downloading %s again: %s", target, problem)
    part = folder / f"{file.name}.part"
    busy = DownloadError(f"another run is downloading {file.name}", where=str(part), next_step="wait until it ends")
    with hold(part.with_name(f".{part.name}.lock"), busy=lambda _: busy):
        if _complete(part, file):
            _finish(part, target)
            return target
        reasons = []
        for url in file.urls:
            try:
                _download_from(url, file, part, attempts, pause_s)
            except _Refused as refusal:
                reasons.append(f"{redacted(url)}: {refusal}")
                _LOG.warning("download: %s", reasons[-1])
                continue
            _finish(part, target)
            return target
    raise DownloadError(
        f"{file.name} could not be downloaded:\n  - " + "\n  - ".join(reasons),
        where=str(part if part.exists() else folder),
        next_step="run the same command again (it resumes the download), or give your own copy: "
        "auscult run --dataset NAME --source FOLDER_ZIP_OR_URL",
    )


def _download_from(url: str, file: RemoteFile, part: Path, attempts: int, pause_s: float) -> None:
    """Download the file from one URL and verify it; a wrong file is removed."""
    check_url(url)
    idle, losses, resume = 0, 0, True
    mixed, restarted = _size(part) > 0, False
    while True:
        before = _size(part)
        try:
            _request(url, file, part, resume=resume)
            problem = _mismatch(part, file)
            if problem is None:
                return
            part.unlink()
            if restarted or not mixed:
                raise _Refused(f"the content is not the publisher's file and was removed: {problem}")
            restarted = True  # the partial file may have been of another version: once more, from the start
            _LOG.info("download: %s: %s; restarting from the first byte", file.name, problem)
        except _Interrupted as interruption:
            # Progress is measured from the previous attempt, as the server may have started another file.
            # Attempts that lose bytes are counted, so that this ends even if it happens each time.
            idle = 1 if _size(part) > before else idle + 1
            losses += _size(part) < before
            mixed = mixed or _size(part) > 0
            resume = not isinstance(interruption, _CannotResume)
            if max(idle, losses) >= attempts:
                raise _Refused(f"gave up after {attempts} attempts without progress: {interruption}") from interruption
            _LOG.info("download: %s: %s; trying again", file.name, interruption)
            time.sleep(pause_s * 2 ** (idle - 1))


def _request(url: str, file: RemoteFile, part: Path, *, resume: bool) -> None:
    """Send one request, for the rest of the partial file if *resume*.

    Raises
    ------
    _Interrupted
        If the transfer ended early or the server is busy.
    _Refused
        If another attempt would fail as well.
    """
    headers = _HEADERS | (_range_headers(file, part, url) if resume else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            _receive(response, url, file, part)
    except requests.exceptions.SSLError as error:
        if isinstance(_innermost(error), ssl.SSLCertVerificationError):
            raise _Refused(f"its certificate is not valid (expired?): {_brief(error)}") from error
        raise _Interrupted(_brief(error)) from error
    except ValueError as error:  # a malformed URL, also one that a server redirects to
        raise _Refused(f"not a valid URL: {_brief(error)}") from error
    except requests.exceptions.TooManyRedirects as error:
        raise _Refused("too many redirects") from error
    except requests.exceptions.RequestException as error:
        raise _Interrupted(_brief(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"no space left on the disk while downloading {file.name}",
                where=str(part),
                next_step="free some space and run the same command again; it resumes the download",
            ) from error
        raise


def _receive(response: requests.Response, url: str, file: RemoteFile, part: Path) -> None:
    """Append the body of a response to the partial file."""
    size = _size(part)
    if size and response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{size}":
        return  # complete: an earlier run was killed before it renamed the file
    start = _start(response, size)
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
    if file.size_bytes is not None and total is not None and total != file.size_bytes:
        raise _Refused(f"the server has another file of {total:,} bytes, expected {file.size_bytes:,}")
    have = start or _reusable(file, part, url, response.headers, total)
    _remember(part, url, response.headers)
    with part.open("ab" if have else "wb") as stream:
        _copy(response, stream, file, start, total)


def _start(response: requests.Response, size: int) -> int:
    """Return the offset at which the body of a response starts: *size* or zero."""
    if response.status_code == 416:
        raise _CannotResume("the server cannot resume the download")
    if response.status_code in _TEMPORARY:
        raise _Interrupted(f"the server answered {response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise _Refused(f"the server answered {response.status_code} {response.reason}")
    if response.status_code == 200:
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        raise _CannotResume("the server resumed at another position")
    return size


def _copy(response: requests.Response, stream: IO[bytes], file: RemoteFile, start: int, total: int | None) -> None:
    """Append the part of the body that is not in the file yet, and log the progress."""
    done, have, begun = start, stream.tell(), time.monotonic()
    reported = begun
    for block in response.iter_content(_BLOCK):
        done += len(block)
        if done > have:
            stream.write(block[-min(len(block), done - have) :])
        if file.size_bytes is not None and done > file.size_bytes:
            stream.truncate(have)
            raise _Refused(f"the server sends more than the expected {file.size_bytes:,} bytes")
        if time.monotonic() - reported >= _REPORT_EVERY_S:
            reported = time.monotonic()
            share = f" of {total / 1e6:,.0f} MB ({done / total:.0%})" if total else " MB"
            rate = (done - start) / (reported - begun)
            _LOG.info("download: %s: %s%s, %.1f MB/s", file.name, f"{done / 1e6:,.0f}", share, rate / 1e6)
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done:,} of {total:,} bytes")
    if done < have:
        raise _Interrupted(f"the response ended after {done:,} bytes, fewer than the {have:,} received before")
    _LOG.info("download: %s: %s MB", file.name, f"{done / 1e6:,.1f}")


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _brief(error: Exception) -> str:
    """Return the innermost reason of a failed request, without URLs and object ids."""
    cause = _innermost(error)
    return f"{type(cause).__name__}: {str(cause).split(' at 0x')[0]}"[:200]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_checksum(file: RemoteFile) -> bool:
    return file.md5 is not None or file.sha256 is not None


def _mismatch(path: Path, file: RemoteFile) -> str | None:
    """Describe how a file differs from what the publisher states; ``None`` if it does not."""
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        return f"size is {size:,} bytes, expected {file.size_bytes:,}"
    if size == 0:
        return "it is empty"
    for algorithm, expected in (("md5", file.md5), ("sha256", file.sha256)):
        if expected is not None:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm).hexdigest()
            if found != expected.lower():
                return f"{algorithm} is {found}, expected {expected}"
    return None


def _complete(part: Path, file: RemoteFile) -> bool:
    """Return whether a killed run downloaded all of the file; a wrong file of full length is removed."""
    if not part.exists() or not _has_checksum(file):
        return False
    if _mismatch(part, file) is None:
        return True
    if file.size_bytes is not None and _size(part) >= file.size_bytes:
        part.unlink()
    return False


def _changed(target: Path, file: RemoteFile) -> str | None:
    """Ask the server whether it has a newer file, if no checksum is known; no answer counts as no."""
    if _has_checksum(file) or not file.urls:
        return None
    stored = _validators(target)
    url = stored.get("url")
    if url not in file.urls:
        url = file.urls[0]
    check_url(url)
    try:
        with requests.get(url, headers=_HEADERS, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code != 200:
                return None
            seen = _weak_validator(response.headers)
    except requests.exceptions.RequestException as error:
        _LOG.warning("download: cannot ask %s for a newer file (%s)", redacted(url), _brief(error))
        return None
    if not seen:
        _LOG.info(
            "download: %s does not state whether the file changed; to download it again, remove %s",
            redacted(url),
            target,
        )
        return None
    return None if stored.get("url") == url and stored.get("seen") == seen else "the server has another version"


def _range_headers(file: RemoteFile, part: Path, url: str) -> dict[str, str]:
    """Return the headers that request the rest of *part*.

    With a known checksum any URL may continue the file: a mixture of versions would be noticed. Without one, only
    the same URL with the same version may.
    """
    size, stored = _size(part), _validators(part)
    if size and _has_checksum(file):
        return {"Range": f"bytes={size}-"}
    if size and stored.get("url") == url and stored.get("mark"):
        return {"Range": f"bytes={size}-", "If-Range": stored["mark"]}
    return {}


def _reusable(file: RemoteFile, part: Path, url: str, headers: Mapping[str, str], total: int | None) -> int:
    """Return how many bytes of *part* are kept when the server sends the file from its first byte.

    Bytes of the same file are skipped, not written again, so that a second interruption loses nothing.
    """
    stored, mark = _validators(part), _strong_validator(headers)
    same = _has_checksum(file) or (mark != "" and stored.get("url") == url and stored.get("mark") == mark)
    return _size(part) if same and (total is None or _size(part) <= total) else 0


def _remember(part: Path, url: str, headers: Mapping[str, str]) -> None:
    """Store the URL and the validators of the file beside *part*."""
    stored = {"url": url, "mark": _strong_validator(headers), "seen": _weak_validator(headers)}
    _validators_file(part).write_text(json.dumps(stored), encoding="utf-8")


def _finish(part: Path, target: Path) -> None:
    """Rename a complete file, then its validators.

    A kill in between leaves a file without validators, which is downloaded again, never old content with new ones.
    """
    _validators_file(target).unlink(missing_ok=True)
    part.replace(target)
    if _validators_file(part).exists():
        _validators_file(part).replace(_validators_file(target))


def _strong_validator(headers: Mapping[str, str]) -> str:
    """Return what identifies the bytes of a file: a strong ETag, else Last-Modified."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _weak_validator(headers: Mapping[str, str]) -> str:
    """Return what identifies the content, for which a weak ETag suffices (RFC 9110, section 8.8.1)."""
    return headers.get("ETag", "").removeprefix("W/") or headers.get("Last-Modified", "")


def _validators_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _validators(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(_validators_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
