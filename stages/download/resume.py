"""What a download remembers of the server's file: enough to go on after a cut, or to see that it changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def remember(target: Path, url: str, answer_headers: Mapping[str, str]) -> None:
    """Keep the address and the server's mark of the file (strong ETag, else Last-Modified) beside *target*."""
    _file(target).write_text(json.dumps({"url": url, "mark": _mark(answer_headers)}), encoding="utf-8")


def forget(target: Path) -> None:
    """Drop what was kept."""
    _file(target).unlink(missing_ok=True)


def headers(target: Path, part: Path, url: str, *, verified: bool) -> dict[str, str]:
    """Ask for the rest of *part*, provided it is the same file at the same address still.

    Without a mark only a file whose checksum is known is gone on with: a mixture would be noticed.
    """
    marks = _read(target)
    size = part.stat().st_size if part.exists() else 0
    if not size or marks.get("url") != url or not (marks.get("mark") or verified):
        return {}
    request = {"Range": f"bytes={size}-"}
    return request | {"If-Range": marks["mark"]} if marks.get("mark") else request


def unchanged(target: Path, url: str, answer_headers: Mapping[str, str]) -> bool:
    """Whether an answer is about the very file that *target* was fetched from."""
    return _mark(answer_headers) != "" and _read(target) == {"url": url, "mark": _mark(answer_headers)}


def _mark(answer_headers: Mapping[str, str]) -> str:
    etag = answer_headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer_headers.get("Last-Modified", "")


def _file(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _read(target: Path) -> dict[str, str]:
    try:
        marks = json.loads(_file(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}
