"""Decode a file once: measure it, hash it, fingerprint it, and say what is wrong with it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.container import check_container, promised_flac_frames
from auscult.audio.fingerprint import fingerprint
from auscult.core.digests import file_sha256
from auscult.core.reject_reasons import Problem
from auscult.core.sections import ValidateParams

if TYPE_CHECKING:
    import numpy as np
    import soundfile
    from numpy.typing import NDArray

_BLOCK = 1 << 18  # frames decoded at a time
_UNKNOWN = 2**63 - 1  # frames, where a header does not say
#: Highest code of 8 bits and more, and float samples at or beyond one.
_FULL_SCALE = 0.9999
#: Outside of these a header is damaged, or means something else than a recording of a chest.
RATES_HZ = (1000, 384000)
CHANNELS = (1, 16)


@dataclass(frozen=True)
class Audio:
    """What one pass over a decoded file tells.

    Attributes
    ----------
    sha256
        Of the file's bytes.
    audio_sha256
        Of the samples as float32 with rate and channels: the same for 16 bits as WAV,
        as FLAC, or padded to 24 bits.
    duration_s
        Of what could be decoded.
    hashes, times
        Landmark fingerprint.
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
    """Everything that ``validate`` wants to know of one audio file.

    Parameters
    ----------
    path
        The file.
    params
        Limits of length, level and clipping.

    Returns
    -------
    audio
        ``None`` when the file was not, or could not be, decoded to its end.
    problems
        Empty for a sound file.
    """
    import soundfile

    try:
        if not path.is_file():
            return None, [Problem("missing_audio", f"there is no file {path.name}")]
        problem = check_container(path)
        return _decoded(path, params) if problem is None else (None, [problem])
    except (soundfile.LibsndfileError, OSError) as error:
        return None, [Problem("unreadable", f"{path.name}: {_first_words(error, path)}")]
    except UnicodeEncodeError:  # soundfile's way to open a file
        return None, [Problem("unreadable", "its name is not UTF-8: rename it")]


def _decoded(path: Path, params: ValidateParams) -> tuple[Audio | None, list[Problem]]:
    """The same of a file whose first bytes are right; what the file system or the header's reader says is raised."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        rate, channels, subtype = file.samplerate, file.channels, file.subtype
        most = int(params.max_duration_s * rate)
        problem = _implausible(rate, channels) or _too_long(file.frames, most, rate)
        if problem is not None:
            return None, [problem]
        digest = hashlib.sha256(f"{rate} {channels}\n".encode())
        measured, failure = _decode(file, digest, most)
    if measured.frames > most:
        return None, [Problem("too_long", f"more than {params.max_duration_s:g} s")]
    promised = promised_flac_frames(path)
    if promised > measured.frames:
        return None, [Problem("truncated", f"the header promises {promised} samples, {measured.frames} can be decoded")]
    if failure:
        return None, [Problem("unreadable", f"decoding fails after {measured.frames} samples: {failure}")]
    problems = _problems(measured, rate, params)
    hashes, times = _fingerprint(measured, rate)
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


def _implausible(rate: int, channels: int) -> Problem | None:
    """What no recording has; asked before decoding, as 1 Hz would make hours, then gigabytes, of a small file."""
    for value, (low, high), what in ((rate, RATES_HZ, "Hz"), (channels, CHANNELS, "channels")):
        if not low <= value <= high:
            return Problem("unreadable", f"the header says {value} {what}; {low} to {high} can be used")
    return None


def _too_long(frames: int, most: int, rate: int) -> Problem | None:
    """Asked before decoding too: hours of silence are a small file."""
    if not most < frames < _UNKNOWN:
        return None
    return Problem("too_long", f"the header says {frames / rate:.4g} s, at most {most / rate:.4g} s are read")


def _decode(file: soundfile.SoundFile, digest: hashlib._Hash, most: int) -> tuple[_Measured, str]:
    """Read block by block, a block beyond *most* frames at most; returns what the decoder complained of."""
    import numpy as np
    import soundfile

    measured = _Measured()
    while measured.frames <= most:
        try:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, MemoryError) as error:
            return measured, _first_words(error, Path(str(file.name)))
        if not len(block):
            return measured, ""
        block += np.float32(0.0)  # minus zero becomes zero: equal samples, equal bytes
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
        problems.append(Problem("too_short", f"{duration:.4g} s, at least {params.min_duration_s:g} s are asked for"))
    if measured.not_finite:
        problems.append(Problem("not_finite", f"{measured.not_finite} of {measured.samples} samples"))
        return problems
    if not measured.frames:
        return problems
    # Around the mean: a constant offset makes no sound.
    variance = max(measured.squares / measured.frames - (measured.total / measured.frames) ** 2, 0.0)
    level = 10.0 * math.log10(variance) if variance > 1e-30 else -math.inf
    if level < params.silence_dbfs:
        shown = "no sound at all" if level == -math.inf else f"{level:.1f} dBFS"
        problems.append(Problem("silent", f"{shown}, the limit is {params.silence_dbfs:g} dBFS"))
    share = measured.at_full_scale / measured.samples
    if share > params.max_clipped_share:
        problems.append(Problem("clipped", f"{share:.1%} of the samples at full scale"))
    return problems


def _fingerprint(measured: _Measured, rate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    if measured.not_finite or not measured.mono:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return fingerprint(np.concatenate(measured.mono), rate)


def _first_words(error: BaseException, path: Path) -> str:
    """An error's text without the folder that the file lies in: outs name no place."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(repr(str(path)), path.name).replace(str(path), path.name)
