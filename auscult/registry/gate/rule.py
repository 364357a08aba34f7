"""The rule of the gate: whether a challenger replaces the champion, and the record of that decision.

The limits are set in advance in ``flows/settings.yaml``. The order of the checks matters: whether a challenger may
be compared at all comes before its score, so that no score of a model that knows the test patients counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal

import numpy as np

from auscult.core.digests import patient_key
from auscult.evaluation.bootstrap import count_patients, difference, metrics_with_intervals, patient_weights
from auscult.evaluation.metrics import Predictions, measure, slug
from auscult.registry.gate.allowance import NOTHING, Spent, error_alone, error_of, loss_after
from auscult.registry.gate.noise import NO_SPREAD, NOT_MEASURED, SAME_MODEL, Noise, Spread, cover_retraining
from auscult.reporting import scale
from auscult.settings import GateSettings

Outcome = Literal["promote", "refuse", "undecided"]
#: Metric that decides on a first model, whatever the setting ``gate.score`` says: (sensitivity + specificity) / 2.
#: In others random predictions beat a constant answer (``sprsound_score``, ``f1_macro``) or none is defined (``mcc``).
FIRST = "score"


@dataclass(frozen=True)
class Contender:
    """A registered model as the gate found it."""

    #: Number of the registered version.
    version: str
    #: Digest of the model's files; equal for the same model.
    digest: str
    #: Keys of the patients it was trained or validated on (:func:`auscult.core.digests.patient_key`); ``None`` if the
    #: model does not record them.
    learned_from: frozenset[str] | None
    #: For the test units of the challenger's split; ``None`` if the model failed.
    predictions: Predictions | None
    #: Why it failed.
    fault: str = ""
    #: Median time per recording.
    latency_ms: float = float("nan")
    #: Size of its weights.
    size_mb: float = float("nan")
    #: When and why it was rolled back; empty if it was not.
    rolled_back: str = ""


@dataclass(frozen=True)
class Check:
    """A value of a model, and the limit that the settings set for it.

    Attributes
    ----------
    name
        A metric of :func:`auscult.evaluation.metrics.measure`, ``latency_ms`` or ``size_mb``.
    at_least
        The limit is a minimum; otherwise it is a maximum.
    """

    name: str
    value: float
    limit: float
    at_least: bool

    @property
    def missed(self) -> bool:
        """Whether the value is beyond the limit: no for the recall of a class that does not occur (NaN)."""
        return self.value < self.limit if self.at_least else not self.value <= self.limit

    def __str__(self) -> str:
        value, limit = (scale.shown(self.name, each) for each in (self.value, self.limit))
        return f"{self.name} is {value}, the {'minimum' if self.at_least else 'maximum'} is {limit}"


@dataclass(frozen=True)
class Decision:
    """The outcome, the rule that applied, the reason, and the metrics it rests on (``details``)."""

    outcome: Outcome
    rule: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the record of the decision as plain data."""
        return {"outcome": self.outcome, "rule": self.rule, "reason": self.reason, **self.details}


