"""What is known of the two models when the rule is applied, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from auscult.evaluation.metrics import Predictions, measure, slug
from auscult.registry.gate.interval import Interval, compare, patients_by_side
from auscult.settings import GateSettings

#: What decides where nothing is in service, whatever ``flows.gate.score`` is: the mean of sensitivity and specificity.
#: By others a coin toss beats a constant answer (``sprsound_score``, ``f1_macro``), or none is defined (``mcc``).
FIRST = "score"


@dataclass(frozen=True)
class Contender:
    """A model as it was found when it was asked.

    Attributes
    ----------
    version
        Of the registered model.
    digest
        Of the model's files: equal for the same model.
    learned_from
        Keys of the patients it was trained or validated on (:func:`auscult.core.digests.patient_key`); ``None``
        where the model does not say.
    answers
        To the test units of the challenger's split; ``None`` where it could not answer.
    fault
        Why it could not, in words.
    latency_ms
        Median time for a recording.
    size_mb
        Of its weights.
    withdrawn
        Why somebody took it out of service, or empty.
    """

    version: str
    digest: str
    learned_from: frozenset[str] | None
    answers: Predictions | None
    fault: str = ""
    latency_ms: float = float("nan")
    size_mb: float = float("nan")
    withdrawn: str = ""


def constant(answers: Predictions) -> Predictions:
    """The answer "normal" to everything: what a first model must be shown to beat."""
    probabilities = np.zeros_like(answers.probabilities)
    probabilities[:, answers.task.normal_index] = 1.0
    predicted = np.full(len(answers), answers.task.normal_index, dtype=np.int64)
    return replace(answers, predicted=predicted, probabilities=probabilities)


def gather(
    challenger: Contender,
    champion: Contender | None,
    mine: Predictions,
    theirs: Predictions,
    settings: GateSettings,
    confidence: float,
) -> dict[str, Any]:
    """The figures that the decision rests on, as plain data.

    *mine* and *theirs* answer the same units, of patients that neither model has learned from.
    """
    score = settings.score if champion is not None else FIRST
    compared: dict[str, Interval] = {}
    if len(mine):
        compared = compare(mine, theirs, score, confidence, settings.resamples, settings.seed)
    normal, abnormal = patients_by_side(mine)
    left_out = len(set(challenger.answers.patients)) - len(set(mine.patients)) if challenger.answers else 0
    return {
        "score": score,
        "confidence": round(confidence, 6),
        "units": len(mine),
        "patients": len(set(mine.patients)),
        "patients_with_normal": normal,
        "patients_with_abnormal": abnormal,
        "patients_left_out": left_out,
        "challenger": _about(challenger, mine, compared.get("challenger")),
        "champion": _about(champion, theirs, compared.get("champion")) if champion is not None else None,
        "constant": compared["champion"].to_json() if champion is None and compared else None,
        "difference": compared["difference"].to_json() if compared else None,
        "settings": settings.model_dump(),
    }


def parties(challenger: Contender, champion: Contender | None) -> dict[str, Any]:
    """Who the two are, as plain data: all that is recorded where they were not compared."""
    return {"challenger": _named(challenger), "champion": _named(champion) if champion is not None else None}


def _named(contender: Contender) -> dict[str, Any]:
    return {"version": contender.version, "digest": contender.digest}


def _about(contender: Contender, answers: Predictions, score: Interval | None) -> dict[str, Any]:
    shown = {}
    if len(answers):
        figures = measure(answers, np.ones((1, len(answers))))
        wanted = ["score", "sensitivity", "specificity", "roc_auc", "calibration_error"]
        wanted += [f"recall_{slug(name)}" for name in answers.task.classes]
        shown = {name: round(float(figures[name][0]), 6) for name in wanted if np.isfinite(figures[name][0])}
    return {
        **_named(contender),
        "score": score.to_json() if score is not None else None,
        "figures": shown,
        "latency_ms": round(contender.latency_ms, 1) if np.isfinite(contender.latency_ms) else None,
        "size_mb": round(contender.size_mb, 3) if np.isfinite(contender.size_mb) else None,
    }
