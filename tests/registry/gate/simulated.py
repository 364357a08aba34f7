"""Simulated predictions of several models, with units of one patient correlated as in real data."""

from __future__ import annotations

from typing import Any

import numpy as np

from auscult.core.digests import patient_key
from auscult.core.tasks import Task
from auscult.evaluation.metrics import Predictions
from auscult.registry.gate.rule import Contender
from auscult.settings import GateSettings

DATASET = "simulated"
TASK = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {"n": "normal", "a": "abnormal"})
SETTINGS = GateSettings(
    score="score",
    confidence=0.95,
    resamples=400,
    seed=41,
    min_patients=8,
    margin=0.02,
    cheaper=2.0,
    seed_deviation=0.0,
    false_promotions=1.0,
    min_recall=0.2,
    max_calibration_error=0.25,
    max_latency_ms=2000.0,
    max_size_mb=100.0,
)


def settings(**changes: Any) -> GateSettings:
    """Return the settings above with some changed."""
    return SETTINGS.model_copy(update=changes)


def simulate(*skills: float, patients: int = 40, seed: int = 0, shared: float = 0.7) -> list[Predictions]:
    """Return the predictions of one model per skill for the same units.

    Parameters
    ----------
    skills
        Distance between normal and abnormal units in a model's score; 1.2 is about 80 % correct.
    shared
        Correlation of the errors of all models; the rest is each model's own noise, part of it by patient.
    """
    rng = np.random.default_rng(seed)
    names, truth, common = [], [], []
    for patient in range(patients):
        count = max(4, int(rng.gamma(1.5, 8.0)))
        ill = rng.random(count) < rng.beta(0.6, 0.6)
        ill[:2] = False, True
        names += [f"p{patient}"] * count
        truth.append(ill)
        common.append(rng.normal(0, 1, count) + rng.normal(0, 0.6))
    y, hard = np.concatenate(truth).astype(np.int64), np.concatenate(common)
    codes = np.unique(names, return_inverse=True)[1]
    made = []
    for skill in skills:
        own = rng.normal(0, 0.6, patients)[codes] + rng.normal(0, 1, len(y))
        logit = skill * (2 * y - 1) + shared * hard + np.sqrt(1 - shared**2) * own
        p = 1 / (1 + np.exp(-2 * logit))
        given = np.stack([1 - p, p], axis=1)
        made.append(Predictions(TASK, y, (logit > 0).astype(np.int64), given, np.array(names, dtype=object)))
    return made


def patients_with(given: Predictions, normal: int, abnormal: int) -> Predictions:
    """Return the normal units of the first *normal* patients and the abnormal units of the next *abnormal* ones."""
    number = np.array([int(name[1:]) for name in given.patients])
    healthy = (number < normal) & (given.y == 0)
    return given.where(healthy | ((number >= normal) & (number < normal + abnormal) & (given.y == 1)))


def contender(given: Predictions | None, version: str, **changes: Any) -> Contender:
    """Return a valid model that has learned from none of the patients."""
    about: dict[str, Any] = {
        "version": version,
        "digest": f"digest-{version}",
        "learned_from": frozenset({patient_key(DATASET, "another patient")}),
        "predictions": given,
        "latency_ms": 30.0,
        "size_mb": 0.6,
    }
    return Contender(**(about | changes))