def decide(
    dataset: str,
    challenger: Contender,
    champion: Contender | None,
    settings: GateSettings,
    in_service: int = 1,
    noise: Noise = NOT_MEASURED,
    spent: Spent = NOTHING,
) -> Decision:
    """Decide whether *challenger* replaces *champion*.

    Parameters
    ----------
    dataset
        Its name, a part of the patient keys.
    challenger, champion
        With predictions for the same units; *champion* is ``None`` if no model is in service.
    in_service
        Number of experiments decided on in one retraining; each gets its share of the error probability.
    noise
        Seed variance of the experiment; where that of the deciding metric on the test part is not known,
        ``gate.seed_deviation`` is assumed.
    spent
        What earlier decisions on the experiment have used.

    Returns
    -------
    Decision
        ``promote``, ``refuse``, or ``undecided`` if the data do not suffice. In the last two cases the champion stays.
    """
    unfit = _unfit(dataset, challenger, champion)
    if unfit is not None:
        named = {"challenger": _identity(challenger), "champion": _identity(champion) if champion else None}
        return replace(unfit, details=named)
    everything = challenger.predictions
    assert everything is not None
    keep = _unknown_to(dataset, everything, champion)
    new = everything.where(keep)
    old = champion.predictions.where(keep) if champion and champion.predictions is not None else constant(new)
    error = error_of(settings, in_service, spent)
    covered = _covered(noise, settings, champion, new, old)
    details = _compared(challenger, champion, new, old, settings, 1.0 - 2.0 * error, covered)
    normal, abnormal = count_patients(new)
    if min(normal, abnormal) < settings.min_patients:
        reason = (
            f"too few test patients that neither model has learned from: {normal} with normal and {abnormal} with"
            f" abnormal {new.task.unit}s, {settings.min_patients} of each are required"
        )
        return Decision("undecided", "too_few_patients", reason, details)
    if not error:
        reason = (
            f"earlier decisions have used the {settings.false_promotions:g} expected false promotions in 365 days that"
            " gate.false_promotions allows"
        )
        return Decision("undecided", "no_error_left", reason, details)
    details |= {
        "error": error,
        "error_alone": round(error_alone(settings, in_service), 9),
        "margin_left": _margin_left(settings, spent),
    }
    # On all test patients, also those that the champion knows: the challenger knows none of them.
    costs = {"latency_ms": challenger.latency_ms, "size_mb": challenger.size_mb}
    if missed := [str(check) for check in checks(everything, settings, costs) if check.missed]:
        reason = f"on all {len(set(everything.patients))} test patients: {'; '.join(missed)}"
        return Decision("refuse", "limit", reason, details)
    return _by_interval(challenger, champion, settings, details, spent)


def constant(predictions: Predictions) -> Predictions:
    """Return "normal" for every unit: the constant answer that a first model must beat."""
    probabilities = np.zeros_like(predictions.probabilities)
    probabilities[:, predictions.task.normal_index] = 1.0
    predicted = np.full(len(predictions), predictions.task.normal_index, dtype=np.int64)
    return replace(predictions, predicted=predicted, probabilities=probabilities)


def _unfit(dataset: str, challenger: Contender, champion: Contender | None) -> Decision | None:
    """Return the decision if the two cannot be compared, else ``None``."""
    if champion is not None and challenger.digest == champion.digest:
        return Decision("refuse", "unchanged", "the retrained model is the champion itself: nothing has changed")
    if challenger.rolled_back:
        return Decision("refuse", "rolled_back", f"this model was rolled back: {challenger.rolled_back}")
    if challenger.predictions is None:
        return Decision("refuse", "broken", f"the challenger does not predict: {challenger.fault}")
    fault = _invalid(challenger.predictions) or _all_the_same(challenger.predictions)
    if fault:
        return Decision("refuse", "broken", f"the challenger's predictions are invalid: {fault}")
    if challenger.learned_from is None:
        reason = "the challenger does not record which patients it has learned from"
        return Decision("refuse", "unknown_patients", reason)
    known = {patient_key(dataset, str(each)) for each in challenger.predictions.patients} & challenger.learned_from
    if known:
        return Decision("refuse", "leak", f"the challenger has learned from {len(known)} of the test patients")
    if champion is None:
        return None
    if champion.predictions is None:
        return Decision("undecided", "champion_broken", f"the champion does not predict: {champion.fault}")
    if fault := _invalid(champion.predictions):
        return Decision("undecided", "champion_broken", f"the champion's predictions are invalid: {fault}")
    if champion.learned_from is None:
        reason = "the champion does not record which patients it has learned from, so none is known to be new to it"
        return Decision("undecided", "unknown_patients", reason)
    return None


def _invalid(predictions: Predictions) -> str:
    p = predictions.probabilities
    if not np.isfinite(p).all():
        return f"{int((~np.isfinite(p)).any(axis=1).sum())} of {len(predictions)} hold a probability that is not finite"
    if (p < -1e-6).any() or (np.abs(p.sum(axis=1) - 1.0) > 1e-3).any():
        return "probabilities that are negative or do not sum to one"
    return ""


