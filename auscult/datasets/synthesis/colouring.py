"""What a chest wall and a stethoscope do to the spectrum.

A response is a function of frequency in decibels, made of a few smooth parts, and is
applied in the frequency domain (zero phase).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from auscult.datasets.synthesis.acoustics import RATE_HZ, Signal, sampled

#: Padding against wrap-around, samples.
_PAD = RATE_HZ // 4


@dataclass(frozen=True)
class Response:
    """A magnitude response.

    Attributes
    ----------
    low_hz, high_hz
        Corners of second-order slopes, 12 dB per octave outside.
    bumps
        (centre in Hz, width in octaves, height in dB).
    tilt_db
        Per octave, about 300 Hz.
    """

    low_hz: float
    high_hz: float
    bumps: tuple[tuple[float, float, float], ...] = ()
    tilt_db: float = 0.0

    def decibels(self, frequency: Signal) -> Signal:
        """Gain at each frequency (Hz), shape as given."""
        safe = np.maximum(frequency, 1.0)
        gain = -10 * np.log10(1 + (self.low_hz / safe) ** 4) - 10 * np.log10(1 + (safe / self.high_hz) ** 4)
        octaves = np.log2(safe / 300.0)
        gain += self.tilt_db * np.clip(octaves, -3, 3)
        for centre_hz, width, height in self.bumps:
            gain += height * np.exp(-0.5 * (np.log2(safe / centre_hz) / width) ** 2)
        result: Signal = gain
        return result


#: Air-coupled microphones in couplers are flat and wide; electronic stethoscopes limit the band; a chest piece with
#: tubing adds resonances and loses the treble (Ertel et al. 1966, "Stethoscope acoustics", doi:10.1161/01.CIR.34.5.889;
#: Pasterkamp et al. 1993, "Measurement of respiratory acoustical signals", doi:10.1378/chest.104.5.1518; Nowak &
#: Nowak 2018, "Sound differences between electronic and acoustic stethoscopes", doi:10.1186/s12938-018-0540-2).
STETHOSCOPES: dict[str, Response] = {
    "AKGC417L": Response(25, 3200, ((180, 0.8, 2.0),), 0.5),
    "LittC2SE": Response(35, 1100, ((140, 0.35, 5.0), (320, 0.3, 4.0), (620, 0.25, 3.0)), -1.0),
    "Litt3200": Response(30, 1500, ((110, 0.7, 4.0), (400, 0.6, 2.0)), -0.5),
    "Meditron": Response(20, 2200, ((250, 0.9, 2.5),), 0.0),
}

#: Level of the room and of the electronics relative to inspiration, dB.
AMBIENT_DB: dict[str, float] = {"AKGC417L": -13.0, "LittC2SE": -18.0, "Litt3200": -20.0, "Meditron": -17.0}


def chest_wall(bulk: float, rng: np.random.Generator) -> Response:
    """A patient's chest: a low-pass, stronger the heavier the patient, with resonances of his own.

    Wodicka et al. 1989, "A model of acoustic transmission in the respiratory system"
    (doi:10.1109/10.35301): the wall passes 100–600 Hz with resonances and loses the treble.

    Parameters
    ----------
    bulk
        Standardised body mass, about -2 to 2.
    """
    centres = np.exp(rng.uniform(np.log(90), np.log(1300), 4))
    bumps = tuple((float(c), float(rng.uniform(0.2, 0.6)), float(6.0 * rng.normal())) for c in centres)
    return Response(30.0, float(900 * 2 ** (0.55 * rng.normal() - 0.15 * bulk)), bumps, float(0.8 * rng.normal()))


def colour(signal: Signal, *responses: Response) -> Signal:
    """Apply responses, one after the other, to a signal of shape (n,)."""
    size = next_fast_len(len(signal) + _PAD, real=True)
    gain = sampled(lambda f: 10 ** (np.sum([response.decibels(f) for response in responses], axis=0) / 20), size)
    result: Signal = irfft(rfft(signal, size) * gain, size)[: len(signal)]
    return result
