"""Audio renderer: one recording of a patient, with breath sounds, adventitious sounds and the recording chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.datasets.synthesis import acoustics
from auscult.datasets.synthesis.acoustics import RATE_HZ, Signal, add
from auscult.datasets.synthesis.population import DISEASES, SOUNDS, Patient, Visit, generator
from auscult.datasets.synthesis.recording_chain import (
    TransferFunction,
    apply,
    artefacts,
    chest_piece,
    chest_wall,
    coupling,
    digitise,
    friction,
    noise,
)

#: Share of cycles whose annotation is wrong in one flag: faint sounds are missed, and friction is taken for a crackle.
#: Among experts the share is higher: on crackles they agree in 65 to 87 % of the recordings ("International perception
#: of lung sounds", BMJ Open Respiratory Research 2017, e000250).
ANNOTATOR_ERROR = 0.03

#: Shortest and longest fine and coarse crackles, in s: their two cycles last about 5 and 15 ms on average (Bohadana et
#: al. 2014, doi:10.1056/NEJMra1302901); 10 ms separate them (Sovijärvi et al. 2000, CORSA).
FINE_S, COARSE_S = (5e-3, 10e-3), (10e-3, 30e-3)
#: Shortest and longest friction of the chest piece, in s: as loud as a crackle and in its band, but longer.
FRICTION_S = (25e-3, 50e-3)


@dataclass(frozen=True)
class Cycle:
    """An annotated breathing cycle: begin and end (s) and the two flags."""

    start_s: float
    end_s: float
    crackles: bool
    wheezes: bool


@dataclass(frozen=True)
class Physiology:
    """Traits of a patient that determine the sound; drawn once, from the generator of the patient."""

    wall: TransferFunction
    cycle_s: float
    inspiration_share: float
    expiration_gain: float
    corner_hz: float
    slope_db: float
    skew: float
    heart_rate: float
    heart_gain: float
    loudness_db: float
    fine: bool
    crackle_scale: float
    crackle_count: float
    crackle_gain: float
    pitch_hz: float
    harmonics: tuple[float, ...]
    wheeze_s: float
    wheeze_gain: float
    hair_rate: float
    hair_gain: float
    groans: float


def physiology(patient: Patient, seed: int) -> Physiology:
    """Draw the traits of a patient: children breathe faster, obstruction prolongs expiration."""
    rng = generator(seed, patient.number, 1)
    disease = DISEASES[patient.diagnosis]
    body_mass = 0.0 if patient.bmi is None else (patient.bmi - 27) / 4.5
    young = not patient.adult
    rhonchus = rng.random() < 0.25
    pitch = rng.uniform(110, 220) if rhonchus else np.clip(rng.lognormal(np.log(380), 0.38), 220, 900)
    overtones = rng.uniform(0.25, 0.7, 4) ** np.arange(1, 5) if rhonchus else rng.uniform(0.05, 0.45, 2) ** (1, 2)
    hairy = 0.5 if patient.adult and patient.sex == "M" else 0.2
    fine = bool(rng.random() < disease.fine)
    return Physiology(
        wall=chest_wall(body_mass, rng),
        cycle_s=float(np.clip((1.9 if young else 2.4) * rng.lognormal(0, 0.18), 1.4, 3.6)),
        inspiration_share=float(np.clip(disease.inspiration_share + 0.04 * rng.normal(), 0.25, 0.5)),
        expiration_gain=float(10 ** ((disease.expiration + 2.0 * rng.normal()) / 20)),
        corner_hz=float(rng.uniform(80, 130)),
        slope_db=float(np.clip(rng.normal(disease.slope_db, 1.0), 6, 16)),
        skew=float(rng.uniform(0.7, 1.2)),
        heart_rate=float(np.clip(rng.normal(115 if young else 76, 11), 52, 160)),
        heart_gain=float(10 ** (rng.normal(2, 5) / 20)),
        loudness_db=float(2.0 * rng.normal()),
        fine=fine,
        crackle_scale=float(rng.lognormal(0, 0.2)),
        crackle_count=float(rng.uniform(4, 12) if fine else rng.uniform(2.5, 7)),
        crackle_gain=float(10 ** (rng.normal(13.0, 3.0) / 20)),
        pitch_hz=float(pitch),
        harmonics=(1.0, *(float(value) for value in overtones)),
        wheeze_s=float(rng.uniform(0.25, 0.9)),
        wheeze_gain=float(10 ** (rng.normal(1.5, 3.5) / 20)),
        hair_rate=float(rng.uniform(0.8, 2.5) if rng.random() < hairy else 0.3),
        hair_gain=float(10 ** (rng.normal(9.0, 3.0) / 20)),
        groans=float(rng.uniform(0.2, 0.7) if rng.random() < 0.15 else 0.0),
    )


def render(visit: Visit, seed: int) -> tuple[NDArray[np.float64], list[Cycle]]:
    """Render one recording.

    Returns
    -------
    samples
        Shape (n,), full scale 1, at the sample rate of the visit.
    cycles
        Annotated cycles, in order, contiguous, within the audio.
    """
    rng = generator(seed, visit.patient.number, 2, visit.order)
    body = physiology(visit.patient, seed)
    length = round(visit.duration_s * RATE_HZ)
    tracks = np.zeros((3, length))
    cycles = _breathe(tracks, body, visit, rng)
    inspiration, expiration, adventitious = tracks
    trachea = visit.location == "Tc"
    slope = body.slope_db * (0.6 if trachea else 1.0)
    corner = body.corner_hz * (2.0 if trachea else 1.0)
    inside = inspiration * acoustics.shaped_noise(length, acoustics.breath_spectrum(corner, slope), rng)
    inside += expiration * acoustics.shaped_noise(length, acoustics.breath_spectrum(0.8 * corner, slope), rng)
    inside += adventitious
    near_heart = {"Al": 0.0, "Ll": -4.0, "Tc": -6.0}.get(visit.location, -9.0)
    inside += body.heart_gain * 10 ** (near_heart / 20) * acoustics.heart(length, body.heart_rate, rng)
    ambient = noise(length, visit, rng)
    sound = apply(apply(inside, body.wall, coupling(rng)) + ambient, *chest_piece(visit))
    sound += np.sqrt(np.mean(sound**2)) * artefacts(length, visit, rng)
    return digitise(sound, body.loudness_db, visit, rng), cycles


def _breathe(tracks: Signal, body: Physiology, visit: Visit, rng: np.random.Generator) -> list[Cycle]:
    """Fill the tracks cycle by cycle, from before the start to after the end; return the whole cycles.

    Parameters
    ----------
    tracks
        Envelopes of inspiration and expiration, and the adventitious sounds; shape (3, n).
    """
    shares = rng.dirichlet(2.0 * np.array(visit.patient.shares) + 0.005)
    depth = rng.lognormal(0, 0.15)
    rate = body.hair_rate * friction(visit)
    cycles: list[Cycle] = []
    for begin, cycle_s in _times(body, visit, rng):
        kind = SOUNDS[rng.choice(4, p=shares)]
        crackles, wheezes = kind in ("crackle", "both"), kind in ("wheeze", "both")
        _one_cycle(tracks, body, rate, begin, cycle_s, depth * float(rng.lognormal(0, 0.12)), crackles, wheezes, rng)
        marks = rng.normal(0, 0.04, 2)
        if rng.random() < ANNOTATOR_ERROR:
            crackles, wheezes = (not crackles, wheezes) if rng.random() < 0.6 else (crackles, not wheezes)
        if begin < 0.0 or begin + cycle_s > visit.duration_s:
            continue
        start_s = cycles[-1].end_s if cycles else round(max(begin + marks[0], 0.0), 3)
        end_s = round(min(begin + cycle_s + marks[1], visit.duration_s - 0.01), 3)
        cycles.append(Cycle(float(start_s), float(end_s), crackles, wheezes))
    return cycles


def _times(body: Physiology, visit: Visit, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Return begin and duration of all cycles, with one before and one after the recording's whole cycles.

    Recordings are cut to whole cycles, with a little of the neighbouring ones: otherwise a third of a short
    recording would have no label.
    """
    first, rest = rng.uniform(0.02, 0.35, 2)
    count = max(1, round((visit.duration_s - first - rest) / body.cycle_s))
    lengths = np.clip(rng.lognormal(0, 0.10, count), 0.75, 1.3)
    lengths *= (visit.duration_s - first - rest) / lengths.sum()
    begins = first + np.concatenate([[0.0], np.cumsum(lengths)])
    before, after = (first - body.cycle_s, body.cycle_s), (float(begins[-1]), body.cycle_s)
    whole = [(float(begin), float(cycle_s)) for begin, cycle_s in zip(begins[:-1], lengths, strict=True)]
    return [before, *whole, after]