def _all_the_same(predictions: Predictions) -> str:
    same = len(predictions) > 1 and np.ptp(predictions.probabilities, axis=0).max() == 0.0
    return f"all {len(predictions)} are the same" if same else ""


def _unknown_to(dataset: str, predictions: Predictions, champion: Contender | None) -> Any:
    """Return which units are of patients that the champion has not learned from; boolean, shape (n,)."""
    known = champion.learned_from if champion is not None and champion.learned_from else frozenset()
    return np.array([patient_key(dataset, str(patient)) not in known for patient in predictions.patients], dtype=bool)


def checks(predictions: Predictions, settings: GateSettings, costs: Mapping[str, float]) -> list[Check]:
    """Return the limits that a challenger must keep on all its test units, with its values.

    The comparison of a pull request checks them too.

    Parameters
    ----------
    costs
        ``latency_ms`` and ``size_mb``; what is missing is not checked, and NaN is beyond its limit.
    """
    metrics = _metrics(predictions)
    recalls = (f"recall_{slug(name)}" for name in predictions.task.classes)
    highest = {"latency_ms": settings.max_latency_ms, "size_mb": settings.max_size_mb}
    return [
        *(Check(name, metrics[name], settings.min_recall, at_least=True) for name in recalls),
        Check("calibration_error", metrics["calibration_error"], settings.max_calibration_error, at_least=False),
        *(Check(name, value, highest[name], at_least=False) for name, value in costs.items()),
    ]


