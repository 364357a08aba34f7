"""How far weeks without drift lie from the reference by chance, and how seldom they are called drift."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest

from auscult.monitoring import drift as comparing
from auscult.monitoring.chance import Chance, draw, ks_distance, stability_index
from auscult.monitoring.drift import compare
from auscult.monitoring.false_alarms import independent, weeks
from tests.monitoring.observations import LIMITS, recordings, week


def test_weeks_without_drift_are_hardly_ever_called_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = recordings(300, 0)

    @cache  # a week's chance depends on the reference and on its own size alone
    def drawn(names: tuple[str, ...], classes: tuple[str, ...], size: int, draws: int) -> Chance:
        return draw(reference, names, classes, size, draws)

    def remembered(known: pd.DataFrame, names: list[str], classes: list[str], size: int, draws: int) -> Chance:
        assert len(known) == 300
        return drawn(tuple(names), tuple(classes), size, draws)

    monkeypatch.setattr(comparing, "draw", remembered)
    found = [compare(reference, week(seed=seed), 0.02, LIMITS).verdict for seed in range(1, 41)]
    assert found.count("no drift") >= 38, set(found)


def test_weeks_of_few_patients_are_hardly_ever_called_drift_where_independent_tests_often_do() -> None:
    table = recordings(300, 5, per_patient=7)
    drawn = list(weeks(table, 50, 25))
    assert all(len(new) == 50 and set(new["file"]).isdisjoint(known["file"]) for known, new in drawn)
    assert sum(independent(known, new, LIMITS) for known, new in drawn) >= 5
    assert sum(bool(compare(known, new, 0.0, LIMITS).drifted) for known, new in drawn) <= 1


def test_the_distance_is_that_of_scipy_ties_included() -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(2)
    for first, second in [
        (rng.normal(size=50), rng.normal(0.3, 1, 80)),
        (rng.integers(0, 4, 50), rng.integers(1, 5, 9)),
    ]:
        assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_the_drawn_distances_are_those_of_the_drawn_recordings() -> None:
    """The running sums over all draws at once against one draw by hand, ties included."""
    known = pd.DataFrame({"x": [3.0, 1.0, 1.0, 2.0, 2.0, 7.0], "label": list("aabbab"), "patient": list("ppqqrr")})
    chance = draw(known, ["x"], ["a", "b"], 4, 500)
    x, groups = known["x"].to_numpy(), [[0, 1], [2, 3], [4, 5]]
    pairs = itertools.product(itertools.product(groups, repeat=2), itertools.product(groups, repeat=3))
    drawn = {round(ks_distance(x[np.concatenate(two)], x[np.concatenate(three)]), 4) for two, three in pairs}
    assert set(np.round(chance.distance.astype(float), 4)) == drawn


def test_the_stability_index_is_zero_for_equal_shares_and_finite_for_empty_classes() -> None:
    assert stability_index(np.array([10.0, 20.0]), np.array([10.0, 20.0])) == 0.0
    p, q = np.array([90.5, 10.5]) / 101, np.array([50.5, 50.5]) / 101
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(np.array([90.0, 10.0]), np.array([50.0, 50.0])) == pytest.approx(expected)
    assert 0 < stability_index(np.array([100.0, 0.0]), np.array([0.0, 100.0])) < np.inf
