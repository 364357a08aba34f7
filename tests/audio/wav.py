"""WAV files byte by byte, as recorders, editors and converters write them."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import soundfile

ID3 = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)


def encoded(sound: np.ndarray, subtype: str = "PCM_16", form: str = "WAV", rate: int = 4000, **options: Any) -> bytes:
    """Return a file as libsndfile writes it."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, subtype=subtype, format=form, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes = b"", *, pad: bool = True, size: int | None = None) -> bytes:
    stated = len(body) if size is None else size
    return name + struct.pack("<I", stated) + body + (b"\0" if pad and len(body) % 2 else b"")


def form(
    *, rate: int = 4000, channels: int = 1, bits: int = 16, tag: int = 1, align: int = 0, extra: bytes = b""
) -> bytes:
    """Return the chunk ``fmt``."""
    align = align or channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits) + extra)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def resized(content: bytes, size: int) -> bytes:
    """Return a file whose chunk ``data`` states another size."""
    at = content.index(b"data") + 4
    order = ">" if content[:4] == b"RIFX" else "<"
    return content[:at] + struct.pack(f"{order}I", size) + content[at + 4 :]


def unknown_length(flac: bytes) -> bytes:
    """Return a FLAC file that states no number of samples, as encoders to a pipe leave it."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
