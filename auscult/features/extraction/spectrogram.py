"""Log-mel spectrograms and cepstra, in decibels, as librosa defines them.

``LogMel`` equals ``librosa.power_to_db(librosa.feature.melspectrogram(y, center=True,
pad_mode="constant", window="hann", win_length=…, power=2), ref=1, amin=1e-10, top_db=None)`` and ``mfcc``
equals ``librosa.feature.mfcc(S=…)`` to within 1e-3 dB. As in librosa, the transforms use double
precision: single precision is wrong by 0.1 dB where a loud recording has an empty band. It is faster
than librosa, as it computes only the bins within the band, on a few frames at a time, which fit into the processor's
cache.
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
#: A frame with no band above this is silent: the floor is −100 dB.
_SILENT_DB = -95.0


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
    n_fft, window_length, hop_length
        Samples of a Fourier transform, of Hann's window in the middle of them, and from frame to frame.
    n_mels
        Number of bands.
    """

    sample_rate_hz: int
    low_hz: float
    high_hz: float
    n_fft: int
    window_length: int
    hop_length: int
    n_mels: int

    @cached_property
    def _filters(self) -> tuple[slice, NDArray[np.float32]]:
        """Fourier bins that any filter uses, and the filters' weights there, shape (bins, n_mels)."""
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
        return band, np.ascontiguousarray(weights[band], dtype=np.float32)

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
        before = (self.n_fft - self.window_length) // 2  # the window stands in the middle of the transformed samples
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        frames = frames[:, before : before + self.window_length]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window_length) / self.window_length)
        power = np.empty((len(frames), len(weights)), dtype=np.float32)
        for first in range(0, len(frames), _TILE_FRAMES):
            inside = np.fft.rfft(frames[first : first + _TILE_FRAMES] * window, n=self.n_fft)[:, band]
            power[first : first + _TILE_FRAMES] = np.square(inside.real) + np.square(inside.imag)
        bands = np.maximum(weights.T @ power.T, np.float32(_POWER_FLOOR))
        out = np.empty_like(bands)
        decibels(bands, bands.view(np.int32), out)
        return out


@numba.njit("void(float32[:, ::1], int32[:, ::1], float32[:, ::1])", nogil=True, cache=True, error_model="numpy")
def decibels(power: Any, bits: Any, out: Any) -> None:
    """Compute ten times the decimal logarithms of powers, from additions and multiplications in double precision.

    NumPy's ``log10`` is that of the C library, whose last bit depends on its version, or with AVX-512 that of Intel.
    This has the same bits everywhere, is correctly rounded (to all but one value in 10⁸), and several times as fast.
    The logarithm of a mantissa between √½ and √2 is a series (Abramowitz and Stegun, 4.1.27), cut off where the rest
    is below 1e-13 of it.

    Parameters
    ----------
    power
        Normal positive numbers; infinity and NaN stay what they are.
    bits
        The memory of *power*, read as integers: exponents and mantissas.
    out
        Result, other memory. All three have the shape (n, m).
    """
    for row in range(power.shape[0]):
        for column in range(power.shape[1]):
            number = bits[row, column]
            exponent = np.float64(np.int32((number >> 23) - 127))
            mantissa = 1.0 + np.float64(np.int32(number & 0x7FFFFF)) * 2.0**-23
            upper = mantissa > 1.4142135
            exponent = exponent + 1.0 if upper else exponent
            mantissa = mantissa * 0.5 if upper else mantissa
            ratio = (mantissa - 1.0) / (mantissa + 1.0)
            square = ratio * ratio
            series = 1 / 13 + square * (1 / 15)
            series = 1 / 9 + square * (1 / 11 + square * series)
            series = 1 / 5 + square * (1 / 7 + square * series)
            series = 1.0 + square * (1 / 3 + square * series)
            value = exponent * 3.010299956639812 + ratio * series * 8.685889638065037  # 10 log10(2), 20 / ln(10)
            out[row, column] = value if number < 0x7F800000 else power[row, column]


def without_mean(logmel: NDArray[np.float32], subtract: str) -> NDArray[np.float32]:
    """Return the log-mel spectrogram of a recording relative to its own mean, in decibels, of the same shape.

    The mean over a recording holds the distance, the gain and the frequency response of the device, as far as they do
    not change within it (cepstral mean normalisation: Atal 1974, doi:10.1121/1.1914702).

    Parameters
    ----------
    logmel
        Shape (n_mels, T), decibels.
    subtract
        ``nothing``; ``level``, the mean over all bands; or ``bands``, the mean of each band. Silent frames, as where a
        recording was filled up with zeros, do not count.
    """
    sounding = logmel.max(axis=0) > _SILENT_DB
    if subtract == "nothing" or not sounding.any():
        return logmel
    means = logmel[:, sounding].mean(axis=1, keepdims=True, dtype=np.float64)
    return (logmel - (means if subtract == "bands" else means.mean())).astype(np.float32)


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
