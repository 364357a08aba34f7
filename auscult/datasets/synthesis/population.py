"""Plan of the sample data set: patients, devices, recordings, and how often each sound occurs.

The plan depends on the seed alone and is complete before any audio is rendered. Each patient has a separate random
generator, so that nothing depends on the number of workers.

The shares follow ICBHI 2017 (Rocha et al., "A respiratory sound database for the
development of automated classification", doi:10.1007/978-981-10-7419-6_6): 53 % normal
cycles, 27 % crackles, 13 % wheezes, 7 % both; COPD dominates; devices and diagnoses are associated, though less
strictly than in ICBHI, where the device reveals the diagnosis.

Patients are numbered in the order of enrolment. The last quarter is the second period: the case mix changes, as it does
in SPRSound (Zhang et al. 2022, doi:10.21227/rqh3-h568), where the share of adventitious events rises from 14 % in the
first quarter of the recordings to 27 % in the last. What else changes is in ``recording_chain``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Order of the classes in every array of class shares.
SOUNDS = ("normal", "crackle", "wheeze", "both")
TARGET_SHARES = (0.53, 0.27, 0.13, 0.07)
#: The same among the cycles of the second period; the first has the rest.
LATE_SHARES = (0.38, 0.34, 0.17, 0.11)
#: Share of the patients, those enrolled last, who are the second period.
LATE = 0.25

FIRST_NUMBER = 101
#: A patient has one to three recordings; in a small sample more, so that there are so many in total.
LEAST_RECORDINGS = 60
#: Least, most frequent and longest duration of a recording.
DURATION_S = (4.0, 4.5, 9.5)

_LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")


@dataclass(frozen=True)
class Disease:
    """Distribution of patients, sounds and devices for a diagnosis.

    Attributes
    ----------
    share
        Share of the patients in the first and in the second period.
    sounds
        Mean shares of normal, crackle, wheeze and both among the cycles.
    fine
        Probability that the patient's crackles are fine ones.
    recordings
        Probabilities of one, two and three recordings.
    age
        Mean and standard deviation, years.
    devices
        Probabilities of DEVICES.
    expiration
        Breath sound of expiration relative to inspiration, dB.
    inspiration_share
        Share of inspiration in the breathing cycle.
    slope_db
        Fall of the breath-sound spectrum per octave; less for consolidated lungs and swollen upper airways.
    """

    share: tuple[float, float]
    sounds: tuple[float, float, float, float]
    fine: float
    recordings: tuple[float, float, float]
    age: tuple[float, float]
    devices: tuple[float, float]
    expiration: float
    inspiration_share: float
    slope_db: float


DEVICES = ("Meditron", "LittC2SE")
#: Probabilities of one, two and three recordings of a patient.
_MANY, _FEW = (0.35, 0.40, 0.25), (0.60, 0.30, 0.10)

#: Expiration is prolonged in obstruction and louder in bronchial breathing (Bohadana et al. 2014,
#: "Fundamentals of lung auscultation", doi:10.1056/NEJMra1302901).
DISEASES: dict[str, Disease] = {
    "COPD": Disease((0.38, 0.46), (0.40, 0.35, 0.16, 0.09), 0.25, _MANY, (63, 11), (0.52, 0.48), -3.0, 0.33, 13.5),
    "Healthy": Disease((0.36, 0.24), (0.90, 0.05, 0.04, 0.01), 0.5, _FEW, (48, 20), (0.68, 0.32), -13.0, 0.42, 11.0),
    "URTI": Disease((0.10, 0.10), (0.72, 0.12, 0.12, 0.04), 0.3, _FEW, (34, 22), (0.62, 0.38), -7.0, 0.41, 8.5),
    "Pneumonia": Disease((0.05, 0.08), (0.42, 0.46, 0.06, 0.06), 0.75, _FEW, (58, 18), (0.54, 0.46), -1.5, 0.42, 8.5),
    "Bronchiectasis": Disease(
        (0.04, 0.04), (0.36, 0.44, 0.10, 0.10), 0.1, _FEW, (56, 12), (0.54, 0.46), -4.0, 0.38, 11.0
    ),
    "Bronchiolitis": Disease((0.04, 0.04), (0.50, 0.20, 0.20, 0.10), 0.8, _FEW, (3, 2), (0.60, 0.40), -5.0, 0.37, 9.5),
    "LRTI": Disease((0.02, 0.02), (0.48, 0.28, 0.15, 0.09), 0.4, _FEW, (48, 22), (0.54, 0.46), -4.0, 0.40, 9.5),
    "Asthma": Disease((0.01, 0.02), (0.40, 0.08, 0.44, 0.08), 0.3, _FEW, (38, 16), (0.60, 0.40), -2.0, 0.34, 12.0),
}

#: Native rate (Hz) and libsndfile subtype of a device's recordings, with their probabilities. 44.1 kHz at 24 bits
#: is the most frequent format in ICBHI; here it is rare, to keep the data small.
_FORMATS: dict[str, tuple[tuple[int, str, float], ...]] = {
    "Meditron": ((44100, "PCM_24", 0.10), (44100, "PCM_16", 0.15), (4000, "PCM_16", 0.55), (10000, "PCM_24", 0.20)),
    "LittC2SE": ((44100, "PCM_16", 0.20), (4000, "PCM_16", 0.50), (10000, "PCM_16", 0.30)),
}


@dataclass(frozen=True)
class Patient:
    """A patient; ``late`` is the second period, ``None`` is NA in the demographic table."""

    number: int
    late: bool
    diagnosis: str
    age_years: float | None
    sex: Literal["F", "M"] | None
    adult: bool
    bmi: float | None
    weight_kg: float | None
    height_cm: float | None
    #: Shares of SOUNDS among the cycles of the patient; shape (4,), sum 1.
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Visit:
    """A planned recording; ``order`` numbers the recordings of a patient and seeds the generator."""

    patient: Patient
    order: int
    index: str
    location: str
    device: str
    sample_rate_hz: int
    subtype: str
    duration_s: float

    @property
    def name(self) -> str:
        """Name of the recording in ICBHI's format, without file name extension."""
        return f"{self.patient.number}_{self.index}_{self.location}_sc_{self.device}"


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of a patient, recording or fault, independent of those of other keys."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed & 0xFFFFFFFF, *key])))


