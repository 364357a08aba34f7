"""Log-mel spectrograms and cepstra, in decibels, as librosa defines them.

``LogMel`` equals ``librosa.power_to_db(librosa.feature.melspectrogram(y, center=True,
pad_mode="constant", window="hann", power=2), ref=1, amin=1e-10, top_db=None)`` and ``mfcc``
equals ``librosa.feature.mfcc(S=…)`` to within 1e-3 dB. As in librosa, the transforms use double
precision: single precision is wrong by 0.1 dB where a loud recording has an empty band. It is several
times faster than librosa, as it computes only the bins within the band, on a few frames at a time,
which fit into the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from auscult.core.errors import ParameterError

_TILE_FRAMES = 96
_POWER_FLOOR = 1e-10


def frame_count(samples: int, n_fft: int, hop_length: int) -> int:
    """Return the number of frames of a centred spectrogram; frame *i* is centred on sample *i* × hop_length."""
    return 1 + max(0, samples + 2 * (n_fft // 2) - n_fft) // hop_length


@dataclass(frozen=True)
class LogMel:
    """Log-mel spectrogram of a whole recording.

    Attributes
    ----------
    sample_rate_hz
        Of the audio.
    low_hz, high_hz
        Outer edges of the mel filters: the band of the audio.
    n_fft, hop_length, n_mels
        Length of the window and hop in samples; number of bands.
    """

    sample_rate_hz: int
    low_hz: float
    high_hz: float
    n_fft: int
    hop_length: int
    n_mels: int

    @cached_property
    def _filters(self) -> tuple[slice, NDArray[np.float32]]:
        """Fourier bins that any filter uses, and a quarter of the filters' weights there, shape (bins, n_mels)."""
        edges = mel_edges(self.n_mels, self.low_hz, self.high_hz)
        bin_hz = self.sample_rate_hz / self.n_fft
        if np.any(np.floor(edges[2:] / bin_hz) <= np.floor(edges[:-2] / bin_hz)):
            raise ParameterError(
                f"features.n_mels is {self.n_mels}: between {self.low_hz} and {self.high_hz} Hz some mel bands contain"
                f" no bin of a Fourier transform of {self.n_fft} samples",
                where="params.yaml: features",
                next_step="lower features.n_mels or raise features.n_fft",
            )
        weights = mel_filters(edges, np.fft.rfftfreq(self.n_fft, 1 / self.sample_rate_hz))
        used = np.flatnonzero(weights.any(axis=1))
        band = slice(int(used[0]), int(used[-1]) + 1)
        return band, np.ascontiguousarray(weights[band] / 4, dtype=np.float32)

    def prepare(self) -> None:
        """Compute the filters now, so that threads share them.

        Raises
        ------
        ParameterError
            A mel band contains no Fourier bin.
        """
        _ = self._filters

    def __call__(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return decibels relative to 1, shape (n_mels, frame_count(n)), of audio of shape (n,)."""
        band, weights = self._filters
        half = self.n_fft // 2
        padded = np.zeros(max(len(audio) + 2 * half, self.n_fft))
        padded[half : half + len(audio)] = audio
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        transform = np.empty((_TILE_FRAMES, half + 3), dtype=np.complex128)  # one more bin on either side
        power = np.empty((len(frames), len(weights)), dtype=np.float32)
        for first in range(0, len(frames), _TILE_FRAMES):
            n = min(_TILE_FRAMES, len(frames) - first)
            inner = np.fft.rfft(frames[first : first + n], out=transform[:n, 1:-1])
            transform[:n, 0] = inner[:, 1].conj()
            transform[:n, -1] = inner[:, -2 + self.n_fft % 2].conj()
            hann_power(transform, band.start, power[first : first + n])
        bands = weights.T @ power.T
        np.maximum(bands, np.float32(_POWER_FLOOR), out=bands)
        np.log10(bands, out=bands)
        bands *= np.float32(10.0)
        return bands


@numba.njit("void(complex128[:, ::1], int64, float32[:, ::1])", nogil=True, cache=True)
def hann_power(transform: Any, first: Any, power: Any) -> None:
    """Compute four times the power of frames under Hann's window, from the transforms of the unwindowed frames.

    The transform of the window has three values, 1/2 and −1/4 on either side; here they are doubled. Compiled, it
    passes over the values once, where NumPy needs six passes. The compiled code is kept beside this file; the first
    run on a machine takes a second longer.

    Parameters
    ----------
    transform
        Shape (n, bins + 2): one more bin at either end.
    first
        Number of the first bin that is wanted.
    power
        Result, shape (n, wanted bins).
    """
    for row in range(power.shape[0]):
        for column in range(power.shape[1]):
            at = first + column
            value = (transform[row, at] + transform[row, at + 2]) * -0.5 + transform[row, at + 1]
            real, imaginary = np.float32(value.real), np.float32(value.imag)
            power[row, column] = real * real + imaginary * imaginary


def mfcc(logmel: NDArray[np.float32], n_mfcc: int) -> NDArray[np.float32]:
    """Return mel-frequency cepstral coefficients: the first *n_mfcc* of an orthonormal DCT-II over the bands.

    Parameters
    ----------
    logmel
        Shape (n_mels, frames), decibels.

    Returns
    -------
    NDArray
        Shape (n_mfcc, frames).
    """
    return (_cosines(n_mfcc, len(logmel)) @ logmel).astype(np.float32)


@lru_cache(maxsize=4)
def _cosines(n_mfcc: int, n_mels: int) -> NDArray[np.float64]:
    """Return the first rows of the orthonormal DCT-II of *n_mels* values, shape (n_mfcc, n_mels)."""
    rows = np.cos(np.pi / n_mels * np.outer(np.arange(n_mfcc), np.arange(n_mels) + 0.5)) * np.sqrt(2 / n_mels)
    rows[0] = np.sqrt(1 / n_mels)
    return rows


def mel_edges(n_mels: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Return the corner frequencies of *n_mels* triangular filters in Hz, shape (n_mels + 2,).

    Slaney's scale (Auditory Toolbox, 1998), librosa's default: linear below 1 kHz with
    3 mels per 200 Hz, logarithmic above with 27 steps per factor of 6.4.
    """

    def to_mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * float(np.log(hz / 1000) / np.log(6.4))

    mels = np.linspace(to_mel(low_hz), to_mel(high_hz), n_mels + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.power(6.4, (mels - 15) / 27))


def mel_filters(edges: NDArray[np.floating], bins_hz: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return triangular filters of area 1 between the edges ("Slaney"), shape (bins, len(edges) - 2).

    They equal those of ``librosa.filters.mel``, whose import takes more than a second.
    """
    below, centre, above = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_hz[:, None] - below) / (centre - below)
    falling = (above - bins_hz[:, None]) / (above - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2 / (above - below)
