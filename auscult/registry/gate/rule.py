"""The rule: which of two models serves tomorrow. Set in advance in ``params.yaml``, applied without looking again.

Order matters: what makes a challenger unfit is asked before how good it is, so that no figure of a
model that has met the test patients is ever weighed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from auscult.core.digests import patient_key
from auscult.evaluation.metrics import Predictions, measure, slug
from auscult.registry.gate.evidence import Contender, constant, gather, parties
from auscult.registry.gate.interval import patients_by_side
from auscult.settings import GateSettings

Outcome = Literal["promote", "refuse", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What was decided, by which rule, on what evidence; :meth:`to_json` is the record."""

    outcome: Outcome
    rule: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"outcome": self.outcome, "rule": self.rule, "reason": self.reason, **self.evidence}


def decide(
    dataset: str, challenger: Contender, champion: Contender | None, settings: GateSettings, in_service: int = 1
) -> Decision:
    """Whether *challenger* takes the place of *champion*.

    Parameters
    ----------
    dataset
        Its name; part of the patients' keys.
    challenger, champion
        With answers to the same units; ``None`` where nothing is in service yet.
    in_service
        Experiments that are decided on in one retraining; each gets its share of the error.

    Returns
    -------
    Decision
        ``promote``, ``refuse``, or ``undecided`` where the evidence does not suffice; in the last two cases the
        champion stays.
    """
    unfit = _unfit(dataset, challenger, champion)
    if unfit is not None:
        return replace(unfit, evidence=parties(challenger, champion))
    own = challenger.answers
    assert own is not None
    keep = _fresh(dataset, own, champion)
    mine = own.where(keep)
    theirs = champion.answers.where(keep) if champion is not None and champion.answers is not None else constant(mine)
    confidence = 1.0 - (1.0 - settings.confidence) / in_service
    evidence = gather(challenger, champion, mine, theirs, settings, confidence)
    fewest = min(patients_by_side(mine))
    if fewest < settings.min_patients:
        normal, abnormal = patients_by_side(mine)
        reason = (
            f"too few test patients that neither model has learned from: {normal} with normal and {abnormal} with"
            f" abnormal {mine.task.unit}s, {settings.min_patients} of each are asked for"
        )
        return Decision("undecided", "too_few_patients", reason, evidence)
    below = list(_below_floors(challenger, own, settings))  # also of whom the champion knows: they are new to it
    if below:
        reason = f"on all {len(set(own.patients))} test patients: {'; '.join(below)}"
        return Decision("refuse", "floor", reason, evidence)
    return _weigh(challenger, champion, evidence["difference"], settings, evidence)


def _unfit(dataset: str, challenger: Contender, champion: Contender | None) -> Decision | None:
    """Why the challenger is not weighed at all, if so."""
    if champion is not None and challenger.digest == champion.digest:
        return Decision("refuse", "unchanged", "the retrained model is the champion itself: nothing has changed")
    if challenger.withdrawn:
        reason = f"this very model was taken out of service by hand: {challenger.withdrawn}"
        return Decision("refuse", "withdrawn", reason)
    if challenger.answers is None:
        return Decision("refuse", "broken", f"the challenger cannot answer: {challenger.fault}")
    fault = _nonsense(challenger.answers) or _all_the_same(challenger.answers)
    if fault:
        return Decision("refuse", "broken", f"the challenger's answers are no answers: {fault}")
    if challenger.learned_from is None:
        return Decision("refuse", "unknown_patients", "the challenger does not say which patients it has learned from")
    met = {patient_key(dataset, str(patient)) for patient in challenger.answers.patients} & challenger.learned_from
    if met:
        return Decision("refuse", "leak", f"the challenger has learned from {len(met)} of the test patients")
    return _incomparable(champion) if champion is not None else None


def _incomparable(champion: Contender) -> Decision | None:
    """Why nothing can be compared with the champion, if so; a person must put another into service."""
    if champion.answers is None:
        return Decision("undecided", "champion_broken", f"the champion cannot answer: {champion.fault}")
    fault = _nonsense(champion.answers)
    if fault:
        return Decision("undecided", "champion_broken", f"the champion's answers are no answers: {fault}")
    if champion.learned_from is None:
        reason = "the champion does not say which patients it has learned from, so no patient is known to be new to it"
        return Decision("undecided", "unknown_patients", reason)
    return None


