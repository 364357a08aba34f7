"""Decode a recording once to measure, hash and fingerprint it, and to find what is wrong with it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.audio.container import Rejected
from auscult.audio.fingerprint import fingerprint
from auscult.audio.reader import Recording, problem_of
from auscult.core.digests import file_sha256
from auscult.core.reject_reasons import Problem
from auscult.core.sections import ValidateParams

_BLOCK = 1 << 18  # samples measured at a time


@dataclass(frozen=True)
class Audio:
    """Properties of a decoded file.

    Attributes
    ----------
    sha256
        Of the file's bytes.
    audio_sha256
        Of the float32 samples, the rate and the number of channels: equal for 16 bits as WAV,
        as FLAC, and padded to 24 bits.
    duration_s
        Length of the decoded audio (s).
    hashes, times
        Landmark fingerprint, see :func:`auscult.audio.fingerprint.fingerprint`.
    notes
        What is unusual about the file and no fault.
    """

    sha256: str
    audio_sha256: str
    sample_rate_hz: int
    channels: int
    subtype: str
    duration_s: float
    hashes: NDArray[np.int64]
    times: NDArray[np.int64]
    notes: tuple[str, ...] = ()


class _Measured:
    """Totals of each channel over the blocks of a file, and the digest of its samples."""

    def __init__(self, recording: Recording) -> None:
        self._clipped_from = recording.clipped_from
        self.digest = hashlib.sha256(f"{recording.sample_rate_hz} {recording.channels}\n".encode())
        self.at_full_scale = np.zeros(recording.channels, dtype=np.int64)
        self.not_finite = 0
        self.lowest = np.full(recording.channels, np.inf)
        self.highest = -self.lowest

    def add(self, block: NDArray[np.float32]) -> None:
        """Add a block (n, channels)."""
        self.digest.update(block.tobytes() if not block.flags.c_contiguous else block.data)
        self.at_full_scale += np.count_nonzero(np.abs(block) >= self._clipped_from, axis=0)
        self.not_finite += block.size - int(np.count_nonzero(np.isfinite(block)))
        if block.shape[1] > 1:
            self.lowest = np.minimum(self.lowest, block.min(axis=0))
            self.highest = np.maximum(self.highest, block.max(axis=0))

    def used(self, recording: Recording) -> NDArray[np.bool_]:
        """Return which channels the mono audio consists of: a constant one adds no sound."""
        if recording.channel is not None:
            return np.arange(recording.channels) == recording.channel
        sounding: NDArray[np.bool_] = self.highest > self.lowest
        return sounding if sounding.any() else ~sounding


def inspect(path: Path, params: ValidateParams) -> tuple[Audio | None, list[Problem]]:
    """Decode an audio file and check it.

    Parameters
    ----------
    path
        The file.
    params
        Limits of length, level and clipping.

    Returns
    -------
    audio
        ``None`` if the file was not decoded to its end.
    problems
        Empty if nothing is wrong.
    """
    try:
        if not path.is_file():
            return None, [Problem("missing_audio", f"there is no file {path.name}")]
        return _decoded(path, params)
    except (Rejected, OSError, UnicodeEncodeError) as error:
        return None, [problem_of(error)]


def _decoded(path: Path, params: ValidateParams) -> tuple[Audio, list[Problem]]:
    """Do the same for a file that exists; raise what :class:`Recording` raises."""
    recording = Recording(path, params.max_duration_s)
    measured = _Measured(recording)
    mono = recording.mono(measured.add)
    hashes = times = np.zeros(0, dtype=np.int64)
    if len(mono) and not measured.not_finite:
        hashes, times = fingerprint(mono, recording.sample_rate_hz)
    return Audio(
        sha256=file_sha256(path),
        audio_sha256=measured.digest.hexdigest(),
        sample_rate_hz=recording.sample_rate_hz,
        channels=recording.channels,
        subtype=recording.subtype,
        duration_s=len(mono) / recording.sample_rate_hz,
        hashes=hashes,
        times=times,
        notes=tuple(recording.notes),
    ), _problems(recording, measured, mono, params)


def _problems(
    recording: Recording, measured: _Measured, mono: NDArray[np.float32], params: ValidateParams
) -> list[Problem]:
    problems = []
    duration = len(mono) / recording.sample_rate_hz
    if duration < params.min_duration_s:
        problems.append(Problem("too_short", f"{duration:.4g} s, at least {params.min_duration_s:g} s are required"))
    if measured.not_finite:
        samples = len(mono) * recording.channels
        problems.append(Problem("not_finite", f"{measured.not_finite} of {samples} samples"))
        return problems
    if not len(mono):
        return problems
    level = _level_dbfs(mono)
    if level < params.silence_dbfs:
        shown = "no sound at all" if level == -math.inf else f"{level:.1f} dBFS"
        problems.append(Problem("silent", f"{shown}, the limit is {params.silence_dbfs:g} dBFS"))
    share = float(measured.at_full_scale[measured.used(recording)].mean()) / len(mono)
    if share > params.max_clipped_share:
        problems.append(Problem("clipped", f"{share:.1%} of the samples at full scale"))
    return problems


def _level_dbfs(mono: NDArray[np.float32]) -> float:
    """Return the level around the mean, as a constant offset is inaudible; in blocks, which bounds the memory."""
    total = squares = 0.0
    for first in range(0, len(mono), _BLOCK):
        wide = mono[first : first + _BLOCK].astype(np.float64)
        total += float(wide.sum())
        squares += float(np.square(wide).sum())
    variance = max(squares / len(mono) - (total / len(mono)) ** 2, 0.0)
    return 10.0 * math.log10(variance) if variance > 1e-30 else -math.inf
