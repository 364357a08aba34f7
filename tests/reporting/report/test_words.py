"""Verdicts: what is said follows from the intervals."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from auscult.reporting.report.experiments import _varied
from auscult.reporting.report.page import searched
from auscult.reporting.report.wording import compared, figure, points, verdict


def entry(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "resamples": 100}


def evaluation(
    constant: tuple[float, float], metadata_only: tuple[float, float], gradient_boosting: tuple[float, float]
) -> Any:
    """An evaluation whose differences have these intervals."""
    intervals = {"constant": constant, "metadata_only": metadata_only, "gradient_boosting": gradient_boosting}
    test = {
        "patients": 14,
        "classes": {"normal": 30, "abnormal": 20},
        "metrics": {"score": entry(0.75, 0.7, 0.8)},
        "baselines": {
            name: {"title": name, "model_minus_this": entry((low + high) / 2, low, high)}
            for name, (low, high) in intervals.items()
        },
    }
    return {"parts": {"test": test, "validation": {"metrics": {"score": entry(0.76, 0.7, 0.8)}}}}


ABOVE, BELOW, ACROSS = (0.02, 0.1), (-0.1, -0.02), (-0.05, 0.05)


@pytest.mark.parametrize(
    ("constant", "metadata_only", "gradient_boosting", "level", "words"),
    [
        (ABOVE, ABOVE, ABOVE, "good", "than gradient boosting"),
        (ABOVE, ABOVE, ACROSS, "good", "not told apart from gradient boosting"),
        (ABOVE, ABOVE, BELOW, "fair", "gradient boosting on the same features hears more"),
        (ABOVE, ACROSS, ABOVE, "doubtful", "Not shown to beat a model that never hears the audio"),
        (ABOVE, BELOW, ABOVE, "worse", "Worse than a model that never hears the audio"),
        (ACROSS, ABOVE, ABOVE, "bad", "Not shown to be better than a constant answer"),
        (BELOW, BELOW, BELOW, "worse", "Worse than a constant answer"),
    ],
)
def test_the_verdict_follows_from_the_intervals(
    constant: tuple[float, float],
    metadata_only: tuple[float, float],
    gradient_boosting: tuple[float, float],
    level: str,
    words: str,
) -> None:
    found = verdict(evaluation(constant, metadata_only, gradient_boosting))
    assert found.level == level
    assert words in found.headline


def test_a_score_that_is_undefined_is_not_judged() -> None:
    case = evaluation(ABOVE, ABOVE, ABOVE)
    case["parts"]["test"]["metrics"]["score"] = {"undefined": "undefined: one class in the test part"}
    found = verdict(case)
    assert found.level == "unknown"
    assert "one class" in found.reasons[0]


def test_a_wide_interval_an_absent_class_and_a_fall_from_validation_are_said() -> None:
    case = copy.deepcopy(evaluation(ABOVE, ABOVE, ABOVE))
    case["parts"]["test"]["metrics"]["score"] = entry(0.6, 0.45, 0.75)
    case["parts"]["test"]["classes"]["abnormal"] = 0
    reasons = " ".join(verdict(case).reasons)
    assert "30.0 points wide: 14 test patients are few" in reasons
    assert "No abnormal in the test part" in reasons
    assert "16.0 points less than on validation" in reasons


def test_an_interval_that_touches_zero_shows_no_difference() -> None:
    assert compared(entry(0.05, 0.0, 0.1)) == "unclear"
    assert compared({"value": 0.3, "no_interval": "no interval: 1 patient"}) == "unclear"


def test_figures_in_words() -> None:
    assert figure(entry(0.7831, 0.71, 0.8405)) == "78.3 (71.0 to 84.0)"
    assert figure({"undefined": "undefined: one class"}) == "undefined: one class"
    assert figure({"value": 0.5, "no_interval": "no interval: 1 patient"}) == "50.0 (no interval: 1 patient)"
    assert points(-0.032, sign=True) == "−3.2"


def test_without_an_interval_its_width_is_not_made_up() -> None:
    case = evaluation(ABOVE, ABOVE, ABOVE)
    case["parts"]["test"]["metrics"]["score"] = {
        "value": 0.6,
        "no_interval": "no interval: 'healthy' in 2 patients only",
    }
    reasons = " ".join(verdict(case).reasons)
    assert "points wide" not in reasons
    assert "'healthy' in 2 patients only" in reasons


def test_only_what_differed_between_trials_is_said_to_be_searched() -> None:
    trials = [{"number": n, "hyperparameters": {"filters": 16, "use_synthetic": n == 0}} for n in range(2)]
    items = [{"varied": _varied({"trials": trials}), "trials": trials}]
    said = searched(items)
    assert "use synthetic" in said and "filters" not in said and "at most 2 trials" in said
    assert searched([{"varied": [], "trials": trials[:1]}]).startswith("no hyperparameter")