def _nonsense(answers: Predictions) -> str:
    p = answers.probabilities
    if not np.isfinite(p).all():
        return f"{int((~np.isfinite(p)).any(axis=1).sum())} of {len(answers)} hold a probability that is no number"
    if (p < -1e-6).any() or (np.abs(p.sum(axis=1) - 1.0) > 1e-3).any():
        return "probabilities that are negative or do not sum to one"
    return ""


def _all_the_same(answers: Predictions) -> str:
    same = len(answers) > 1 and np.ptp(answers.probabilities, axis=0).max() == 0.0
    return f"all {len(answers)} are the same" if same else ""


def _fresh(dataset: str, answers: Predictions, champion: Contender | None) -> Any:
    """Which units are of patients that the champion has not learned from either; boolean, shape (n,)."""
    known = champion.learned_from if champion is not None and champion.learned_from else frozenset()
    return np.array([patient_key(dataset, str(patient)) not in known for patient in answers.patients], dtype=bool)


def _below_floors(challenger: Contender, answers: Predictions, settings: GateSettings) -> Iterator[str]:
    figures = {name: float(values[0]) for name, values in measure(answers, np.ones((1, len(answers)))).items()}
    for name in answers.task.classes:
        recall = figures[f"recall_{slug(name)}"]
        if recall < settings.min_recall:  # NaN where the class does not occur: nothing is known against it
            yield f"it recognises {recall:.0%} of {name!r}, the floor is {settings.min_recall:.0%}"
    if figures["calibration_error"] > settings.max_calibration_error:
        yield (
            f"its calibration error is {figures['calibration_error']:.2f},"
            f" the limit is {settings.max_calibration_error:.2f}"
        )
    if not challenger.latency_ms <= settings.max_latency_ms:
        yield f"it takes {challenger.latency_ms:.0f} ms for a recording, the limit is {settings.max_latency_ms:.0f} ms"
    if not challenger.size_mb <= settings.max_size_mb:
        yield f"its weights have {challenger.size_mb:.1f} MB, the limit is {settings.max_size_mb:.1f} MB"


def _weigh(
    challenger: Contender,
    champion: Contender | None,
    difference: Mapping[str, float | None],
    settings: GateSettings,
    evidence: Mapping[str, Any],
) -> Decision:
    value, low, high = difference["value"], difference["low"], difference["high"]
    against = f"version {champion.version}" if champion is not None else "a constant answer"
    if value is None or low is None or high is None:
        reason = f"{evidence['score']} or its interval is undefined on these patients"
        return Decision("undecided", "undefined", reason, evidence)
    said = f"{evidence['score']} {value:+.3f} ({low:+.3f} to {high:+.3f}) against {against}"
    if champion is None:
        said += "; nothing is in service, so the mean of sensitivity and specificity decides"
    if low > 0.0:
        return Decision("promote", "better" if champion is not None else "first", f"better: {said}", evidence)
    if champion is None:
        return Decision("refuse", "first_not_shown", f"not shown to be better: {said}", evidence)
    saved = cheaper(challenger, champion, settings.cheaper)
    if low > -settings.margin and saved:
        return Decision("promote", "as_good_and_cheaper", f"as good, and {saved}: {said}", evidence)
    if high < 0.0:
        return Decision("refuse", "worse", f"worse: {said}", evidence)
    return Decision("refuse", "not_shown", f"not shown to be better: {said}", evidence)


def cheaper(challenger: Contender, champion: Contender, factor: float) -> str:
    """In which way the challenger costs less by at least *factor*, in words; empty when in none."""
    if challenger.size_mb * factor <= champion.size_mb:
        return f"smaller ({challenger.size_mb:.2f} instead of {champion.size_mb:.2f} MB)"
    if challenger.latency_ms * factor <= champion.latency_ms:
        return f"faster ({challenger.latency_ms:.0f} instead of {champion.latency_ms:.0f} ms for a recording)"
    return ""
