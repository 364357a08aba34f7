"""The recording chain: transfer functions of chest wall and stethoscope, ambient noise, level and sample rate.

A transfer function is a magnitude in decibels over frequency, a sum of a few smooth parts, applied with zero phase in
the frequency domain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from auscult.datasets.synthesis import acoustics
from auscult.datasets.synthesis.acoustics import RATE_HZ, Signal, add, sampled
from auscult.datasets.synthesis.population import Visit

#: Padding against circular wrap-around, in samples.
_PAD = RATE_HZ // 4


@dataclass(frozen=True)
class TransferFunction:
    """Magnitude of a transfer function.

    Attributes
    ----------
    low_hz, high_hz
        Corners of second-order slopes, 12 dB per octave outside.
    bumps
        (centre in Hz, width in octaves, height in dB).
    tilt_db
        Slope per octave, around 300 Hz.
    """

    low_hz: float
    high_hz: float
    bumps: tuple[tuple[float, float, float], ...] = ()
    tilt_db: float = 0.0

    def decibels(self, frequency: Signal) -> Signal:
        """Return the gain (dB) at each frequency (Hz), in the shape of *frequency*."""
        safe = np.maximum(frequency, 1.0)
        gain = -10 * np.log10(1 + (self.low_hz / safe) ** 4) - 10 * np.log10(1 + (safe / self.high_hz) ** 4)
        octaves = np.log2(safe / 300.0)
        gain += self.tilt_db * np.clip(octaves, -3, 3)
        for centre_hz, width, height in self.bumps:
            gain += height * np.exp(-0.5 * (np.log2(safe / centre_hz) / width) ** 2)
        result: Signal = gain
        return result


#: Air-coupled microphones have a flat, wide response; electronic stethoscopes limit the band; a chest piece with tubing
#: adds resonances and attenuates high frequencies (Ertel et al. 1966, "Stethoscope acoustics",
#: doi:10.1161/01.CIR.34.5.889; Pasterkamp et al. 1993, "Measurement of respiratory acoustical signals",
#: doi:10.1378/chest.104.5.1518; Nowak & Nowak 2018, "Sound differences between electronic and acoustic stethoscopes",
#: doi:10.1186/s12938-018-0540-2).
STETHOSCOPES: dict[str, TransferFunction] = {
    "AKGC417L": TransferFunction(25, 3200, ((180, 0.8, 2.0),), 0.5),
    "LittC2SE": TransferFunction(35, 1100, ((140, 0.35, 5.0), (320, 0.3, 4.0), (620, 0.25, 3.0)), -1.0),
    "Litt3200": TransferFunction(30, 1500, ((110, 0.7, 4.0), (400, 0.6, 2.0)), -0.5),
    "Meditron": TransferFunction(20, 2200, ((250, 0.9, 2.5),), 0.0),
}

#: Level of ambient and electronic noise relative to inspiration, in dB.
AMBIENT_DB: dict[str, float] = {"AKGC417L": -13.0, "LittC2SE": -18.0, "Litt3200": -20.0, "Meditron": -17.0}


def chest_wall(body_mass: float, rng: np.random.Generator) -> TransferFunction:
    """Draw the transfer function of a patient's chest wall: a low-pass with individual resonances.

    The cut-off frequency falls with body mass. Wodicka et al. 1989, "A model of acoustic transmission in the
    respiratory system" (doi:10.1109/10.35301): the wall passes 100–600 Hz with resonances and attenuates high
    frequencies.

    Parameters
    ----------
    body_mass
        Standardised body mass, about -2 to 2.
    """
    centres = np.exp(rng.uniform(np.log(90), np.log(1300), 4))
    bumps = tuple((float(c), float(rng.uniform(0.2, 0.6)), float(6.0 * rng.normal())) for c in centres)
    return TransferFunction(
        30.0, float(900 * 2 ** (0.55 * rng.normal() - 0.15 * body_mass)), bumps, float(0.8 * rng.normal())
    )


def apply(signal: Signal, *functions: TransferFunction) -> Signal:
    """Apply transfer functions, one after the other, to a signal of shape (n,)."""
    size = next_fast_len(len(signal) + _PAD, real=True)
    gain = sampled(lambda f: 10 ** (np.sum([function.decibels(f) for function in functions], axis=0) / 20), size)
    result: Signal = irfft(rfft(signal, size) * gain, size)[: len(signal)]
    return result


def coupling(rng: np.random.Generator) -> TransferFunction:
    """Draw the transfer function of the contact between chest piece and skin in one recording."""
    bump = (float(np.exp(rng.uniform(np.log(100), np.log(1200)))), 0.5, 4.0 * float(rng.normal()))
    return TransferFunction(20.0, 3500.0, (bump,), 0.6 * float(rng.normal()))


def noise(length: int, visit: Visit, rng: np.random.Generator) -> Signal:
    """Draw ambient noise, mains hum, and friction of the chest piece; shape (length,), independent of breathing."""
    level = 10 ** ((AMBIENT_DB[visit.device] + 3.5 * rng.normal()) / 20)
    result = level * acoustics.shaped_noise(length, acoustics.ambient_spectrum(rng.uniform(0.8, 1.4)), rng)
    time = np.arange(length) / RATE_HZ
    for multiple in (1, 2, 3):
        hum = 0.25 * level * float(rng.lognormal(-0.5, 0.8))
        result += hum * np.sin(2 * np.pi * 50.0 * multiple * time + rng.uniform(0, 2 * np.pi))
    for _ in range(rng.poisson(0.25 * visit.duration_s * rng.lognormal(-0.3, 0.8))):
        burst = acoustics.rub(rng.uniform(0.004, 0.06), float(np.exp(rng.uniform(np.log(150), np.log(900)))), rng)
        add(result, burst, rng.uniform(0, visit.duration_s), float(rng.lognormal(-0.3, 0.6)))
    return result


def digitise(rendered: Signal, loudness_db: float, visit: Visit, rng: np.random.Generator) -> NDArray[np.float64]:
    """Convert a signal to the sample rate and level of the recording, and add electronic noise."""
    sound: NDArray[np.float64] = soxr.resample(rendered, RATE_HZ, visit.sample_rate_hz, quality="HQ")
    level_db = -27.0 + loudness_db + 2.5 * float(rng.normal())
    level_db = float(np.clip(level_db, -42.0, -14.0))
    sound = sound * 10 ** (level_db / 20) / np.sqrt(np.mean(sound**2))
    sound += 10 ** (-72 / 20) * rng.standard_normal(len(sound))
    return sound * min(1.0, 0.9 / float(np.abs(sound).max()))