def plan(patients: int, seed: int) -> list[Visit]:
    """Plan all valid recordings, sorted by name.

    Parameters
    ----------
    patients
        Number of patients; 8 or more.
    seed
        Determines everything.
    """
    late = np.arange(patients) >= patients - round(LATE * patients)
    diagnoses = [
        *_diagnoses(int((~late).sum()), 0, generator(seed, 0, 1)),
        *_diagnoses(int(late.sum()), 1, generator(seed, 0, 3)),
    ]
    least = math.ceil(LEAST_RECORDINGS / patients)
    counts = [
        _count(DISEASES[name], least, generator(seed, FIRST_NUMBER + k, 0, 1)) for k, name in enumerate(diagnoses)
    ]
    shares = _shares(diagnoses, counts, late, seed)
    visits: list[Visit] = []
    for k, (diagnosis, count) in enumerate(zip(diagnoses, counts, strict=True)):
        rng = generator(seed, FIRST_NUMBER + k, 0, 2)
        visits += _visits(_patient(FIRST_NUMBER + k, bool(late[k]), diagnosis, shares[k], rng), count, rng)
    return sorted(visits, key=lambda visit: visit.name)


def _diagnoses(patients: int, period: int, rng: np.random.Generator) -> list[str]:
    """Return a diagnosis per patient of a period, shuffled: quotas by largest remainder.

    The first period has at least 2 Healthy and 2 URTI, so that a small sample has all classes of all tasks.
    """
    names = list(DISEASES)
    exact = np.array([DISEASES[name].share[period] for name in names]) * patients
    quota = np.floor(exact + 1e-9).astype(int)
    if period == 0:
        quota[names.index("Healthy")] = max(quota[names.index("Healthy")], 2)
        quota[names.index("URTI")] = max(quota[names.index("URTI")], 2)
    remainder = np.argsort(quota - exact, kind="stable")
    for k in range(patients - int(quota.sum())):
        quota[remainder[k % len(names)]] += 1
    listed = np.repeat(names, np.maximum(quota, 0))[:patients]
    return [str(name) for name in rng.permutation(listed)]


