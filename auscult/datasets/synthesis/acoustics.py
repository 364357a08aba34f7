"""Elementary respiratory and heart sounds, synthesised after published descriptions.

Amplitudes are relative: 1 is the RMS of inspiration at full flow before the transfer functions.
Times are in seconds, frequencies in hertz; all sounds have the sample rate :data:`RATE_HZ`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

Signal = NDArray[np.floating]
#: Sample rate of the synthesis. All sounds are below 4 kHz; the recording is resampled from it.
RATE_HZ = 8000
#: Frequencies at which smooth spectra are evaluated; others are interpolated.
_GRID_HZ = np.linspace(0.0, RATE_HZ / 2, 501)


def sampled(curve: Callable[[Signal], Signal], size: int) -> Signal:
    """Evaluate a smooth function of frequency at the bins of a real FFT of *size* samples; shape (size // 2 + 1,)."""
    bins = np.arange(size // 2 + 1) * (RATE_HZ / size)
    result: Signal = np.interp(bins, _GRID_HZ, curve(_GRID_HZ))
    return result


def shaped_noise(length: int, magnitude: Callable[[Signal], Signal], rng: np.random.Generator) -> Signal:
    """Draw Gaussian noise with a given magnitude spectrum and unit RMS.

    Parameters
    ----------
    length
        Samples.
    magnitude
        Maps frequencies (Hz), shape (f,), to relative magnitudes, shape (f,).
    """
    size = next_fast_len(length, real=True)
    weights = sampled(magnitude, size)
    # The bins of white noise are independent Gaussians, which saves a forward transform.
    spectrum = rng.standard_normal(2 * len(weights)).view(np.complex128) * weights
    spectrum[0] = 0.0
    noise = irfft(spectrum, size)[:length]
    result: Signal = noise / max(float(np.sqrt(np.dot(noise, noise) / length)), 1e-12)
    return result


def breath_spectrum(corner_hz: float, slope_db: float) -> Callable[[Signal], Signal]:
    """Return the magnitude of vesicular breath sound: flat to a corner near 100 Hz, then -*slope_db* per octave.

    Gavriely, Palti & Alroy 1981, "Spectral characteristics of normal breath sounds"
    (doi:10.1152/jappl.1981.50.2.307): flat below about 75 Hz, then 10 to 18 dB per octave
    at the chest wall, audible to 600–1000 Hz; flatter and wider over the trachea.
    """

    def magnitude(frequency: Signal) -> Signal:
        ratio = np.maximum(frequency, 1.0) / corner_hz
        falling: Signal = 10 ** (-slope_db * np.log2(np.maximum(ratio, 1.0)) / 20)
        return falling * (1 - np.exp(-((frequency / 40.0) ** 2)))

    return magnitude


def ambient_spectrum(slope: float) -> Callable[[Signal], Signal]:
    """Return the magnitude of ambient and friction noise: frequency to the power of -*slope*."""
    return lambda frequency: np.maximum(frequency, 20.0) ** -slope


def flow(length: int, skew: float) -> Signal:
    """Return the flow of one phase of breathing, a skewed half wave of peak 1; sound amplitude is flow^1.7.

    Gavriely & Cugell 1996 (doi:10.1152/jappl.1996.80.1.5): the amplitude of breath sounds
    grows with flow to a power of about 1.66 to 1.75.
    """
    shape: Signal = np.sin(np.pi * np.linspace(0.0, 1.0, length) ** skew)
    return np.maximum(shape, 0.0)


def crackle(width_s: float, two_cycles_s: float) -> Signal:
    """Return one crackle: a wave whose half-cycles widen.

    Kiyokawa et al. 2001, "Auscultatory detection of simulated crackles"
    (doi:10.1378/chest.119.6.1886): sin(4π t^α) times (1 + cos 2π(√t − ½))/2 on 0…1, where
    α = log ¼ / log(IDW/2CD). Fine crackles: initial deflection width (IDW) 0.5–0.9 ms, two
    cycles (2CD) about 5 ms, near 650 Hz; coarse: 2CD about 15 ms, near 350 Hz (Bohadana et
    al. 2014, doi:10.1056/NEJMra1302901).

    Parameters
    ----------
    width_s
        IDW: the first half-cycle.
    two_cycles_s
        2CD: the first two cycles, the length of the wave.
    """
    length = max(round(two_cycles_s * RATE_HZ), 8)
    time = (np.arange(length) + 0.5) / length
    power = np.log(0.25) / np.log(width_s / two_cycles_s)
    wave: Signal = np.sin(4 * np.pi * time**power) * 0.5 * (1 + np.cos(2 * np.pi * (np.sqrt(time) - 0.5)))
    return wave / np.abs(wave).max()


def wheeze(
    length: int, pitch_hz: float, glide: float, harmonics: tuple[float, ...], rng: np.random.Generator
) -> Signal:
    """Return a wheeze: a few harmonics of a slowly changing pitch, with soft onset and end, peak about 1.

    Longer than 80–100 ms, 100 Hz to above 1 kHz, sinusoidal (Sovijärvi et al. 2000, CORSA,
    "Definition of terms for applications of respiratory sounds"; Gavriely et al. 1984,
    doi:10.1152/jappl.1984.57.2.481). Below 200–300 Hz it is a rhonchus, whose waveform is
    a train of damped pulses and has more harmonics.

    Parameters
    ----------
    length
        Samples.
    glide
        Total change of pitch, octaves.
    harmonics
        Amplitudes of the fundamental and its multiples.
    """
    time = np.arange(length) / RATE_HZ
    position = np.linspace(0.0, 1.0, length)
    wobble = 0.01 * np.sin(2 * np.pi * rng.uniform(3, 6) * time + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(pitch_hz * 2 ** (glide * (position - 0.5) + wobble)) / RATE_HZ
    sound = np.zeros(length)
    for k, amplitude in enumerate(harmonics, start=1):
        if pitch_hz * k * 2 ** abs(glide) < 0.45 * RATE_HZ:
            sound += amplitude * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    ripple = 1 + 0.25 * np.sin(2 * np.pi * rng.uniform(1, 4) * time + rng.uniform(0, 2 * np.pi))
    result: Signal = sound * ripple * np.sin(np.pi * position) ** 0.6
    return result


def heart(length: int, beats_per_minute: float, rng: np.random.Generator) -> Signal:
    """Return heart sounds: S1 and S2, damped tones of 30–70 and 45–100 Hz, 0.1 and 0.08 s long, peak about 1.

    Energy at 20–150 Hz; systole lasts about a third of the beat at rest (Luisada 1972;
    Durand & Pibarot 1995, "Digital signal processing of the phonocardiogram").
    """
    sound = np.zeros(length + RATE_HZ)
    period = 60 / beats_per_minute
    first_hz, second_hz = rng.uniform(30, 70), rng.uniform(45, 100)
    begin = rng.uniform(0, period) - period
    while begin < length / RATE_HZ:
        systole = 0.33 * period * rng.normal(1, 0.03)
        for offset, pitch_hz, long_s, level in ((0.0, first_hz, 0.10, 1.0), (systole, second_hz, 0.08, 0.7)):
            burst = _heart_sound(pitch_hz, long_s, rng) * level * rng.lognormal(0, 0.12)
            add(sound, burst, begin + offset)
        begin += period * rng.normal(1, 0.03)
    return sound[:length]


def _heart_sound(pitch_hz: float, long_s: float, rng: np.random.Generator) -> Signal:
    time = np.arange(int(long_s * RATE_HZ)) / RATE_HZ
    tone: Signal = np.sin(2 * np.pi * pitch_hz * (1 - time) * time + rng.uniform(-0.3, 0.3))
    return tone * np.sin(np.pi * time / long_s) ** 2


def rub(long_s: float, centre_hz: float, rng: np.random.Generator) -> Signal:
    """Return friction of the chest piece on skin or cloth: a short noise burst around a frequency, peak about 1."""
    length = max(int(long_s * RATE_HZ), 32)
    noise = shaped_noise(length, lambda f: np.exp(-0.5 * (np.log(np.maximum(f, 1.0) / centre_hz) / 0.6) ** 2), rng)
    window: Signal = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return 0.5 * noise * window


def add(target: Signal, sound: Signal, start_s: float, gain: float = 1.0) -> None:
    """Add a sound to *target* in place, starting at *start_s*; parts outside of *target* are dropped."""
    begin = round(start_s * RATE_HZ)
    first, last = max(begin, 0), min(begin + len(sound), len(target))
    if last > first:
        target[first:last] += gain * sound[first - begin : last - begin]
