"""Decode, resample and band-pass one recording.

A recording is resampled first and then filtered; the other order differs by 8e-3.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from auscult.audio.reader import read
from auscult.core.sections import ResampleParams


def resampled_length(samples: int, native_hz: int, target_hz: int) -> int:
    """Return the number of samples after resampling, rounded up as in ``librosa.resample``."""
    return samples if native_hz == target_hz else math.ceil(samples * (float(target_hz) / native_hz))


def to_rate(samples: NDArray[np.float32], native_hz: int, target_hz: int) -> NDArray[np.float32]:
    """Resample with soxr, quality HQ; shape (n,) → (resampled_length(n),)."""
    if native_hz == target_hz or not samples.size:
        return samples
    wanted = resampled_length(samples.size, native_hz, target_hz)
    out = soxr.resample(np.ascontiguousarray(samples), native_hz, target_hz, quality="HQ")[:wanted]
    return np.pad(out, (0, wanted - out.size)) if out.size < wanted else out


def band_pass(samples: NDArray[np.float32], params: ResampleParams) -> NDArray[np.float32]:
    """Apply a zero-phase Butterworth band-pass to audio at ``params.sample_rate_hz``, shape (n,).

    Second-order sections run forwards and backwards in float64, as in
    ``scipy.signal.sosfiltfilt``, so the effective order is twice ``params.order``.
    The edge extension is shortened for recordings that are shorter than it.
    """
    from auscult.audio.compiled import forward_backward  # numba: loaded only if needed

    if not samples.size:
        return samples
    sos, steady, edge = _sections(params)
    block = np.ascontiguousarray(samples, dtype=np.float32)
    return forward_backward(sos, steady, block, min(edge, samples.size - 1))


@lru_cache(maxsize=4)
def _sections(params: ResampleParams) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return the filter (order, 6), its steady state (order, 2), and the length of scipy's edge extension."""
    from scipy import signal  # 0.8 s to import: loaded only if needed

    band = [params.low_hz, params.high_hz]
    sos = signal.butter(params.order, band, "bandpass", fs=params.sample_rate_hz, output="sos")
    # as in sosfiltfilt: three times the length of the filter
    edge = 3 * (2 * len(sos) + 1 - min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum())))
    return sos, signal.sosfilt_zi(sos), edge


def condition(path: Path, params: ResampleParams) -> NDArray[np.float32]:
    """Return the mono audio of a file, resampled and filtered, shape (n,); raises as :func:`read`."""
    samples, rate = read(path)
    return band_pass(to_rate(samples, rate, params.sample_rate_hz), params)