def _count(disease: Disease, least: int, rng: np.random.Generator) -> int:
    return max(least, 1 + int(rng.choice(3, p=disease.recordings)))


def _shares(diagnoses: list[str], counts: list[int], late: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """Return class shares per patient, drawn around the disease's and raked to those of the period; (patients, 4)."""
    drawn = np.empty((len(diagnoses), len(SOUNDS)))
    for k, name in enumerate(diagnoses):
        # More concentrated than in ICBHI, where the most frequent class of each patient covers 67 % of the cycles: with
        # four cycles per patient instead of 55, a model that knows the patient would otherwise gain nothing by it.
        drawn[k] = generator(seed, FIRST_NUMBER + k, 0, 3).dirichlet(1.0 * np.array(DISEASES[name].sounds)) + 0.01
    weights = np.array(counts, dtype=float) / sum(counts)
    share = float(weights[late].sum())
    early = (np.array(TARGET_SHARES) - share * np.array(LATE_SHARES)) / (1 - share)
    for period, target in ((~late, early), (late, np.array(LATE_SHARES))):
        for _ in range(50 if period.any() else 0):
            drawn[period] /= drawn[period].sum(axis=1, keepdims=True)
            drawn[period] *= target / (weights[period] @ drawn[period] / weights[period].sum())
    result: NDArray[np.float64] = drawn / drawn.sum(axis=1, keepdims=True)
    return result


def _patient(number: int, late: bool, diagnosis: str, shares: NDArray[np.float64], rng: np.random.Generator) -> Patient:
    disease = DISEASES[diagnosis]
    age = float(np.clip(rng.normal(*disease.age), 0.5, 93))
    adult = age >= 18
    sex: Literal["F", "M"] = "M" if rng.random() < (0.64 if diagnosis == "COPD" else 0.5) else "F"
    height = (172.0 if sex == "M" else 160.0) + 7 * rng.normal() if adult else 75 + 5.6 * age + 4 * rng.normal()
    body_mass = np.clip(rng.normal(27, 4.5), 17, 45) if adult else np.clip(rng.normal(16.5, 1.5), 13, 24)
    unknown = rng.random(3) < (0.03, 0.02, 0.08)
    return Patient(
        number=number,
        late=late,
        diagnosis=diagnosis,
        age_years=None if unknown[0] else (float(round(age)) if age >= 3 else round(age, 2)),
        sex=None if unknown[1] else sex,
        adult=adult,
        bmi=round(float(body_mass), 1) if adult and not unknown[2] else None,
        weight_kg=None if adult or unknown[2] else round(float(body_mass * (height / 100) ** 2), 1),
        height_cm=None if adult or unknown[2] else float(round(height)),
        shares=tuple(float(value) for value in shares),
    )


def _visits(patient: Patient, count: int, rng: np.random.Generator) -> list[Visit]:
    """Plan the recordings of a patient: one device, different locations within a session."""
    device = str(rng.choice(DEVICES, p=DISEASES[patient.diagnosis].devices))
    visits: list[Visit] = []
    while len(visits) < count:
        session = 1 + len(visits) // len(_LOCATIONS)
        formats = _FORMATS[device]
        rate, subtype, _ = formats[rng.choice(len(formats), p=[entry[2] for entry in formats])]
        used = {v.location for v in visits if int(v.index[0]) == session}
        free = [location for location in _LOCATIONS if location not in used]
        visits.append(
            Visit(
                patient=patient,
                order=len(visits),
                index=f"{session}b{1 + int(rng.integers(3))}",
                location=str(rng.choice(free)),
                device=device,
                sample_rate_hz=rate,
                subtype=subtype,
                duration_s=round(float(rng.triangular(*DURATION_S)), 2),
            )
        )
    return visits
