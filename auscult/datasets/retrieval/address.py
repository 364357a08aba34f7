"""Addresses: which ones are fetched from, and how one is shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from auscult.core.errors import DownloadError


def check_address(url: str) -> None:
    """Refuse every scheme but http and https, and an address that names no host and port.

    Raises
    ------
    DownloadError
        Naming the address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError as error:
        raise _no_address(url, "its host or port is malformed") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_address(url, "only http:// and https:// are")


def _no_address(url: str, why: str) -> DownloadError:
    return DownloadError(
        f"{shown(url)} is no address to download from: {why}",
        next_step="give an http(s) address, or the path of a folder or zip",
    )


def shown(url: str) -> str:
    """An address, sound or not, without what may be secret in it (user, password, query)."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"