def _one_cycle(
    tracks: Signal,
    body: Physiology,
    rate: float,
    begin: float,
    cycle_s: float,
    depth: float,
    crackles: bool,
    wheezes: bool,
    rng: np.random.Generator,
) -> None:
    inspiration_s = body.inspiration_share * cycle_s
    expiration_s = (cycle_s - inspiration_s) * rng.uniform(0.75, 0.95)
    rise = acoustics.flow(int(inspiration_s * RATE_HZ), body.skew) ** 1.7
    fall = acoustics.flow(int(expiration_s * RATE_HZ), 0.8 * body.skew) ** 1.7
    inspiration, expiration, adventitious = tracks
    add(inspiration, rise, begin, depth)
    add(expiration, fall, begin + inspiration_s, depth * body.expiration_gain)
    _confounders(adventitious, body, rate, begin, cycle_s, rng)
    if crackles:
        _crackles(adventitious, body, begin, inspiration_s, expiration_s, rng)
    if wheezes:
        _wheezes(adventitious, body, begin, inspiration_s, expiration_s, rng)


def _crackles(
    track: Signal, body: Physiology, begin: float, inspiration_s: float, expiration_s: float, rng: np.random.Generator
) -> None:
    """Add fine crackles late in inspiration, coarse ones early in it and some in expiration."""
    gain = body.crackle_gain * rng.lognormal(0, 0.25)
    for _ in range(2 + rng.poisson(body.crackle_count)):
        if body.fine:
            when = begin + inspiration_s * rng.beta(4.0, 1.6)
            width, cycles = rng.uniform(0.5e-3, 0.9e-3), rng.normal(6e-3, 0.6e-3)
        else:
            late = rng.random() < 0.3
            when = begin + (
                inspiration_s + expiration_s * rng.beta(1.5, 2.5) if late else inspiration_s * rng.beta(2, 2.5)
            )
            width, cycles = rng.uniform(1.2e-3, 2.0e-3), rng.normal(15e-3, 1.7e-3)
        cycles = np.clip(cycles * body.crackle_scale, *(FINE_S if body.fine else COARSE_S))
        wave = acoustics.crackle(width * body.crackle_scale, float(cycles))
        add(track, wave, when, gain * float(rng.lognormal(-0.2, 0.4)) * (1 if rng.random() < 0.5 else -1))


