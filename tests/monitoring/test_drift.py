"""What changed is found and named first, and what did not is left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from auscult.monitoring.drift import CLASSES, SET_ASIDE, compare
from auscult.monitoring.histogram import histogram
from auscult.monitoring.observe import PROBABILITY, numeric_features
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


def unheard_class(table: pd.DataFrame) -> None:
    table.loc[::3, "label"] = "rhonchus"


def surer(table: pd.DataFrame) -> None:
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
        (unheard_class, {CLASSES}),
        (surer, {PROBABILITY}),
        (broken, {SET_ASIDE}),
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


def test_causes_are_named_before_consequences_and_the_farthest_first(reference: pd.DataFrame) -> None:
    recent = week(90)
    for change in (surer, other_classes, broken):
        change(recent)
    recent["level_dbfs"] += 6.0
    recent["crest_db"] += 60.0
    drift = compare(reference, recent, 0.02, LIMITS)
    assert drift.drifted == (SET_ASIDE, "crest_db", "level_dbfs", PROBABILITY, CLASSES)


def test_a_small_difference_is_no_drift_however_certain(reference: pd.DataFrame) -> None:
    recent = week(3000)
    recent["level_dbfs"] += 2.0
    drift = compare(reference, recent, 0.02, LIMITS)
    feature = next(each for each in drift.features if each.name == "level_dbfs")
    assert feature.p_value < 0.001 and feature.distance < LIMITS.max_distance
    assert drift.verdict == "no drift"


def test_classes_of_few_recordings_differ_by_themselves(reference: pd.DataFrame) -> None:
    weeks_of_30 = [compare(reference, week(30, seed), 0.02, LIMITS).classes for seed in range(25, 31)]
    far = [classes for classes in weeks_of_30 if classes is not None and classes.psi > LIMITS.max_class_psi]
    assert far and not any(classes.drifts for classes in far)
    assert all(0.05 < classes.expected_psi < 0.2 for classes in far)


def test_too_few_recordings_say_nothing_of_features(reference: pd.DataFrame) -> None:
    recent = week(29)
    louder(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert (drift.enough, drift.features, drift.classes) == (False, (), None)
    assert drift.verdict == "too few recordings to say: 29 of 30"
    drift = compare(reference[:12], week(60), 0.02, LIMITS)
    assert drift.verdict == "too few recordings to say: the model learned from 12 of 30"


def test_many_broken_files_are_said_where_too_few_sound_ones_are_left(reference: pd.DataFrame) -> None:
    recent = week(40)
    broken(recent)
    drift = compare(reference, recent, 0.02, LIMITS)
    assert drift.verdict == f"drift in: {SET_ASIDE}; too few recordings to say more: 25 of 30"
    assert drift.set_aside.reasons == {"truncated": 15}
    assert compare(reference, recent[:12], 0.02, LIMITS).drifted == (), "of 12 files nothing is said at all"
    assert compare(reference, recent[15:], 0.02, LIMITS).drifted == ()
    assert compare(reference, recent, 0.3, LIMITS).drifted == (), "as many were set aside among those learned from"


def test_an_empty_folder_and_nothing_sound(reference: pd.DataFrame) -> None:
    assert compare(reference, week(40)[:0], 0.02, LIMITS).verdict == "too few recordings to say: 0 of 30"
    recent = week(40).assign(rejected="silent", label="")
    assert compare(reference, recent, 0.02, LIMITS).verdict.startswith(f"drift in: {SET_ASIDE}; too few")


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


def test_json_is_plain_finite_and_says_what_the_verdict_rests_on(reference: pd.DataFrame) -> None:
    import json

    recent = week()
    louder(recent)
    said = json.loads(json.dumps(compare(reference, recent, 0.02, LIMITS).to_json(), allow_nan=False))
    level = next(feature for feature in said["features"] if feature["name"] == "level_dbfs")
    assert said["verdict"] == "drift in: level_dbfs"
    assert level["recent"]["median"] - level["reference"]["median"] == pytest.approx(12.0, abs=1.5)
    assert sum(said["classes"]["recent"].values()) == said["sound"] == 60
