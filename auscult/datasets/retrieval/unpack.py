"""Unpack a zip file that may be damaged or hostile.

Names, sizes and types are checked before the first byte is written, sizes and CRCs again while writing.
"""

from __future__ import annotations

import errno
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from auscult.core.errors import DownloadError

_BLOCK = 1 << 20
#: Exceptions that the standard library raises for damaged archives.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
#: System errors that a damaged archive causes, such as a negative offset.
_DAMAGED_ERRNO = (errno.EINVAL, errno.EIO)


class BadArchive(DownloadError):
    """The archive is damaged, hostile, or no zip file."""


@dataclass(frozen=True)
class Limits:
    """Upper limits of an archive.

    ``ratio`` limits unpacked per packed bytes, but only above ``free_bytes``: silence and annotations
    compress very well.
    """

    members: int = 200_000
    total_bytes: int = 64 * 10**9
    ratio: float = 100.0
    free_bytes: int = 10**9


def unpack(archive: Path, target: Path, limits: Limits | None = None) -> int:
    """Unpack a zip file into the folder *target* and return the number of files.

    After an error *target* contains a part of the files; the caller removes it.

    Raises
    ------
    BadArchive
        If it is no zip file, is damaged or truncated, or a member is outside the folder, a link or special file,
        encrypted, compressed unusually, or too large. The message names the member.
    DownloadError
        If it cannot be read, or the disk is too small.
    """
    target.mkdir(parents=True, exist_ok=True)
    with _opened(archive) as opened:
        with _reporting_damage(archive):
            members = [member for member in opened.infolist() if not member.is_dir()]
            places = _check(archive, opened.infolist(), limits or Limits())
        _check_space(archive, sum(member.file_size for member in members), target)
        for member in members:
            with _reporting_damage(archive, member):
                _write(archive, opened, member, target / places[member.filename])
    return len(members)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        file = archive.open("rb")
    except OSError as error:
        raise DownloadError(
            f"{archive.name} cannot be read: {error.strerror}",
            where=str(archive),
            next_step="make it readable, or give another source",
        ) from error
    with file:
        with _reporting_damage(archive):
            opened = zipfile.ZipFile(file)
        with opened:
            yield opened


@contextmanager
def _reporting_damage(archive: Path, member: zipfile.ZipInfo | None = None) -> Iterator[None]:
    """Turn errors of a damaged archive into ``BadArchive``; errors of the disk, such as a full one, are raised."""
    no_zip = "it is no zip file, or is damaged or truncated"
    try:
        yield
    except _DAMAGED as error:
        why = f"{no_zip} ({error})" if member is None else f"it cannot be unpacked ({error or 'truncated'})"
        raise _refuse(archive, why, member) from error
    except (FileExistsError, NotADirectoryError) as error:  # a file system that ignores case
        raise _refuse(archive, "two members have this name", member) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _refuse(archive, "its name is too long", member) from error
        if error.errno not in _DAMAGED_ERRNO:
            raise
        raise _refuse(archive, f"{no_zip} ({error})", member) from error


def _check(archive: Path, members: Iterable[zipfile.ZipInfo], limits: Limits) -> dict[str, PurePosixPath]:
    """Check all members; return name in the archive → path below the target."""
    places: dict[str, PurePosixPath] = {}
    files: set[PurePosixPath] = set()
    total = 0
    for count, member in enumerate(members, start=1):
        total += member.file_size
        if count > limits.members:
            raise _refuse(archive, f"it has more than {limits.members:,} members")
        if total > limits.total_bytes:
            raise _refuse(archive, f"it unpacks to more than {limits.total_bytes:,} bytes", member)
        place = _place(archive, member)
        _check_kind(archive, member)
        if place in files:
            raise _refuse(archive, "two members have this name", member)
        if not member.is_dir():
            files.add(place)
        places[member.filename] = place
    packed = archive.stat().st_size  # the sizes that members state may be wrong
    if total > limits.free_bytes and total > limits.ratio * packed:
        raise _refuse(archive, f"{packed:,} bytes would unpack to {total:,}: a zip bomb")
    for name, place in places.items():
        above = place.parents if not name.endswith("/") else (place, *place.parents)
        shadowed = next((folder for folder in above if folder in files), None)
        if shadowed is not None:
            raise _refuse(archive, f"{str(shadowed)!r} is a file and a folder at once")
    return places


def _place(archive: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of a member below the target."""
    # not filename, which zipfile truncates at a NUL
    name = _utf8(member.orig_filename, member).replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise _refuse(archive, "its name has control characters", member)
    if name.startswith("/") or (parts and len(parts[0]) >= 2 and parts[0][1] == ":") or ".." in parts or not parts:
        raise _refuse(archive, "it would be written outside the folder", member)
    if any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts):
        raise _refuse(archive, "its name is too long", member)
    return PurePosixPath(*parts)


def _utf8(name: str, member: zipfile.ZipInfo) -> str:
    """Return a name that macOS stores in UTF-8 without the flag for it, which zipfile therefore reads as cp437."""
    try:
        return name if member.flag_bits & 0x800 else name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _check_kind(archive: Path, member: zipfile.ZipInfo) -> None:
    """Refuse links, devices, encrypted members, and compression methods that can fill the memory."""
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise _refuse(archive, "it is a link", member)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refuse(archive, "it is neither a file nor a folder", member)
    if member.flag_bits & 0x1:
        raise _refuse(archive, "it is encrypted", member)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decompresses blocks of bzip2 and LZMA at once, however large they become.
        raise _refuse(archive, "its compression is not supported (only deflate is)", member)


def _check_space(archive: Path, total: int, target: Path) -> None:
    free = shutil.disk_usage(target).free
    if total > free:
        raise DownloadError(
            f"no space to unpack {archive.name}: it needs {total / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            where=str(target.parent),
            next_step="free some space and run the same command again",
        )


def _write(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write one member; reading it to its end checks its CRC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, path.open("xb") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)  # never more bytes than the member's stated size
    if (written := path.stat().st_size) != member.file_size:
        raise _refuse(archive, f"{written:,} bytes instead of {member.file_size:,}", member)


def _refuse(archive: Path, why: str, member: zipfile.ZipInfo | None = None) -> BadArchive:
    subject = f"member {member.filename!r}: {why}" if member is not None else why
    return BadArchive(
        f"{archive.name} is not unpacked: {subject}",
        where=str(archive),
        next_step="get the archive again, or unpack what you trust of it and give the folder as the source",
    )
