"""Augmented copies of a recording: noise, pitch shift, time stretch.

Each copy is band-passed like its original, so that nothing outside the band distinguishes
them. Random draws depend only on the seed and the recording's id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from auscult.audio.resampling import band_pass
from auscult.core.digests import digest
from auscult.core.sections import AugmentedParams, ResampleParams

_N_FFT = 1024
_OVERLAP = 4


def _generator(seed: int, recording_id: str, kind: str) -> np.random.Generator:
    return np.random.default_rng(int(digest(seed, recording_id, kind), 16))


def stretch_rate(recording_id: str, params: AugmentedParams) -> float:
    """Return the speed of the stretched copy: log-uniform between 1 / stretch and stretch."""
    return float(params.stretch ** _generator(params.seed, recording_id, "stretch").uniform(-1.0, 1.0))


def add_noise(
    audio: NDArray[np.float32], recording_id: str, params: AugmentedParams, spec: ResampleParams
) -> NDArray[np.float32]:
    """Add white or pink noise in the band, at a ratio drawn from ``noise_snr_db``, shape (n,) → (n,)."""
    generator = _generator(params.seed, recording_id, "noise")
    snr_db = generator.uniform(min(params.noise_snr_db), max(params.noise_snr_db))
    pink = bool(generator.integers(2))
    noise = generator.standard_normal(audio.size, dtype=np.float32)
    if pink:
        spectrum = np.fft.rfft(noise)
        spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))  # power falls as 1 / f
        noise = np.fft.irfft(spectrum, n=audio.size).astype(np.float32)
    noise = band_pass(noise, spec)
    level = _rms(audio) / max(_rms(noise), 1e-15)
    return audio + noise * np.float32(level * 10 ** (-snr_db / 20))


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def pitch_shift(
    audio: NDArray[np.float32], recording_id: str, params: AugmentedParams, spec: ResampleParams
) -> NDArray[np.float32]:
    """Shift the pitch by up to ``pitch_semitones`` up or down at the same speed, shape (n,) → (n,).

    Stretch, then resample to the original length, as ``librosa.effects.pitch_shift`` does.
    """
    semitones = _generator(params.seed, recording_id, "pitch").uniform(-params.pitch_semitones, params.pitch_semitones)
    rate = 2.0 ** (-semitones / 12)
    shifted = soxr.resample(phase_vocoder(audio, rate), 1.0 / rate, 1.0, quality="HQ")[: audio.size]
    return band_pass(np.pad(shifted, (0, audio.size - shifted.size)), spec)


def time_stretch(
    audio: NDArray[np.float32], recording_id: str, params: AugmentedParams, spec: ResampleParams
) -> NDArray[np.float32]:
    """Change the speed at the same pitch, shape (n,) → (round(n / rate),)."""
    return band_pass(phase_vocoder(audio, stretch_rate(recording_id, params)), spec)


def phase_vocoder(audio: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Change the speed by *rate* and keep the pitch, shape (n,) → (round(n / rate),).

    The phase vocoder of ``librosa.phase_vocoder`` (Ellis, 2002), with its loop over frames written as a
    cumulative sum of phase differences. The expected advances and the unwrapping that librosa adds are
    multiples of 2π, which change no phase.
    """
    hop = _N_FFT // _OVERLAP
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
    padded = np.pad(audio, (_N_FFT // 2, _N_FFT // 2 + 2 * hop))
    spectra = rfft(np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::hop] * window)  # (T, bins)
    times = np.arange(0.0, 1 + audio.size // hop, rate)
    whole = times.astype(np.int64)
    share = (times - whole).astype(np.float32)[:, None]
    magnitude, phase = np.abs(spectra), np.angle(spectra)
    mixed = (1 - share) * magnitude[whole] + share * magnitude[whole + 1]
    turned = np.empty(mixed.shape)  # float64: the sum grows with the recording
    turned[0] = phase[0]
    np.cumsum(phase[whole[:-1] + 1] - phase[whole[:-1]], axis=0, out=turned[1:], dtype=np.float64)
    turned[1:] += phase[0]
    turned -= 2 * np.pi * np.round(turned / (2 * np.pi))
    angles = turned.astype(np.float32)
    stretched = np.empty(mixed.shape, dtype=np.complex64)
    np.multiply(mixed, np.cos(angles), out=stretched.real)
    np.multiply(mixed, np.sin(angles), out=stretched.imag)
    pieces = irfft(stretched, n=_N_FFT, overwrite_x=True) * window
    return _overlap_add(pieces, window, hop, round(audio.size / rate))


def _overlap_add(
    pieces: NDArray[np.float32], window: NDArray[np.float32], hop: int, length: int
) -> NDArray[np.float32]:
    """Return the sum of overlapping windowed frames, divided by the power of the windows, shape (length,)."""
    blocks = pieces.reshape(len(pieces), _OVERLAP, hop)
    weights = np.square(window).reshape(_OVERLAP, hop)
    total = np.zeros((len(pieces) + _OVERLAP - 1, hop), dtype=np.float32)
    norm = np.zeros_like(total)
    for part in range(_OVERLAP):
        total[part : part + len(pieces)] += blocks[:, part]
        norm[part : part + len(pieces)] += weights[part]
    audio = (total / np.maximum(norm, 1e-8)).reshape(-1)[_N_FFT // 2 :][:length]
    return np.pad(audio, (0, length - audio.size))


def same_speed(recording_id: str, params: AugmentedParams) -> float:
    """Return the speed of a copy in which every event keeps its time: 1."""
    return 1.0


class Kind(NamedTuple):
    """A kind of augmented copy.

    Attributes
    ----------
    make
        Returns the copy of a recording's audio, shape (n,) → (about n / rate,).
    rate
        Returns the speed of the copy relative to the original.
    """

    make: Callable[[NDArray[np.float32], str, AugmentedParams, ResampleParams], NDArray[np.float32]]
    rate: Callable[[str, AugmentedParams], float] = same_speed


#: Every kind that ``augmented`` makes of each training recording.
KINDS = {"noise": Kind(add_noise), "pitch": Kind(pitch_shift), "stretch": Kind(time_stretch, stretch_rate)}
