"""Content-addressed cache of arrays, one file per recording, shared by ``resample`` and ``features``.

A *namespace* is a folder, named by a key of the parameters and the code that compute its arrays. The file name of
an entry begins with the checksum of the recording's file, so all entries of a recording can be found, and removed,
from the manifest. Entries are written atomically and verified on reading; a damaged entry counts as absent. Deleting
any part of the cache at any time, or sharing it between runs, changes no result.

Only the most recently used namespaces are kept (:func:`prune`).
"""

from __future__ import annotations

import json
import os
import shutil
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.core.digests import code_digest, digest
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import replacing_file

_HEADER_BYTES = 256
_SUFFIX = ".f32"
_KEEP_NAMESPACES = 8
_KEEP_DAYS = 30
_STALE_PART_S = 86400.0


@dataclass(frozen=True)
class Entry:
    """A cached array (float32) and the key of its content."""

    array: NDArray[np.float32]
    key: str


def content_key(sha256: str, shape: tuple[int, ...], crc32: int) -> str:
    """Return the key of the content of an array.

    A CRC suffices: it only has to distinguish the few arrays that versions of code and parameters compute from
    one recording.
    """
    return digest(sha256, list(shape), crc32)


def namespace(settings: object, modules: tuple[str, ...], libraries: tuple[str, ...]) -> str:
    """Return the name of a namespace: a key of *settings*, the source of *modules* and versions of *libraries*."""
    return digest(settings, code_digest(*modules), {name: version(name) for name in libraries})


class ArrayCache:
    """The arrays of one kind in one namespace.

    Parameters
    ----------
    kind
        Folder in the cache, such as ``audio`` or ``logmel``.
    name
        A :func:`namespace`.
    """

    def __init__(self, kind: str, name: str) -> None:
        self._folder = CACHE_DIR / kind / name
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a cache that can only be read keeps its time; put() names what it cannot write
            os.utime(self._folder)
        prune(self._folder.parent)

    def _path(self, sha256: str, part: str) -> Path:
        return self._folder / f"{sha256}{'-' if part else ''}{part}{_SUFFIX}"

    def get(self, sha256: str, part: str = "") -> Entry | None:
        """Return the entry of a recording, or ``None`` if it is absent, truncated or altered."""
        try:
            with self._path(sha256, part).open("rb") as file:
                header = json.loads(file.read(_HEADER_BYTES))
                array = np.empty([int(n) for n in header["shape"]], dtype=np.float32)
                view = array.reshape(-1).view(np.uint8).data
                complete = file.readinto(view) == array.nbytes and not file.read(1)
        except (OSError, ValueError, KeyError, TypeError, MemoryError):
            return None
        if not complete or zlib.crc32(view) != header["crc32"]:
            return None
        return Entry(array, content_key(sha256, array.shape, header["crc32"]))

    def put(self, sha256: str, array: NDArray[np.float32], part: str = "") -> Entry:
        """Store an array; concurrent runs may store the same entry."""
        block = np.ascontiguousarray(array, dtype=np.float32)
        data = block.reshape(-1).view(np.uint8).data
        crc32 = zlib.crc32(data)
        header = json.dumps({"shape": list(block.shape), "crc32": crc32})
        with replacing_file(self._path(sha256, part)) as scratch, scratch.open("wb", buffering=0) as file:
            file.write(header.encode().ljust(_HEADER_BYTES))
            written = 0
            while written < len(data):  # an unbuffered write may write only a part
                written += file.write(data[written:])
        return Entry(block, content_key(sha256, block.shape, crc32))


def forget(sha256: str) -> int:
    """Remove all entries of the recording whose file has this checksum; return how many there were."""
    if len(sha256) != 64 or not sha256.isalnum():
        raise ValueError(f"not a checksum: {sha256!r}")
    entries = list(CACHE_DIR.glob(f"*/*/{sha256}*{_SUFFIX}"))
    for entry in entries:
        entry.unlink(missing_ok=True)
    return len(entries)


def prune(kind: Path) -> None:
    """Remove namespaces unused for 30 days, all but the 8 used last, and partial files of killed runs."""
    now = time.time()
    folders = sorted(((_mtime(f), f) for f in kind.iterdir() if f.is_dir()), reverse=True)
    for position, (used, folder) in enumerate(folders):
        if position >= _KEEP_NAMESPACES or now - used > _KEEP_DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            for part in folder.glob(".*.part"):
                if now - _mtime(part) > _STALE_PART_S:
                    part.unlink(missing_ok=True)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()  # another run has just removed it
