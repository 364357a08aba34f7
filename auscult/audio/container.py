"""Open audio files: check the container, and decode to samples.

libsndfile reads a truncated WAV file without an error, and opens any format under any file name, so
:func:`check_container` reads the bytes itself. :func:`decode` unpacks 24-bit WAV files, the format of most of
ICBHI, in a third of libsndfile's time and to the same bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.core.errors import DataError
from auscult.core.reject_reasons import Problem

#: File name extension → first bytes; files with other extensions are not checked.
_MAGIC = {".wav": (b"RIFF", b"RF64", b"RIFX"), ".flac": (b"fLaC",)}
#: First bytes of other files → what they are.
_OTHERS = {
    b"RIFF": "a RIFF file",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"FORM": "AIFF",
    b"version https://git-lfs": "a Git LFS pointer (run `git lfs pull` where the copy came from)",
}
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF)  # written by programs that write to a pipe
_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_SUBFORMAT = b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"


def check_container(path: Path) -> Problem | None:
    """Compare the first bytes of a file with its extension, and the size in its header with the real one.

    Returns
    -------
    Problem or None
        ``unreadable`` for an empty file, ``wrong_content``, or ``truncated`` (WAV only;
        a truncated FLAC file is found when it is decoded).
    """
    size = path.stat().st_size
    if size == 0:
        return Problem("unreadable", "the file is empty")
    with path.open("rb") as file:
        head = file.read(64)
    ending = path.suffix.lower()
    if ending not in _MAGIC:
        return None
    if not head.startswith(_MAGIC[ending]) or (ending == ".wav" and head[8:12] != b"WAVE"):
        if len(head) < 12:
            return Problem("truncated", f"the file holds {size} bytes, less than a header")
        return Problem("wrong_content", f"named {path.suffix}, but its content is {_describe(head)}")
    return _wav_truncation(path, size) if ending == ".wav" else None


def _describe(head: bytes) -> str:
    if head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # frame synchronisation
        return "MP3"
    if head[4:8] == b"ftyp":
        return "MP4"
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return name
    if not head.strip(b"\0"):
        return "zero bytes"
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "no known audio format"


def _wav_truncation(path: Path, size: int) -> Problem | None:
    """Compare the size of the chunk ``data`` with the size of the file."""
    with path.open("rb") as file:
        order = ">" if file.read(4) == b"RIFX" else "<"
        wide = 0
        for name, length in _chunks(file, order):
            present = size - file.tell()
            if name == b"ds64":  # contains the 64-bit sizes of an RF64 file
                wide = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            if name == b"data":
                stated = wide or length
                if present >= stated or (length in _UNKNOWN_SIZES and not wide):
                    return None
                return Problem("truncated", f"the header states {stated} bytes of audio, the file holds {present}")
    return Problem("truncated", f"the file ends at {size} bytes, before its audio begins")


def _chunks(file: BinaryIO, order: str = "<") -> Iterator[tuple[bytes, int]]:
    """Yield name and size of each chunk of a RIFF file, the file at the start of its content."""
    position = 12
    file.seek(position)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, size
        position += 8 + size + size % 2
        file.seek(position)


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode an audio file.

    Returns
    -------
    samples
        Shape (n, channels), full scale is 1.
    sample_rate_hz
        As stored.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        samples, rate = read_wav24(path) or soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(
            f"{path.name} can no longer be read: {error}",
            where=str(path),
            next_step="restore the file, or run: dvc repro --force validate",
        ) from error
    return samples, int(rate)


def read_wav24(path: Path) -> tuple[NDArray[np.float32], int] | None:
    """Read a 24-bit PCM WAV file, as :func:`decode` does; ``None`` for every other or irregular file."""
    from auscult.audio.compiled import unpack24  # numba: loaded only if needed

    form = b""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        for name, size in _chunks(file):
            if name == b"data":
                break
            if name == b"fmt ":
                form = file.read(min(size, 40))
        else:
            return None
        kind, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16].ljust(16, b"\0"))
        pcm = kind == _PCM or (kind == _EXTENSIBLE and form[24:40] == _PCM_SUBFORMAT)
        if not pcm or bits != 24 or align != 3 * channels or not channels:
            return None
        packed = np.empty(size, dtype=np.uint8)
        complete = file.readinto(packed.data) == size
    if not complete or size % align or not size:
        return None
    samples = np.empty(size // 3, dtype=np.float32)
    unpack24(packed, samples)
    return samples.reshape(-1, channels), rate
