"""What lies between the chest and the file: how the chest piece sits, the room, the level, the format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.datasets.synthesis import acoustics
from auscult.datasets.synthesis.acoustics import RATE_HZ, Signal, add
from auscult.datasets.synthesis.colouring import AMBIENT_DB, Response
from auscult.datasets.synthesis.population import Visit


def placed(rng: np.random.Generator) -> Response:
    """How the chest piece sits this time."""
    bump = (float(np.exp(rng.uniform(np.log(100), np.log(1200)))), 0.5, 4.0 * float(rng.normal()))
    return Response(20.0, 3500.0, (bump,), 0.6 * float(rng.normal()))


def room(length: int, visit: Visit, rng: np.random.Generator) -> Signal:
    """Ambient noise, mains hum, and the friction of a hand-held chest piece, whatever the patient breathes."""
    level = 10 ** ((AMBIENT_DB[visit.device] + 3.5 * rng.normal()) / 20)
    noise = level * acoustics.shaped_noise(length, acoustics.ambient_spectrum(rng.uniform(0.8, 1.4)), rng)
    time = np.arange(length) / RATE_HZ
    for multiple in (1, 2, 3):
        hum = 0.25 * level * float(rng.lognormal(-0.5, 0.8))
        noise += hum * np.sin(2 * np.pi * 50.0 * multiple * time + rng.uniform(0, 2 * np.pi))
    for _ in range(rng.poisson(0.25 * visit.duration_s * rng.lognormal(-0.3, 0.8))):
        burst = acoustics.rub(rng.uniform(0.004, 0.06), float(np.exp(rng.uniform(np.log(150), np.log(900)))), rng)
        add(noise, burst, rng.uniform(0, visit.duration_s), float(rng.lognormal(-0.3, 0.6)))
    return noise


def digitise(made: Signal, loudness_db: float, visit: Visit, rng: np.random.Generator) -> NDArray[np.float64]:
    """Bring the sound to the recording's rate and level, with the electronics' own noise."""
    import soxr

    sound: NDArray[np.float64] = soxr.resample(made, RATE_HZ, visit.sample_rate_hz, quality="HQ")
    level_db = -27.0 + loudness_db + 2.5 * float(rng.normal())
    level_db = float(np.clip(level_db, -42.0, -14.0))
    sound = sound * 10 ** (level_db / 20) / np.sqrt(np.mean(sound**2))
    sound += 10 ** (-72 / 20) * rng.standard_normal(len(sound))
    return sound * min(1.0, 0.9 / float(np.abs(sound).max()))
