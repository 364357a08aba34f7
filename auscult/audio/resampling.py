"""Decode, resample and band-pass one recording.

The order matters: resampled first, then filtered. The other way round differs by 8e-3.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.audio.wav24 import read_wav24
from auscult.core.errors import DataError
from auscult.core.sections import ResampleParams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def resampled_length(samples: int, native_hz: int, target_hz: int) -> int:
    """Number of samples after resampling, rounded up as ``librosa.resample`` does."""
    return samples if native_hz == target_hz else math.ceil(samples * (float(target_hz) / native_hz))


def read_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode a file to the mean of its channels.

    Returns
    -------
    samples
        Shape (n,), full scale is 1.
    sample_rate_hz
        As stored.

    Raises
    ------
    DataError
        The file cannot be read any more.
    """
    import soundfile

    try:
        samples, rate = read_wav24(path) or soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(
            f"{path.name} was readable when the manifest was made and is not now: {error}",
            where=str(path),
            next_step="restore the file, or run: dvc repro --force validate",
        ) from error
    return (samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)), int(rate)


def to_rate(samples: NDArray[np.float32], native_hz: int, target_hz: int) -> NDArray[np.float32]:
    """Resample with soxr's high quality, shape (n,) → (resampled_length(n),)."""
    import numpy as np
    import soxr

    if native_hz == target_hz or not samples.size:
        return samples
    wanted = resampled_length(samples.size, native_hz, target_hz)
    out = soxr.resample(np.ascontiguousarray(samples), native_hz, target_hz, quality="HQ")[:wanted]
    return np.pad(out, (0, wanted - out.size)) if out.size < wanted else out


def band_pass(samples: NDArray[np.float32], params: ResampleParams) -> NDArray[np.float32]:
    """Zero-phase Butterworth band-pass of audio at ``params.sample_rate_hz``.

    Second-order sections run forwards and backwards in float64, as
    ``scipy.signal.sosfiltfilt`` does, so the effective order is twice ``params.order``.
    A recording shorter than the filter's usual edge extension gets a shorter one.
    """
    import numpy as np

    from auscult.audio.compiled import forward_backward

    if not samples.size:
        return samples
    sos, steady, edge = _sections(params)
    block = np.ascontiguousarray(samples, dtype=np.float32)
    return forward_backward(sos, steady, block, min(edge, samples.size - 1))


@lru_cache(maxsize=4)
def _sections(params: ResampleParams) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The filter (order, 6), its steady state (order, 2), and by how many samples scipy extends a signal's ends."""
    from scipy import signal

    band = [params.low_hz, params.high_hz]
    sos = signal.butter(params.order, band, "bandpass", fs=params.sample_rate_hz, output="sos")
    # scipy's default extension: three times the filter's length; it must be shorter than the signal
    edge = 3 * (2 * len(sos) + 1 - min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum())))
    return sos, signal.sosfilt_zi(sos), edge


def condition(path: Path, params: ResampleParams) -> NDArray[np.float32]:
    """Mono audio of a file at the pipeline's rate and in its band, shape (n,)."""
    samples, rate = read_mono(path)
    return band_pass(to_rate(samples, rate, params.sample_rate_hz), params)
