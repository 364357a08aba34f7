"""Addresses: which ones are fetched from, and how one is shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from stages.errors import DownloadError


def check_address(url: str) -> None:
    """Refuse every scheme but http and https.

    Raises
    ------
    DownloadError
        Naming the scheme.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(
            f"{shown(url)} is no address to download from: only http:// and https:// are",
            next_step="give an http(s) address, or the path of a folder or zip",
        )


def shown(url: str) -> str:
    """An address without what may be secret in it (user, password, query)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}" if host else url
