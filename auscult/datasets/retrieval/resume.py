"""What is known of a file that is being fetched: enough to verify it, to go on after a cut, or to see that it changed.

Of the server's file its address and mark are kept beside it, as ``<name>.json``; those of a file that is still being
fetched as ``<name>.part.json``, so that a cut update never speaks for the file that it was to replace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from auscult.datasets import RemoteFile


def size_of(path: Path) -> int:
    """Bytes of a file; none where there is no file."""
    return path.stat().st_size if path.exists() else 0


def mismatch(path: Path, file: RemoteFile) -> str | None:
    """How a file differs from what the publisher states, in words; ``None`` when it does not."""
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


def verified(file: RemoteFile) -> bool:
    """Whether a checksum is known that tells this file from any other."""
    return file.md5 is not None or file.sha256 is not None


def complete(part: Path, file: RemoteFile) -> bool:
    """Whether a run that was killed left all of it, lacking its name only; what is as long and wrong is removed."""
    if not part.exists() or not verified(file):
        return False
    if mismatch(part, file) is None:
        return True
    if file.size_bytes is not None and size_of(part) >= file.size_bytes:
        part.unlink()
    return False


def remember(path: Path, url: str, answer_headers: Mapping[str, str]) -> None:
    """Keep the address and the server's marks of the file beside *path*, the part or the whole."""
    marks = {"url": url, "mark": _mark(answer_headers), "seen": _seen(answer_headers)}
    _file(path).write_text(json.dumps(marks), encoding="utf-8")


def finish(part: Path, target: Path) -> None:
    """Give a whole part its name, and its marks with it.

    Killed in between, it leaves a file without marks, which is fetched again: never old content with new marks.
    """
    _file(target).unlink(missing_ok=True)
    part.replace(target)
    if _file(part).exists():
        _file(part).replace(_file(target))


def headers(file: RemoteFile, part: Path, url: str) -> dict[str, str]:
    """Ask for the rest of *part*.

    A file whose checksum is known is gone on with from any address: a mixture would be
    noticed, and what a mirror sent is not lost to another one. Any other file only while
    it is the same one at the same address.
    """
    size = size_of(part)
    marks = _read(part)
    if size and verified(file):
        return {"Range": f"bytes={size}-"}
    if size and marks.get("url") == url and marks.get("mark"):
        return {"Range": f"bytes={size}-", "If-Range": marks["mark"]}
    return {}


def kept(file: RemoteFile, part: Path, url: str, answer_headers: Mapping[str, str], total: int | None) -> int:
    """How many bytes of *part* stay when a server begins anew, as one does that cannot go on.

    What is there of the same file will be passed over, not written again, so that a
    second cut loses nothing.
    """
    marks, mark = _read(part), _mark(answer_headers)
    same = verified(file) or (mark != "" and marks.get("url") == url and marks.get("mark") == mark)
    return size_of(part) if same and (total is None or size_of(part) <= total) else 0


def fetched_from(target: Path) -> str | None:
    """The address that *target* came from, where that is known."""
    return _read(target).get("url")


def newer(target: Path, url: str, answer_headers: Mapping[str, str]) -> bool | None:
    """Whether the server has another file than *target* by now; ``None`` where it does not say."""
    seen = _seen(answer_headers)
    if not seen:
        return None
    marks = _read(target)
    return not (marks.get("url") == url and marks.get("seen") == seen)


def _mark(answer_headers: Mapping[str, str]) -> str:
    """What tells that bytes are the same: a strong ETag, else Last-Modified."""
    etag = answer_headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer_headers.get("Last-Modified", "")


def _seen(answer_headers: Mapping[str, str]) -> str:
    """What tells that the content is the same, for which a weak ETag does (RFC 9110, section 8.8.1)."""
    return answer_headers.get("ETag", "").removeprefix("W/") or answer_headers.get("Last-Modified", "")


def _file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read(path: Path) -> dict[str, str]:
    try:
        marks = json.loads(_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}
