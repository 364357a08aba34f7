"""Verdicts and limits follow from the intervals and from the data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from auscult.reporting.report.dataset import Tables
from auscult.reporting.report.experiments import _varied
from auscult.reporting.report.page import searched
from auscult.reporting.report.verdict import BASELINES, Verdict, compared, limits, metric_text, points, verdict

Range = tuple[float, float]
ABOVE, BELOW, ACROSS = (0.02, 0.1), (-0.1, -0.02), (-0.05, 0.05)


def entry(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "resamples": 100}


def evaluation(constant: Range, metadata_only: Range, gradient_boosting: Range) -> Any:
    """Make an evaluation whose differences to the baselines have these intervals."""
    intervals = dict(zip(BASELINES, (constant, metadata_only, gradient_boosting), strict=True))
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


@pytest.mark.parametrize(
    ("constant", "metadata_only", "gradient_boosting", "level", "named"),
    [
        (ABOVE, ABOVE, ABOVE, "good", "all three baselines"),
        (ABOVE, ABOVE, ACROSS, "good", "no difference shown to gradient boosting"),
        (ABOVE, ABOVE, BELOW, "fair", "worse than gradient boosting"),
        (ABOVE, ACROSS, ABOVE, "doubtful", "metadata-only baseline"),
        (ABOVE, BELOW, ABOVE, "worse", "metadata-only baseline"),
        (ACROSS, ABOVE, ABOVE, "bad", "constant answer"),
        (BELOW, BELOW, BELOW, "worse", "constant answer"),
    ],
)
def test_the_verdict_follows_from_the_intervals(
    constant: Range, metadata_only: Range, gradient_boosting: Range, level: str, named: str
) -> None:
    found = verdict(evaluation(constant, metadata_only, gradient_boosting))
    assert found.level == level
    assert named in found.headline


def test_an_undefined_score_has_no_verdict() -> None:
    case = evaluation(ABOVE, ABOVE, ABOVE)
    case["parts"]["test"]["metrics"]["score"] = {"undefined": "undefined: one class in the test part"}
    found = verdict(case)
    assert found.level == "unknown"
    assert "one class" in found.reasons[0]


def test_reasons_name_a_wide_interval_an_absent_class_and_a_drop_from_validation() -> None:
    case = copy.deepcopy(evaluation(ABOVE, ABOVE, ABOVE))
    before = len(verdict(case).reasons)
    case["parts"]["test"]["metrics"]["score"] = entry(0.6, 0.45, 0.75)
    case["parts"]["test"]["classes"]["abnormal"] = 0
    wide, absent, drop = verdict(case).reasons[before:]
    assert "30.0 points" in wide and "14 patients" in wide
    assert "no abnormal" in absent
    assert "16.0 points" in drop


def test_an_interval_that_touches_zero_shows_no_difference() -> None:
    assert compared(entry(0.05, 0.0, 0.1)) == "unclear"
    assert compared({"value": 0.3, "no_interval": "no interval: 1 patient"}) == "unclear"


def test_metrics_as_text() -> None:
    assert metric_text(entry(0.7831, 0.71, 0.8405)) == "78.3 (71.0 to 84.0)"
    assert metric_text({"undefined": "undefined: one class"}) == "undefined: one class"
    assert metric_text({"value": 0.5, "no_interval": "no interval: 1 patient"}) == "50.0 (no interval: 1 patient)"
    assert points(-0.032, sign=True) == "−3.2"


def test_reasons_name_a_missing_interval_and_no_width() -> None:
    case = evaluation(ABOVE, ABOVE, ABOVE)
    missing = "no interval: 'healthy' in 2 patients only"
    case["parts"]["test"]["metrics"]["score"] = {"value": 0.6, "no_interval": missing}
    reasons = " ".join(verdict(case).reasons)
    assert "points wide" not in reasons
    assert "'healthy' in 2 patients only" in reasons


def test_only_hyperparameters_that_differ_between_trials_count_as_searched() -> None:
    trials = [{"number": n, "hyperparameters": {"filters": 16, "use_synthetic": n == 0}} for n in range(2)]
    text = searched([{"varied": _varied({"trials": trials}), "trials": trials}])
    assert "use synthetic" in text and "filters" not in text and "2 trials" in text
    assert searched([{"varied": [], "trials": trials[:1]}]) == "every hyperparameter has the model's default value"


def tables(part: str, reason: str | None, corrected: Sequence[str | None] = ()) -> Tables:
    recordings = pd.DataFrame(
        {
            "recording_id": ["156_a", "156_b", "101_a"],
            "patient_id": ["156", "156", "101"],
            "part": ["development", part, "test"],
            "exempt_reason": [reason, reason, None],
        }
    )
    none, corrections = pd.DataFrame(), pd.DataFrame({"part": corrected}, dtype=object)
    return Tables(recordings, none, none, corrections, (), {"dataset": "icbhi"}, {}, {})


def experiment(name: str, outcome: str, level: Any = "doubtful") -> dict[str, Any]:
    differences = [{"key": "metadata_only", "outcome": outcome}]
    return {"name": name, "differences": differences, "parts": {}, "verdict": Verdict(level, "", ())}


def test_limits_name_test_patients_whom_the_published_split_has_in_training_too() -> None:
    shared = tables("test", "in both parts of the publisher's split")
    assert shared.shared()["recording_id"].tolist() == ["156_b"]
    assert "1 recordings of 1 patients" in limits(shared, [])[1]
    apart = tables("exempt", "in both parts of the publisher's split")
    assert apart.shared().empty
    assert not any("split.official" in sentence for sentence in limits(apart, []))


def test_limits_say_that_corrections_concern_the_test_part() -> None:
    (one,) = [each for each in limits(tables("test", None, ["test", "development", None]), []) if "correct" in each]
    assert one.startswith("1 correction of labels concerns patients of the test part")
    assert not any("correct" in each for each in limits(tables("test", None, ["development", None]), []))


def test_limits_name_the_experiments_that_do_not_beat_the_metadata_only_baseline() -> None:
    cases = [experiment("level", "unclear"), experiment("lower", "worse"), experiment("none", "unclear", "unknown")]
    found = [sentence for sentence in limits(tables("test", None), cases) if "metadata-only" in sentence]
    assert len(found) == 2
    assert found[0].startswith("Worse") and "lower" in found[0]
    assert found[1].startswith("Not shown") and "level" in found[1]
    assert "none" not in found[1]
