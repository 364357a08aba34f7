"""Rules that turn calibrated probabilities into classes, and the choice among them on out-of-fold predictions.

``score``   thresholds with the best score out of fold: normal and abnormal count the same, however rare they are.
``argmax``  the most probable class: the fewest errors where classes are as frequent as in development.
``rate``    the threshold at which as many units of the batch are called normal as out of fold: no labels needed, and a
            shift of all probabilities changes nothing.
``em``      the most probable class after the class shares were estimated anew on the batch.

The last two need a batch of units, such as the recordings of a clinic's month; in a smaller one they decide as
``score`` and ``argmax``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.training.calibration import FLOOR, Calibration, fit_offsets
from auscult.training.score import decide, icbhi_score

RULES = ("score", "argmax", "rate", "em")
#: Units that a batch needs before its own rate or class shares are used.
LEAST_BATCH = 30
#: A rule must be better than an earlier one by this much (of 1) in its worst cohort.
LEAST_GAIN = 0.005
#: Columns whose values are populations that a model may meet for the first time.
SHIFTS = ("device", "period")
#: A cohort with fewer patients, or fewer normal or abnormal units, chooses no rule.
LEAST_PATIENTS, LEAST_UNITS = 10, 20


@dataclass(frozen=True)
class Decision:
    """A rule with what it took from out-of-fold predictions.

    Attributes
    ----------
    offsets
        Added to log-probabilities by ``score`` and ``rate``, shape (classes,).
    normal_share
        Share of the units that ``score`` called normal.
    shares
        Shares of the classes, shape (classes,).
    """

    rule: str
    normal_index: int
    offsets: NDArray[np.float64]
    normal_share: float
    shares: NDArray[np.float64]

    @classmethod
    def fit(
        cls, rule: str, probabilities: NDArray[np.float64], target: NDArray[np.int64], normal_index: int
    ) -> Decision:
        """Take from calibrated out-of-fold probabilities (n, classes) and true classes (n,) what the rule needs."""
        offsets = fit_offsets(probabilities, target, normal_index)
        share = float((decide(probabilities, offsets) == normal_index).mean())
        counts = np.bincount(target, minlength=probabilities.shape[1]) + 0.5
        return cls(rule, normal_index, offsets, share, counts / counts.sum())

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the classes, shape (n,), of a batch of units with calibrated probabilities, shape (n, classes)."""
        batch = len(probabilities) >= LEAST_BATCH
        if self.rule == "rate" and batch:
            return self._at_rate(np.asarray(probabilities, dtype=np.float64))
        if self.rule in ("score", "rate"):
            return decide(probabilities, self.offsets)
        if self.rule == "em" and batch:
            probabilities = reestimated(np.asarray(probabilities, dtype=np.float64), self.shares)
        return decide(probabilities, np.zeros(probabilities.shape[1]))

    def _at_rate(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        logs = np.log(np.maximum(probabilities, FLOOR)) + self.offsets
        others = np.delete(logs, self.normal_index, axis=1).max(axis=1)
        margin = logs[:, self.normal_index] - others
        offsets = self.offsets.copy()
        offsets[self.normal_index] -= np.quantile(margin, 1.0 - self.normal_share)
        return decide(probabilities, offsets)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        return {
            "rule": self.rule,
            "normal_index": self.normal_index,
            "offsets": self.offsets.tolist(),
            "normal_share": self.normal_share,
            "shares": self.shares.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Decision:
        """Read the result of :meth:`to_json`."""
        offsets, shares = (np.asarray(data[key], dtype=np.float64) for key in ("offsets", "shares"))
        return cls(str(data["rule"]), int(data["normal_index"]), offsets, float(data["normal_share"]), shares)


def reestimated(
    probabilities: NDArray[np.float64], shares: NDArray[np.float64], rounds: int = 200
) -> NDArray[np.float64]:
    """Return probabilities for a batch whose class shares are estimated from it, shape (n, classes).

    Parameters
    ----------
    probabilities
        Calibrated for a population with class shares *shares*, shape (n, classes).

    References
    ----------
    Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities: a simple procedure", Neural
    Computation 14 (2002): expectation maximisation, section 2.2.
    """
    current, adjusted = shares, probabilities
    for _ in range(rounds):
        weighted = probabilities * (current / shares)
        adjusted = weighted / weighted.sum(axis=1, keepdims=True)
        estimate = adjusted.mean(axis=0)
        if np.abs(estimate - current).max() < 1e-9:
            break
        current = estimate
    return adjusted


@dataclass(frozen=True)
class Fitted:
    """Calibration and decision, fitted together on out-of-fold predictions."""

    calibration: Calibration
    decision: Decision

    def apply(self, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return calibrated probabilities and classes of a batch of units with a network's probabilities."""
        probabilities = self.calibration.apply(raw)
        return probabilities, self.decision.decide(probabilities)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        return {"calibration": self.calibration.to_json(), "decision": self.decision.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fitted:
        """Read the result of :meth:`to_json`."""
        return cls(Calibration.from_json(data["calibration"]), Decision.from_json(data["decision"]))


def fit(rule: str, raw: NDArray[np.float64], target: NDArray[np.int64], normal_index: int) -> Fitted:
    """Fit on the out-of-fold probabilities of networks, shape (n, classes), and the true classes, shape (n,)."""
    calibration = Calibration.fit(raw, target)
    return Fitted(calibration, Decision.fit(rule, calibration.apply(raw), target, normal_index))


def crossed(
    rule: str, raw: NDArray[np.float64], target: NDArray[np.int64], groups: NDArray[Any], normal_index: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities and classes of each group, by what was fitted on the other groups.

    Parameters
    ----------
    raw
        Out-of-fold probabilities of networks, shape (n, classes).
    groups
        Fold or cohort of each unit, shape (n,). A single group is predicted by what was fitted on itself.
    """
    probabilities, decided = np.zeros_like(raw), np.zeros(len(raw), dtype=np.int64)
    names = np.unique(groups)
    for name in names:
        own = groups == name
        others = ~own if len(names) > 1 else own
        probabilities[own], decided[own] = fit(rule, raw[others], target[others], normal_index).apply(raw[own])
    return probabilities, decided


def compare_rules(
    raw: NDArray[np.float64],
    target: NDArray[np.int64],
    fold: NDArray[np.int64],
    cohorts: pd.DataFrame,
    normal_index: int,
) -> dict[str, dict[str, Any]]:
    """Return for each rule the score out of fold, and the worst score on a held-out cohort.

    The networks have seen other patients of the cohort; calibration and thresholds come from the other cohorts.

    Parameters
    ----------
    raw, target, fold
        Of n units of the development part.
    cohorts
        ``patient_id`` and a column per kind of cohort, n rows.

    Returns
    -------
    dict
        Rule → ``out_of_fold``, ``worst_cohort`` (score, 0 to 1, or None) and ``cohort`` (its name, or None).
    """
    of_fold = {rule: np.zeros(len(raw), dtype=np.int64) for rule in RULES}
    for name in np.unique(fold):
        own = fold == name
        for rule, classes in _by_every_rule(raw, target, own, normal_index).items():
            of_fold[rule][own] = classes
    measured: dict[str, dict[str, Any]] = {}
    for rule, classes in of_fold.items():
        score = icbhi_score(target, classes, normal_index)
        measured[rule] = {"out_of_fold": score if np.isfinite(score) else None, "worst_cohort": None, "cohort": None}
    for name, own in _large_cohorts(cohorts, target == normal_index):
        for rule, classes in _by_every_rule(raw, target, own, normal_index).items():
            score = icbhi_score(target[own], classes, normal_index)
            if measured[rule]["worst_cohort"] is None or score < measured[rule]["worst_cohort"]:
                measured[rule] |= {"worst_cohort": score, "cohort": name}
    return measured


@dataclass(frozen=True)
class Choices:
    """Calibration and decision of an experiment, and how they were chosen.

    Attributes
    ----------
    fitted
        Fitted on all folds.
    of_fold
        Fold → fitted on the other folds, for the out-of-fold predictions of this one.
    rules
        See :func:`compare_rules`.
    """

    fitted: Fitted
    of_fold: dict[int, Fitted]
    rules: dict[str, dict[str, Any]]

    @property
    def score(self) -> float | None:
        """Out-of-fold score of the chosen rule, 0 to 1; None where it is undefined."""
        score = self.rules[self.fitted.decision.rule]["out_of_fold"]
        return None if score is None else float(score)


def choose(
    raw: NDArray[np.float64],
    target: NDArray[np.int64],
    fold: NDArray[np.int64],
    cohorts: pd.DataFrame,
    normal_index: int,
    candidates: Sequence[str],
) -> Choices:
    """Choose calibration and decision; parameters as for :func:`compare_rules` and :func:`best_rule`."""
    rules = compare_rules(raw, target, fold, cohorts, normal_index)
    rule = best_rule(rules, candidates)
    names = [int(name) for name in np.unique(fold)]
    of_fold = {}
    for name in names:
        others = fold != name if len(names) > 1 else fold == name
        of_fold[name] = fit(rule, raw[others], target[others], normal_index)
    return Choices(fit(rule, raw, target, normal_index), of_fold, rules)


def _by_every_rule(
    raw: NDArray[np.float64], target: NDArray[np.int64], own: NDArray[np.bool_], normal_index: int
) -> dict[str, NDArray[np.int64]]:
    """Return each rule's classes of the units of a mask, fitted on the other units; on themselves if there are none."""
    others = own if own.all() else ~own
    fitted = fit(RULES[0], raw[others], target[others], normal_index)
    probabilities = fitted.calibration.apply(raw[own])
    return {rule: replace(fitted.decision, rule=rule).decide(probabilities) for rule in RULES}


def _large_cohorts(cohorts: pd.DataFrame, normal: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return name and mask of every cohort that leaves enough units on both sides to choose by it.

    A location on the chest is none: it is no population that a model meets for the first time.
    """

    def enough(mask: NDArray[np.bool_]) -> bool:
        counts = (mask & normal).sum(), (mask & ~normal).sum()
        return min(counts) >= LEAST_UNITS and cohorts.loc[mask, "patient_id"].nunique() >= LEAST_PATIENTS

    found = []
    for column in cohorts.columns.intersection(SHIFTS):
        values = cohorts[column].astype(object)
        for name in sorted(values.dropna().unique()):
            own = (values == name).to_numpy(dtype=bool, na_value=False)
            if enough(own) and enough(~own):
                found.append((f"{column} {name}" if column != "period" else str(name), own))
    return found


def best_rule(measured: Mapping[str, Mapping[str, Any]], candidates: Sequence[str]) -> str:
    """Return the candidate with the best worst cohort; without cohorts the one with the best out-of-fold score."""

    def worth(rule: str) -> float:
        entry = measured[rule]
        return float(entry["out_of_fold"] or 0.0) if entry["worst_cohort"] is None else float(entry["worst_cohort"])

    best = candidates[0]
    for rule in candidates[1:]:
        if worth(rule) > worth(best) + LEAST_GAIN:
            best = rule
    return best