def _by_interval(
    challenger: Contender,
    champion: Contender | None,
    settings: GateSettings,
    details: Mapping[str, Any],
    spent: Spent,
) -> Decision:
    """Decide by the interval of the difference in score."""
    value, low, high = (details["difference"][key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        reason = f"{details['score']} or its interval is undefined on these patients"
        return Decision("undecided", "undefined", reason, details)
    against = f"version {champion.version}" if champion is not None else "a constant answer"
    moved = scale.with_interval(details["score"], value, low, high, " points", sign=True)
    found = f"{details['score']} {moved} against {against}"
    if champion is None:
        found += "; nothing is in service, so the mean of sensitivity and specificity decides"
    details = {**details, "loss": loss_after(spent, low) if champion is not None else 0.0}
    if low > 0.0:
        return Decision("promote", "better" if champion is not None else "first", f"better: {found}", details)
    if champion is None:
        return Decision("refuse", "first_not_shown", f"not shown to be better: {found}", details)
    saved = cheaper(challenger, champion, settings.cheaper)
    if low > -_margin_left(settings, spent) and saved:
        return Decision("promote", "as_good_and_cheaper", f"as good, and {saved}: {found}", details)
    if high < 0.0:
        return Decision("refuse", "worse", f"worse: {found}", details)
    return Decision("refuse", "not_shown", f"not shown to be better: {found}", details)


def _margin_left(settings: GateSettings, spent: Spent) -> float:
    """Return by how much a cheaper model may be worse, after what cheaper champions before it may have lost."""
    return round(max(0.0, settings.margin - spent.loss), 6)


def _covered(
    noise: Noise, settings: GateSettings, champion: Contender | None, new: Predictions, old: Predictions
) -> Noise:
    """Return the seed variance that the interval covers.

    None against a constant answer, which no seed moves, and none between models with the same predictions.
    """
    same = np.array_equal(new.predicted, old.predicted) and np.array_equal(new.probabilities, old.probabilities)
    if champion is None or same:
        return SAME_MODEL
    if noise.spread and noise.of("test", settings.score) is not None:
        return noise
    return replace(NOT_MEASURED, spread={"test": {settings.score: Spread(settings.seed_deviation)}})


def cheaper(challenger: Contender, champion: Contender, factor: float) -> str:
    """Return in which way the challenger costs less by at least *factor*; empty if it does not."""
    if challenger.size_mb * factor <= champion.size_mb:
        return f"smaller ({challenger.size_mb:.2f} instead of {champion.size_mb:.2f} MB)"
    if challenger.latency_ms * factor <= champion.latency_ms:
        return f"faster ({challenger.latency_ms:.0f} instead of {champion.latency_ms:.0f} ms per recording)"
    return ""


def compare(
    challenger: Predictions,
    champion: Predictions,
    name: str,
    confidence: float,
    settings: GateSettings,
    noise: Noise = SAME_MODEL,
) -> dict[str, dict[str, float | None]]:
    """Return one metric of both models and the paired difference, challenger minus champion, with intervals.

    Parameters
    ----------
    challenger, champion
        Predictions for the same units in the same order.
    confidence
        Of the two-sided interval.
    noise
        Seed variance that the interval of the difference covers.

    Returns
    -------
    dict
        ``challenger``, ``champion``, ``difference`` → ``value``, ``low``, ``high``; None where undefined. The
        difference also has ``noticeable`` (:func:`auscult.registry.gate.noise.cover_retraining`).
    """
    weights = patient_weights(challenger.patients, settings.resamples, settings.seed)
    new, old = (metrics_with_intervals(each, weights, confidence, "test") for each in (challenger, champion))
    moved = cover_retraining(
        difference(new, old, confidence, challenger, name),
        new[1][name] - old[1][name],
        confidence,
        name,
        len(challenger.task.classes),
        noise.of("test", name) or NO_SPREAD,
    )
    shown = {"challenger": new[0][name], "champion": old[0][name], "difference": moved}
    found = {who: {key: entry.get(key) for key in ("value", "low", "high")} for who, entry in shown.items()}
    found["difference"]["noticeable"] = moved.get("noticeable")
    return found


def _compared(
    challenger: Contender,
    champion: Contender | None,
    new: Predictions,
    old: Predictions,
    settings: GateSettings,
    confidence: float,
    noise: Noise,
) -> dict[str, Any]:
    """Return the metrics that the decision rests on, as plain data.

    *new* and *old* are predictions for the same units, of patients that neither model has learned from.
    """
    assert challenger.predictions is not None
    score = settings.score if champion is not None else FIRST
    compared = compare(new, old, score, confidence, settings, noise) if len(new) and confidence < 1.0 else {}
    spread = noise.of("test", score)
    normal, abnormal = count_patients(new)
    return {
        "score": score,
        "confidence": round(confidence, 6),
        "units": len(new),
        "patients": len(set(new.patients)),
        "patients_with_normal": normal,
        "patients_with_abnormal": abnormal,
        "patients_left_out": len(set(challenger.predictions.patients)) - len(set(new.patients)),
        "challenger": _described(challenger, new, compared.get("challenger")),
        "champion": _described(champion, old, compared.get("champion")) if champion is not None else None,
        "constant": compared.get("champion") if champion is None else None,
        "difference": compared.get("difference"),
        "retraining": {
            "kind": noise.kind,
            "deviation": None if spread is None else spread.deviation,
            "degrees": None if spread is None or not isfinite(spread.degrees) else spread.degrees,
        },
        "settings": settings.model_dump(),
    }


def _identity(contender: Contender) -> dict[str, Any]:
    return {"version": contender.version, "digest": contender.digest}


def _described(contender: Contender, predictions: Predictions, score: Mapping[str, Any] | None) -> dict[str, Any]:
    shown = {}
    if len(predictions):
        metrics = _metrics(predictions)
        wanted = ["score", "sensitivity", "specificity", "roc_auc", "calibration_error"]
        wanted += [f"recall_{slug(name)}" for name in predictions.task.classes]
        shown = {name: round(metrics[name], 6) for name in wanted if np.isfinite(metrics[name])}
    return {
        **_identity(contender),
        "score": score,
        "metrics": shown,
        "latency_ms": round(contender.latency_ms, 1) if np.isfinite(contender.latency_ms) else None,
        "size_mb": round(contender.size_mb, 3) if np.isfinite(contender.size_mb) else None,
    }


def _metrics(predictions: Predictions) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(predictions, np.ones((1, len(predictions)))).items()}
