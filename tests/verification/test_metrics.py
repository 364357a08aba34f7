"""The verification's own metrics: each resample equals scikit-learn on that resample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.core.tasks import Task
from auscult.verification.agreement import agrees, numbers_in
from auscult.verification.expected import AGES, ages
from auscult.verification.intervals import Settings, interval, measure
from auscult.verification.metrics import Units, bins, point, resampled, slug

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
FOUR = Task("sounds", "segment", ("crackle", "normal", "wheeze", "poor"), "normal", {}, unscored=("poor",))


def drawn(task: Task, n: int = 120, patients: int = 12, seed: int = 1) -> Units:
    rng = np.random.default_rng(seed)
    classes = len(task.classes)
    y = rng.integers(0, classes, n)
    p = rng.dirichlet(np.ones(classes), n).round(2) + np.eye(classes)[y] * 0.25
    p = (p / p.sum(axis=1, keepdims=True)).round(9)
    return Units(task, y, p.argmax(axis=1), p, rng.integers(0, patients, n).astype(str))


def repeated(units: Units, counts: np.ndarray) -> Units:
    """The units of a resample, as often as their patients were drawn."""
    codes = np.unique(units.patients, return_inverse=True)[1]
    rows = np.repeat(np.arange(len(units)), counts[codes].astype(int))
    return Units(units.task, units.y[rows], units.predicted[rows], units.probabilities[rows], units.patients[rows])


@pytest.mark.parametrize("task", [TWO, FOUR], ids=lambda task: task.name)
@pytest.mark.parametrize("lacking", [False, True])
def test_a_resample_has_the_metrics_of_its_units(task: Task, lacking: bool) -> None:
    units = drawn(task)
    if lacking:  # class 0 in one patient only, which some resamples lack
        units = units.where((units.y != 0) | (units.patients == "3"))
    draws = Settings(12, 7, 0.95).draw(units)
    found = resampled(units, draws)
    undefined = 0
    for row, counts in enumerate(draws):
        sample = repeated(units, counts)
        expected = point(sample)
        assert set(found) == set(expected)
        complete = len(np.unique(sample.y)) == len(np.unique(units.y))
        for name, value in expected.items():
            if not complete and (name in ("roc_auc", "pr_auc") or "macro" in name or name.startswith("balanced")):
                assert np.isnan(found[name][row])
                undefined += 1
            else:
                assert found[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), name
    assert (undefined > 0) == lacking


def test_groups_have_the_same_metrics_as_parts() -> None:
    units, settings = drawn(FOUR), Settings(30, 7, 0.95)
    everything, few = measure(units, settings), measure(units, settings, of_groups=True)
    assert few.entries == {name: everything.entries[name] for name in ("score", "accuracy", "calibration_error")}


def test_poor_quality_is_left_out_of_the_published_scores_only() -> None:
    y = np.array([1, 1, 0, 2, 3, 3, 3, 3])
    predicted = np.array([1, 0, 0, 2, 3, 1, 0, 0])
    found = point(Units(FOUR, y, predicted, np.eye(4)[predicted] * 0.6 + 0.1, np.arange(8).astype(str)))
    assert found["score"] == pytest.approx((3 / 6 + 1 / 2) / 2)
    assert found["average_score"] == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert found["detection_sensitivity"] == pytest.approx(5 / 6)


def test_the_interval_of_eight_patients_by_hand() -> None:
    # Student's t with 7 degrees of freedom at 97.5 %: 2.3646243; × √(8/7): 2.5278897; Φ(−2.5278897): 0.0057375.
    units = drawn(TWO, 400, patients=8)
    samples = np.linspace(0.2, 0.8, 101)
    found = interval("accuracy", 0.5, samples, units, Settings(101, 1, 0.95))
    spread = 2.5278897 * samples.std()
    assert found["low"] == pytest.approx(min(0.2 + 0.6 * 0.0057375, 0.5 - spread), abs=1e-6)
    assert found["high"] == pytest.approx(max(0.8 - 0.6 * 0.0057375, 0.5 + spread), abs=1e-6)
    assert found["resamples"] == 101


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    assert bins(np.array([0.0, 0.099, 0.1, 0.95, 1.0])).tolist() == [0, 0, 1, 9, 9]


def test_ages_are_grouped_by_their_first_year() -> None:
    assert set(AGES) >= {"1 to 4 years"}
    found = ages(pd.Series([0.5, 1.0, 4.9, 65.0, 120.0, np.nan, -1.0]))
    assert found.tolist() == [
        "under 1 year",
        "1 to 4 years",
        "1 to 4 years",
        "65 years and over",
        "65 years and over",
        "unknown",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("stored", "value", "same"),
    [
        (0.333333, 1 / 3, True),
        (0.333334, 1 / 3, False),
        (0.33333333, 1 / 3, False),
        (0.015625, 1 / 64, True),
        (0.001562, 1 / 640, True),  # the middle of two decimals may be rounded to either side
        (0.001563, 1 / 640, True),
        (0.001564, 1 / 640, False),
        (5, 5, True),
        (6, 5, False),
    ],
)
def test_a_written_number_agrees_with_its_rounded_value_only(stored: float, value: float, same: bool) -> None:
    assert agrees(stored, value) is same


def test_numbers_in_names_are_no_figures() -> None:
    assert numbers_in("no interval: 'type 2' in 3 patients only") == (3,)
    assert slug("CAS & DAS") == "cas_das"
