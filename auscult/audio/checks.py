"""Decode a recording once to measure, hash and fingerprint it, and to find what is wrong with it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.audio.container import check_container
from auscult.audio.fingerprint import fingerprint
from auscult.core.digests import file_sha256
from auscult.core.reject_reasons import Problem
from auscult.core.sections import ValidateParams

_BLOCK = 1 << 18  # frames decoded at a time
_UNKNOWN = 2**63 - 1  # frames, if the header does not state them
#: Threshold of clipping: the highest code of 8 bits and more, and float samples of one and more.
_FULL_SCALE = 0.9999
#: Outside these ranges the header is damaged, or the file is no recording of breathing.
RATES_HZ = (1000, 384000)
CHANNELS = (1, 16)


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
    """

    sha256: str
    audio_sha256: str
    sample_rate_hz: int
    channels: int
    subtype: str
    duration_s: float
    hashes: NDArray[np.int64]
    times: NDArray[np.int64]


@dataclass
class _Measured:
    """Running totals over the blocks of a file."""

    frames: int = 0
    samples: int = 0
    at_full_scale: int = 0
    not_finite: int = 0
    total: float = 0.0
    squares: float = 0.0
    mono: list[NDArray[np.float32]] = field(default_factory=list)


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
        problem = check_container(path)
        return _decoded(path, params) if problem is None else (None, [problem])
    except (soundfile.LibsndfileError, OSError) as error:
        return None, [Problem("unreadable", f"{path.name}: {_without_folder(error, path)}")]
    except UnicodeEncodeError:  # raised by soundfile
        return None, [Problem("unreadable", "its name is not UTF-8: rename it")]


def _decoded(path: Path, params: ValidateParams) -> tuple[Audio | None, list[Problem]]:
    """Do the same for a file with a valid container; errors of the file system and the decoder are raised."""
    with soundfile.SoundFile(path) as file:
        rate, channels, subtype = file.samplerate, file.channels, file.subtype
        most = int(params.max_duration_s * rate)
        stated = file.frames if file.frames < _UNKNOWN else 0
        for value, (low, high), what in ((rate, RATES_HZ, "Hz"), (channels, CHANNELS, "channels")):
            if not low <= value <= high:  # at a rate of 1 Hz a small file would become hours, and gigabytes
                return None, [Problem("unreadable", f"the header states {value} {what}, not {low} to {high}")]
        if stated > most:  # before decoding: hours of silence fit into a small FLAC file
            limit = f"at most {most / rate:.4g} s are read"
            return None, [Problem("too_long", f"the header states {stated / rate:.4g} s, {limit}")]
        digest = hashlib.sha256(f"{rate} {channels}\n".encode())
        flac = file.format == "FLAC"  # a truncated WAV file is found by check_container
        measured, failure = _decode(file, digest, most)
    if measured.frames > most:
        return None, [Problem("too_long", f"more than {params.max_duration_s:g} s")]
    if flac and stated > measured.frames:
        return None, [Problem("truncated", f"the header states {stated} samples, {measured.frames} can be decoded")]
    if failure:
        return None, [Problem("unreadable", f"decoding fails after {measured.frames} samples: {failure}")]
    problems = _problems(measured, rate, params)
    hashes = times = np.zeros(0, dtype=np.int64)
    if measured.frames and not measured.not_finite:
        hashes, times = fingerprint(np.concatenate(measured.mono), rate)
    return Audio(
        sha256=file_sha256(path),
        audio_sha256=digest.hexdigest(),
        sample_rate_hz=rate,
        channels=channels,
        subtype=subtype,
        duration_s=measured.frames / rate,
        hashes=hashes,
        times=times,
    ), problems


def _decode(file: soundfile.SoundFile, digest: hashlib._Hash, most: int) -> tuple[_Measured, str]:
    """Decode in blocks, at most one block beyond *most* frames; return the message of the decoder if it fails."""
    measured = _Measured()
    while measured.frames <= most:
        try:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, MemoryError) as error:
            return measured, _without_folder(error, Path(str(file.name)))
        if not len(block):
            return measured, ""
        block += np.float32(0.0)  # turns -0.0 into 0.0, so that equal samples have equal bytes
        digest.update(block.tobytes() if not block.flags.c_contiguous else block.data)
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
        measured.frames += len(block)
        measured.samples += block.size
        measured.at_full_scale += int(np.count_nonzero(np.abs(block) >= _FULL_SCALE))
        measured.not_finite += block.size - int(np.count_nonzero(np.isfinite(block)))
        measured.mono.append(np.ascontiguousarray(mono))
        if not measured.not_finite:
            wide = mono.astype(np.float64)
            measured.total += float(wide.sum())
            measured.squares += float(np.square(wide).sum())
    return measured, ""


def _problems(measured: _Measured, rate: int, params: ValidateParams) -> list[Problem]:
    problems = []
    duration = measured.frames / rate
    if duration < params.min_duration_s:
        problems.append(Problem("too_short", f"{duration:.4g} s, at least {params.min_duration_s:g} s are required"))
    if measured.not_finite:
        problems.append(Problem("not_finite", f"{measured.not_finite} of {measured.samples} samples"))
        return problems
    if not measured.frames:
        return problems
    # Around the mean, as a constant offset is inaudible.
    variance = max(measured.squares / measured.frames - (measured.total / measured.frames) ** 2, 0.0)
    level = 10.0 * math.log10(variance) if variance > 1e-30 else -math.inf
    if level < params.silence_dbfs:
        shown = "no sound at all" if level == -math.inf else f"{level:.1f} dBFS"
        problems.append(Problem("silent", f"{shown}, the limit is {params.silence_dbfs:g} dBFS"))
    share = measured.at_full_scale / measured.samples
    if share > params.max_clipped_share:
        problems.append(Problem("clipped", f"{share:.1%} of the samples at full scale"))
    return problems


def _without_folder(error: BaseException, path: Path) -> str:
    """Return the text of an error without the folder of the file: outputs contain no absolute paths."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(repr(str(path)), path.name).replace(str(path), path.name)
