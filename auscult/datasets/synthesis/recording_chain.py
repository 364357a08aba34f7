"""The recording chain: transfer functions of chest wall and stethoscope, ambient noise, level and sample rate.

The two devices differ, and both change in the second period. A transfer function is a magnitude in decibels over
frequency, a sum of a few smooth parts, applied with zero phase in the frequency domain.
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
    "Meditron": TransferFunction(20, 2200, ((250, 0.9, 2.5),), 0.0),
    "LittC2SE": TransferFunction(45, 800, ((140, 0.35, 6.0), (320, 0.3, 5.0), (620, 0.25, 4.0)), -2.0),
}
#: Level of ambient noise relative to inspiration, in dB; how often the chest piece rubs on skin or cloth, times the
#: rate of the patient; clicks of the electronics per second.
AMBIENT_DB: dict[str, float] = {"Meditron": -20.0, "LittC2SE": -14.0}
FRICTION: dict[str, float] = {"Meditron": 0.8, "LittC2SE": 1.3}
CLICKS_PER_S: dict[str, float] = {"Meditron": 0.0, "LittC2SE": 1.4}
#: Peak of a click relative to the RMS of the recording.
CLICK_GAIN = 2.0

#: The drift: what changes for both devices in the second period. A new chest piece resonates, attenuates frequencies
#: outside of its resonance, and rubs more often; the ward is noisier, by ventilation, whose noise is whiter than that
#: of steps and voices; the gain is higher; and in most recordings a pulse oximeter beeps.
NEW_CHEST_PIECE = TransferFunction(90, 700, ((430, 0.4, 6.0),), -1.0)
MORE_FRICTION = 4.0
MORE_AMBIENT_DB = 7.0
MORE_GAIN_DB = 8.0
#: Least and greatest exponent of the ambient spectrum in the first and in the second period.
AMBIENT_SLOPES = ((0.8, 1.4), (0.0, 0.3))
#: Share of the recordings, pitch, and amplitude relative to the RMS of the recording.
BEEP_SHARE, BEEP_HZ, BEEP_GAIN = 0.9, 660.0, 1.4


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
    centres = np.exp(rng.uniform(np.log(90), np.log(1300), 6))
    bumps = tuple((float(c), float(rng.uniform(0.15, 0.5)), float(4.0 * rng.normal())) for c in centres)
    return TransferFunction(
        30.0, float(900 * 2 ** (0.35 * rng.normal() - 0.15 * body_mass)), bumps, float(0.5 * rng.normal())
    )


def apply(signal: Signal, *functions: TransferFunction) -> Signal:
    """Apply transfer functions, one after the other, to a signal of shape (n,)."""
    size = next_fast_len(len(signal) + _PAD, real=True)
    gain = sampled(lambda f: 10 ** (np.sum([function.decibels(f) for function in functions], axis=0) / 20), size)
    result: Signal = irfft(rfft(signal, size) * gain, size)[: len(signal)]
    return result


def coupling(rng: np.random.Generator) -> TransferFunction:
    """Draw the transfer function of the contact between chest piece and skin in one recording."""
    bump = (float(np.exp(rng.uniform(np.log(100), np.log(1200)))), 0.5, 2.0 * float(rng.normal()))
    return TransferFunction(20.0, 3500.0, (bump,), 0.4 * float(rng.normal()))


def chest_piece(visit: Visit) -> tuple[TransferFunction, ...]:
    """Return the transfer functions of the stethoscope at the time of a recording."""
    stethoscope = STETHOSCOPES[visit.device]
    return (stethoscope, NEW_CHEST_PIECE) if visit.patient.late else (stethoscope,)


def friction(visit: Visit) -> float:
    """Return how often the chest piece rubs, times the rate of the patient."""
    return FRICTION[visit.device] * (MORE_FRICTION if visit.patient.late else 1.0)


def noise(length: int, visit: Visit, rng: np.random.Generator) -> Signal:
    """Draw ambient noise, mains hum, and friction of the chest piece; shape (length,), independent of breathing."""
    more_db = MORE_AMBIENT_DB if visit.patient.late else 0.0
    slopes = AMBIENT_SLOPES[visit.patient.late]
    level = 10 ** ((AMBIENT_DB[visit.device] + more_db + 2.0 * rng.normal()) / 20)
    result = level * acoustics.shaped_noise(length, acoustics.ambient_spectrum(rng.uniform(*slopes)), rng)
    time = np.arange(length) / RATE_HZ
    for multiple in (1, 2, 3):
        hum = 0.25 * level * float(rng.lognormal(-0.5, 0.8))
        result += hum * np.sin(2 * np.pi * 50.0 * multiple * time + rng.uniform(0, 2 * np.pi))
    for _ in range(rng.poisson(0.25 * friction(visit) * visit.duration_s * rng.lognormal(-0.3, 0.8))):
        burst = acoustics.rub(rng.uniform(0.004, 0.06), float(np.exp(rng.uniform(np.log(150), np.log(900)))), rng)
        add(result, burst, rng.uniform(0, visit.duration_s), float(rng.lognormal(-0.3, 0.6)))
    return result


def artefacts(length: int, visit: Visit, rng: np.random.Generator) -> Signal:
    """Draw clicks and beeps, relative to the RMS of the recording; shape (length,).

    Both resemble adventitious sounds and differ from them: clicks are higher than crackles; the beeps of a pulse
    oximeter have one pitch, and the heart's rhythm.
    """
    result = np.zeros(length)
    for _ in range(rng.poisson(CLICKS_PER_S[visit.device] * visit.duration_s)):
        click = acoustics.crackle(rng.uniform(0.25e-3, 0.4e-3), rng.uniform(3e-3, 5e-3))
        add(result, click, rng.uniform(0, visit.duration_s), CLICK_GAIN * float(rng.lognormal(0, 0.4)))
    if visit.patient.late and rng.random() < BEEP_SHARE:
        level = BEEP_GAIN * float(rng.lognormal(0, 0.35))
        pitch_hz, begin, period = rng.normal(BEEP_HZ, 25.0), rng.uniform(-0.8, 0.0), rng.uniform(0.6, 0.95)
        time = np.arange(round(0.12 * RATE_HZ)) / RATE_HZ
        beep = np.sin(2 * np.pi * pitch_hz * time) * np.minimum(1.0, np.minimum(time, time[::-1]) / 0.02)
        while begin < visit.duration_s:
            add(result, beep, begin, level)
            begin += period
    return result


def digitise(rendered: Signal, loudness_db: float, visit: Visit, rng: np.random.Generator) -> NDArray[np.float64]:
    """Convert a signal to the sample rate and level of the recording, and add electronic noise."""
    sound: NDArray[np.float64] = soxr.resample(rendered, RATE_HZ, visit.sample_rate_hz, quality="HQ")
    level_db = -27.0 + loudness_db + 1.5 * float(rng.normal())
    if visit.patient.late:
        level_db += MORE_GAIN_DB
    level_db = float(np.clip(level_db, -42.0, -14.0))
    sound = sound * 10 ** (level_db / 20) / np.sqrt(np.mean(sound**2))
    sound += 10 ** (-72 / 20) * rng.standard_normal(len(sound))
    return sound * min(1.0, 0.9 / float(np.abs(sound).max()))
