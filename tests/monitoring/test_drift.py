"""Drift: what has changed is named and nothing else, and weeks without drift are rarely reported."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from auscult.monitoring import drift as drift_module
from auscult.monitoring.drift import CLASSES, REJECTED, NullDistribution, compare, draw, ks_distance, stability_index
from auscult.monitoring.false_alarms import draw_weeks, independent
from auscult.monitoring.observe import PROBABILITY, numeric_features
from auscult.monitoring.page import histogram
from tests.monitoring.observations import LIMITS, recordings, week


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return recordings(300, 0)


def louder(table: pd.DataFrame) -> None:
    table["level_dbfs"] += 12.0


def low_passed(table: pd.DataFrame) -> None:
    table["band_1000_hz"] -= 15.0
    table["band_2000_hz"] -= 30.0


def other_rate(table: pd.DataFrame) -> None:
    table["sample_rate_hz"] = 8000.0


def other_classes(table: pd.DataFrame) -> None:
    table["label"] = np.where(np.arange(len(table)) % 4 == 0, "normal", "wheeze")


def unknown_class(table: pd.DataFrame) -> None:
    table.loc[::3, "label"] = "rhonchus"


def more_certain(table: pd.DataFrame) -> None:
    table[PROBABILITY] = table[PROBABILITY] / 10


def broken(table: pd.DataFrame) -> None:
    table.loc[:14, "rejected"] = "truncated"
    table.loc[:14, numeric_features(table)] = np.nan
    table.loc[:14, "label"] = ""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (louder, {"level_dbfs"}),
        (low_passed, {"band_2000_hz", "band_1000_hz"}),
        (other_rate, {"sample_rate_hz"}),
        (other_classes, {CLASSES}),
        (unknown_class, {CLASSES}),
        (more_certain, {PROBABILITY}),
        (broken, {REJECTED}),
    ],
)
def test_what_changed_is_named_and_nothing_else(
    reference: pd.DataFrame, change: Callable[[pd.DataFrame], None], named: set[str]
) -> None:
    recent = week()
    change(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert set(drift.drifted) == named
    assert drift.verdict.startswith("drift in: ")


def test_inputs_are_named_before_predictions_and_the_most_distant_first(reference: pd.DataFrame) -> None:
    recent = week(90)
    for change in (more_certain, other_classes, broken):
        change(recent)
    recent["level_dbfs"] += 6.0
    recent["crest_db"] += 60.0
    drift = compare(reference, recent, 0.02, LIMITS)
    assert drift.drifted == (REJECTED, "crest_db", "level_dbfs", PROBABILITY, CLASSES)


def test_a_small_difference_is_no_drift_even_if_it_is_certain(reference: pd.DataFrame) -> None:
    recent = week(3000)
    recent["level_dbfs"] += 2.0
    drift = compare(reference, recent, 0.02, LIMITS)
    feature = next(each for each in drift.features if each.name == "level_dbfs")
    assert feature.p_value < 0.001 and feature.distance < LIMITS.max_distance
    assert drift.verdict == "no drift"


def test_a_large_index_of_few_recordings_is_no_drift(reference: pd.DataFrame) -> None:
    weeks_of_30 = [compare(reference, week(30, seed), 0.02, LIMITS).classes for seed in range(25, 31)]
    far = [classes for classes in weeks_of_30 if classes is not None and classes.psi > LIMITS.max_class_psi]
    assert far and not any(classes.drifts for classes in far)
    assert all(0.05 < classes.expected_psi < 0.2 for classes in far)


def test_too_few_recordings_give_no_verdict_on_features(reference: pd.DataFrame) -> None:
    recent = week(29)
    louder(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert (drift.enough, drift.features, drift.classes) == (False, (), None)
    assert drift.verdict == "too few recordings for a verdict: 29 of 30"
    drift = compare(reference[:12], week(60), 0.02, LIMITS)
    assert drift.verdict == "too few recordings for a verdict: the model learned from 12 of 30"


def test_many_rejected_recordings_drift_even_if_too_few_accepted_ones_are_left(reference: pd.DataFrame) -> None:
    recent = week(40)
    broken(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert (drift.drifted, drift.enough) == ((REJECTED,), False)
    assert "25 of 30" in drift.verdict
    assert drift.rejected.reasons == {"truncated": 15}
    assert compare(reference, recent[:12], 0.02, LIMITS).drifted == (), "12 files are too few for any verdict"
    assert compare(reference, recent[15:], 0.02, LIMITS).drifted == ()
    assert compare(reference, recent, 0.3, LIMITS).drifted == (), "as many were rejected in the training data set"


def test_no_recording_and_no_accepted_recording(reference: pd.DataFrame) -> None:
    assert not compare(reference, week(40)[:0], 0.02, LIMITS).enough
    recent = week(40).assign(rejected="silent", label="")
    assert compare(reference, recent, 0.02, LIMITS).drifted == (REJECTED,)


def test_constants_and_a_single_class_are_compared(reference: pd.DataFrame) -> None:
    known, new = reference.copy(), week()
    for table in (known, new):
        table[numeric_features(new)] = 1.0
        table["label"] = "normal"
    assert compare(known, new, 0.02, LIMITS).verdict == "no drift"
    new["level_dbfs"] = 2.0
    drift = compare(known, new, 0.02, LIMITS)
    assert drift.drifted == ("level_dbfs",)
    assert drift.features[2].distance == 1.0
    shape = histogram(known["level_dbfs"].to_numpy(), known["level_dbfs"].to_numpy())
    assert shape.low == shape.high == 1.0 and "nan" not in shape.reference


def test_the_order_of_recordings_does_not_matter(reference: pd.DataFrame) -> None:
    recent = week()
    louder(recent)
    shuffled = recent.sample(frac=1, random_state=3)
    assert compare(reference, recent, 0.02, LIMITS).to_json() == compare(reference, shuffled, 0.02, LIMITS).to_json()


def test_the_json_is_finite_and_holds_the_numbers_behind_the_verdict(reference: pd.DataFrame) -> None:
    recent = week()
    louder(recent)
    content = json.loads(json.dumps(compare(reference, recent, 0.02, LIMITS).to_json(), allow_nan=False))
    level = next(feature for feature in content["features"] if feature["name"] == "level_dbfs")
    assert content["verdict"] == "drift in: level_dbfs"
    assert level["recent"]["median"] - level["reference"]["median"] == pytest.approx(12.0, abs=1.5)
    assert sum(content["classes"]["recent"].values()) == content["accepted"] == 60


def test_weeks_without_drift_are_rarely_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = recordings(300, 0)

    @cache  # the null distribution depends on the reference and on the size of a week only
    def drawn(names: tuple[str, ...], classes: tuple[str, ...], size: int, draws: int) -> NullDistribution:
        return draw(reference, names, classes, size, draws)

    def remembered(
        known: pd.DataFrame, names: list[str], classes: list[str], size: int, draws: int
    ) -> NullDistribution:
        assert len(known) == 300
        return drawn(tuple(names), tuple(classes), size, draws)

    monkeypatch.setattr(drift_module, "draw", remembered)
    found = [compare(reference, week(seed=seed), 0.02, LIMITS).verdict for seed in range(1, 41)]
    assert found.count("no drift") >= 38, set(found)


def test_weeks_of_few_patients_are_rarely_reported_where_independent_tests_often_report_them() -> None:
    table = recordings(300, 5, per_patient=7)
    drawn = list(draw_weeks(table, 50, 25))
    assert all(len(new) == 50 and set(new["file"]).isdisjoint(known["file"]) for known, new in drawn)
    assert sum(independent(known, new, LIMITS) for known, new in drawn) >= 5
    assert sum(bool(compare(known, new, 0.0, LIMITS).drifted) for known, new in drawn) <= 1


def test_the_distance_is_the_largest_gap_of_the_cumulative_distributions() -> None:
    rng = np.random.default_rng(2)
    for first, second in [
        (rng.normal(size=50), rng.normal(0.3, 1, 80)),
        (rng.integers(0, 4, 50), rng.integers(1, 5, 9)),
    ]:
        values = np.union1d(first, second)
        below = [(sample <= values[:, None]).mean(axis=1) for sample in (first, second)]
        assert ks_distance(first, second) == pytest.approx(np.abs(below[0] - below[1]).max(), abs=1e-12)


def test_the_drawn_distances_are_those_of_the_drawn_recordings() -> None:
    """Compare the running sums over all draws with each possible draw, ties included."""
    known = pd.DataFrame({"x": [3.0, 1.0, 1.0, 2.0, 2.0, 7.0], "label": list("aabbab"), "patient": list("ppqqrr")})
    null = draw(known, ["x"], ["a", "b"], 4, 500)
    x, groups = known["x"].to_numpy(), [[0, 1], [2, 3], [4, 5]]
    pairs = itertools.product(itertools.product(groups, repeat=2), itertools.product(groups, repeat=3))
    drawn = {round(ks_distance(x[np.concatenate(two)], x[np.concatenate(three)]), 4) for two, three in pairs}
    assert set(np.round(null.distance.astype(float), 4)) == drawn


def test_the_stability_index_is_zero_for_equal_shares_and_finite_for_empty_classes() -> None:
    assert stability_index(np.array([10.0, 20.0]), np.array([10.0, 20.0])) == 0.0
    p, q = np.array([90.5, 10.5]) / 101, np.array([50.5, 50.5]) / 101
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(np.array([90.0, 10.0]), np.array([50.0, 50.0])) == pytest.approx(expected)
    assert 0 < stability_index(np.array([100.0, 0.0]), np.array([0.0, 100.0])) < np.inf