def _wheezes(
    track: Signal, body: Physiology, begin: float, inspiration_s: float, expiration_s: float, rng: np.random.Generator
) -> None:
    """Add a wheeze or rhonchus in expiration, at times in inspiration as well."""
    phases = [(begin + inspiration_s, expiration_s)]
    if rng.random() < 0.2:
        phases.append((begin, inspiration_s))
    for start, available in phases:
        long_s = float(np.clip(body.wheeze_s * rng.lognormal(0, 0.25), 0.12, 0.9 * available))
        pitch = body.pitch_hz * 2 ** rng.normal(0, 0.08)
        sound = acoustics.wheeze(int(long_s * RATE_HZ), pitch, rng.normal(-0.1, 0.15), body.harmonics, rng)
        when = start + rng.uniform(0.0, max(available - long_s, 0.0))
        add(track, sound, when, body.wheeze_gain * float(rng.lognormal(0, 0.2)))


def _confounders(
    track: Signal, body: Physiology, rate: float, begin: float, cycle_s: float, rng: np.random.Generator
) -> None:
    """Add sounds that resemble adventitious ones to any cycle: hair under the chest piece, and vocal sounds.

    Friction of the chest piece resembles crackles (Ye et al. 2022, "Regularity and mechanism of fake
    crackle noise in an electronic stethoscope", doi:10.3389/fphys.2022.1079468).
    They are a trait of the patient, so that the sounds of one patient help to tell them apart.
    """
    for _ in range(rng.poisson(rate * cycle_s)):
        burst = acoustics.rub(rng.uniform(*FRICTION_S), float(np.exp(rng.uniform(np.log(250), np.log(700)))), rng)
        add(track, burst, begin + rng.uniform(0, cycle_s), body.hair_gain * float(rng.lognormal(-0.3, 0.5)))
    if rng.random() < body.groans:
        length = int(rng.uniform(0.1, 0.35) * RATE_HZ)
        sound = acoustics.wheeze(length, 0.6 * body.pitch_hz + 60, rng.normal(0.0, 0.3), (1.0, 0.5, 0.4, 0.2), rng)
        add(track, sound, begin + rng.uniform(0.4, 0.85) * cycle_s, 0.5 * float(rng.lognormal(0, 0.3)))
