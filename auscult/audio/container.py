"""What an audio file's first bytes say, before any decoder touches it.

libsndfile reads as much as there is of a cut WAV file without a word, and opens
whatever it recognises under any name; both must be found from the bytes themselves.
"""

from __future__ import annotations

import struct
from pathlib import Path

from auscult.core.reject_reasons import Problem

#: Ending → (offset, magic bytes, name); other endings are left to the decoder.
_MAGIC = {
    ".wav": ((0, b"RIFF", "WAV"), (0, b"RF64", "WAV"), (0, b"RIFX", "WAV")),
    ".flac": ((0, b"fLaC", "FLAC"),),
}
_OTHERS = (
    (0, b"RIFF", "a RIFF file"),
    (0, b"fLaC", "FLAC"),
    (0, b"ID3", "MP3"),
    (0, b"OggS", "Ogg"),
    (4, b"ftyp", "MP4"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"FORM", "AIFF"),
    (0, b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull` where the copy came from)"),
)
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF)  # what a writer to a pipe leaves


def check_container(path: Path) -> Problem | None:
    """Compare a file's first bytes with its ending, and its promised size with its real one.

    Returns
    -------
    Problem or None
        ``unreadable`` for an empty file, ``wrong_content``, or ``truncated`` (WAV only;
        a cut FLAC file shows when it is decoded).
    """
    size = path.stat().st_size
    if size == 0:
        return Problem("unreadable", "the file is empty")
    with path.open("rb") as file:
        head = file.read(64)
    expected = _MAGIC.get(path.suffix.lower())
    if expected is None:
        return None
    if not any(_matches(head, *magic[:2]) for magic in expected) or (expected[0][2] == "WAV" and head[8:12] != b"WAVE"):
        if len(head) < 12:
            return Problem("truncated", f"the file holds {size} bytes, less than a header")
        return Problem("wrong_content", f"named {path.suffix}, but its content is {_describe(head)}")
    return _wav_truncation(path, size) if expected[0][2] == "WAV" else None


def promised_flac_frames(path: Path) -> int:
    """Number of samples per channel that a FLAC file's STREAMINFO promises; 0 when it does not say."""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:4] != b"fLaC":
        return 0
    return int.from_bytes(head[21:26], "big") & ((1 << 36) - 1)


def _matches(head: bytes, offset: int, magic: bytes) -> bool:
    return head[offset : offset + len(magic)] == magic


def _describe(head: bytes) -> str:
    if head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # frame synchronisation
        return "MP3"
    for offset, magic, name in _OTHERS:
        if _matches(head, offset, magic):
            return name
    if not head.strip(b"\0"):
        return "zero bytes"
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "no known audio format"


def _wav_truncation(path: Path, size: int) -> Problem | None:
    """Walk the chunks as far as ``data`` and compare its size with what the file holds."""
    with path.open("rb") as file:
        order = ">" if file.read(4) == b"RIFX" else "<"
        position, wide = 12, 0
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack(f"{order}4sI", file.read(8))
            if name == b"ds64":  # RF64 keeps the true sizes here
                wide = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            if name == b"data":
                if length in _UNKNOWN_SIZES and not wide:
                    return None
                promised, present = wide or length, size - position - 8
                if present >= promised:
                    return None
                return Problem("truncated", f"the header promises {promised} bytes of audio, the file holds {present}")
            position += 8 + length + length % 2
    return Problem("truncated", f"the file ends at {size} bytes, before its audio begins")
