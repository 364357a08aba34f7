"""Landmark fingerprints: pairs of spectral peaks that survive re-encoding and cutting.

A recording is resampled to 4 kHz, the lowest native rate in use, so that copies at all rates have the same band.
Each frequency bin of its spectrogram is normalised by its median over time, so that a steady hum has no peaks.
Each local maximum is paired with the next few; the two frequencies and the time difference of a pair make one hash.
Changes of gain, bit depth and sample rate and cuts at either end keep most hashes and shift their times by the same
amount, which ``split`` detects.

References
----------
A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

#: manifest/fingerprints.parquet, sorted by recording and time
FINGERPRINT_COLUMNS: dict[str, tuple[str, str]] = {
    "recording_id": ("string", "the recording"),
    "hash": ("int64", "frequency bin of a peak, bins and frames from it to a later one, packed"),
    "time": ("int64", "frame of the first peak; FRAME_S seconds each"),
}

RATE_HZ = 4000
WINDOW = 512  # samples; 128 ms, 7.8 Hz between bins
HOP = 64  # samples; an eighth of the window, so that a cut between two frames moves few peaks
FRAME_S = HOP / RATE_HZ
#: 62 to 1750 Hz: above the hum and handling noise, below the roll-off of 4 kHz recordings
LOWEST_BIN, HIGHEST_BIN = 8, 224
#: A peak is the maximum within this many bins and frames around it.
PEAK_BINS, PEAK_FRAMES = 10, 12
PEAK_DB = 6.0  # above the bin's median
FAN_OUT = 5
MAX_BINS, MAX_FRAMES = 63, 63
FLOOR_DB = -90.0  # below the loudest point: digital silence


def fingerprint(samples: NDArray[np.float32], sample_rate_hz: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compute the landmark hashes of one recording.

    Parameters
    ----------
    samples
        Mono, shape (n,).
    sample_rate_hz
        Sample rate.

    Returns
    -------
    hashes, times
        Shape (k,) each, sorted by time; empty for silence and for fewer than a few frames.
    """
    if sample_rate_hz != RATE_HZ:
        samples = soxr.resample(samples, sample_rate_hz, RATE_HZ, quality="HQ")
    empty = np.zeros(0, dtype=np.int64)
    if len(samples) < WINDOW + HOP:
        return empty, empty
    level = _relative_level(samples)
    bins, frames = _peaks(level)
    return _pairs(bins, frames) if len(bins) > 1 else (empty, empty)


def _relative_level(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the level in dB above the median of each bin; shape (frames, bins)."""
    import scipy.fft  # loaded only if needed: split imports this module for a constant

    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    window = np.hanning(WINDOW).astype(np.float32)
    power = np.empty((len(frames), HIGHEST_BIN - LOWEST_BIN), dtype=np.float32)
    for first in range(0, len(frames), 1024):  # in tiles, to bound the memory for long recordings
        spectrum = scipy.fft.rfft(frames[first : first + 1024] * window, axis=1)[:, LOWEST_BIN:HIGHEST_BIN]
        power[first : first + 1024] = spectrum.real**2 + spectrum.imag**2
    loudest = float(power.max())
    if loudest <= 0.0:
        return np.zeros_like(power)
    level: NDArray[np.float32] = 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (FLOOR_DB / 10.0)))
    sounding = level.max(axis=1) > FLOOR_DB
    return level - np.median(level[sounding], axis=0)


def _peaks(level: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bins and frames of the local maxima, sorted by time, then bin."""
    from scipy.ndimage import maximum_filter1d

    highest = maximum_filter1d(level, 2 * PEAK_FRAMES + 1, axis=0)
    highest = maximum_filter1d(highest, 2 * PEAK_BINS + 1, axis=1)
    frames, bins = np.nonzero((level == highest) & (level > PEAK_DB))
    return bins.astype(np.int64), frames.astype(np.int64)


def _pairs(bins: NDArray[np.int64], frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return hashes and times of the pairs of each peak with the next ``FAN_OUT`` peaks within reach."""
    hashes, times, taken = [], [], np.zeros(len(bins), dtype=np.int64)
    for ahead in range(1, min(len(bins), 8 * FAN_OUT)):
        df, dt = bins[ahead:] - bins[:-ahead], frames[ahead:] - frames[:-ahead]
        near = (np.abs(df) <= MAX_BINS) & (dt > 0) & (dt <= MAX_FRAMES) & (taken[:-ahead] < FAN_OUT)
        taken[:-ahead] += near
        packed = (bins[:-ahead] << 13) | ((df + MAX_BINS) << 6) | dt
        hashes.append(packed[near])
        times.append(frames[:-ahead][near])
    hash_, time = np.concatenate(hashes), np.concatenate(times)
    order = np.lexsort((hash_, time))
    return hash_[order], time[order]
