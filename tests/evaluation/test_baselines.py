"""Baselines: what each of them sees and learns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.core.tasks import Task
from auscult.evaluation.assessment import age_groups
from auscult.evaluation.baselines import (
    BaselinePredictions,
    Units,
    constant,
    encode_metadata,
    gradient_boosting,
    metadata_only,
)

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
THREE = Task("record", "recording", ("healthy", "chronic", "infectious"), "healthy", {})


def units(task: Task, y: np.ndarray) -> Units:
    """Two folds and, every third unit, the test part, whose labels are hidden."""
    fold = np.array([0, 1, -1])[np.arange(len(y)) % 3]
    return Units(task, np.where(fold >= 0, y, -1), fold)


def metadata(n: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "device": rng.choice(["A", "B"], n),
            "location": rng.choice(["Al", None], n),
            "sex": rng.choice(["female", "male", None], n),
            "age_years": np.where(rng.random(n) < 0.2, np.nan, rng.uniform(0, 90, n)),
            "duration_s": rng.uniform(1, 20, n),
        }
    )


def test_the_constant_answer_for_two_classes_is_the_frequent_class() -> None:
    assert set(constant(units(TWO, np.array([1, 1, 0] * 3 + [1, 1, 1, 0, 1, 0]))).predicted) == {1}


def test_the_constant_answer_for_several_classes_is_normal_even_if_rare_because_it_scores_best() -> None:
    y = np.array([1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0, 0])
    assert set(constant(units(THREE, y)).predicted) == {0}


@pytest.mark.parametrize("column", ["device", "location", "sex", "age_years", "duration_s"])
def test_the_metadata_only_baseline_uses_a_value_that_determines_the_class(column: str) -> None:
    rng = np.random.default_rng(1)
    table = metadata(240, rng)
    value = {"device": "B", "location": "Al", "sex": "male"}.get(column)
    y = (table[column] == value if value else table[column] > table[column].median()).to_numpy().astype(np.int64)
    unseen = np.arange(240) % 3 == 2
    assert (metadata_only(units(TWO, y), table).predicted == y)[unseen].mean() > 0.93


def test_gradient_boosting_learns_what_no_linear_model_can() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(900, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    unseen = np.arange(900) % 3 == 2
    found = gradient_boosting(units(TWO, y), x)
    assert (found.predicted == y)[unseen].mean() > 0.85


def test_gradient_boosting_decides_with_offsets_so_that_a_rare_class_is_found() -> None:
    rng = np.random.default_rng(5)
    y = (rng.random(1500) < 0.06).astype(np.int64)
    x = (rng.normal(size=(1500, 3)) + y[:, None] * 0.9).astype(np.float32)
    found = gradient_boosting(units(TWO, y), x)
    unseen = np.arange(1500) % 3 == 2
    rare = unseen & (y == 1)
    recall, without_offsets = (found.predicted == 1)[rare].mean(), (found.probabilities.argmax(1) == 1)[rare].mean()
    assert recall > 0.6
    assert recall > without_offsets + 0.2


def test_the_metadata_only_baseline_learns_nothing_from_random_labels() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 600)
    found = metadata_only(units(TWO, y), metadata(600, rng))
    unseen = np.arange(600) % 3 == 2
    assert abs((found.predicted == y)[unseen].mean() - 0.5) < 0.12
    assert abs((found.predicted == y)[~unseen].mean() - 0.5) < 0.12, "out of fold"


def predictions(y: np.ndarray, fold: np.ndarray, x: np.ndarray, table: pd.DataFrame) -> dict[str, BaselinePredictions]:
    given = Units(TWO, y, fold)
    return {
        "constant": constant(given),
        "metadata_only": metadata_only(given, table),
        "gradient_boosting": gradient_boosting(given, x),
    }


def four_parts(seed: int) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, np.ndarray]:
    """Folds (0 to 2, −1 for test), classes, metadata and features of 240 units."""
    rng = np.random.default_rng(seed)
    fold = np.arange(240) % 4 - 1
    y = np.where(fold >= 0, rng.integers(0, 2, 240), -1)
    table = metadata(240, rng)
    return fold, y, table, rng.normal(size=(240, 5)).astype(np.float32) + y[:, None]


def test_a_fold_is_predicted_by_fits_that_read_none_of_its_rows() -> None:
    """Labels, features and metadata of a fold change no probability of it but through its own input."""
    fold, y, table, x = four_parts(6)
    before = predictions(y, fold, x, table)
    own = np.flatnonzero(fold == 1)
    one, rest = own[0], own[1:]
    other_y, other_x, other_table = y.copy(), x.copy(), table.copy()
    other_y[own] = 1 - y[own]
    other_x[rest] = 99.0
    other_table.loc[rest, ["device", "age_years", "duration_s"]] = ["C", 900.0, 900.0]
    for name, after in predictions(other_y, fold, other_x, other_table).items():
        np.testing.assert_array_equal(after.probabilities[one], before[name].probabilities[one], err_msg=name)
        moved = np.abs(after.probabilities - before[name].probabilities).max(axis=1) > 1e-9
        assert moved[fold == 0].any() and moved[fold == -1].any(), f"{name}: what learns from the fold changes"


def test_test_units_change_nothing_and_get_the_mean_of_the_fits() -> None:
    fold, y, table, x = four_parts(7)
    before, inside = predictions(y, fold, x, table), fold >= 0
    other = table.copy()
    other.loc[~inside, ["device", "age_years"]] = ["C", 900.0]
    after = predictions(y, fold, np.where(inside[:, None], x, 99.0).astype(np.float32), other)
    for name, each in after.items():
        np.testing.assert_array_equal(each.probabilities[inside], before[name].probabilities[inside], err_msg=name)
        np.testing.assert_array_equal(each.predicted[inside], before[name].predicted[inside], err_msg=name)
    # A fold and a test unit with the same features: the fold's prediction is one fit's, the test unit's the mean.
    same = np.array([np.flatnonzero(fold == number)[0] for number in (-1, 0, 1, 2)])
    twins = x.copy()
    twins[same] = x[same[0]]
    p = gradient_boosting(Units(TWO, y, fold), twins).probabilities
    assert p[same[0], 1] == pytest.approx(p[same[1:], 1].mean(), abs=1e-9)


def test_a_class_of_one_fold_is_predicted_for_the_other_folds_only() -> None:
    rng = np.random.default_rng(8)
    y, fold = rng.integers(0, 2, 120), np.arange(120) % 3
    y[fold == 1] = np.where(rng.random(40) < 0.4, 2, y[fold == 1])
    found = gradient_boosting(Units(THREE, y, fold), rng.normal(size=(120, 3)).astype(np.float32))
    assert found.probabilities[fold == 1, 2].max() < 1e-4
    assert found.probabilities[fold != 1, 2].min() > 1e-4


def test_metadata_values_that_training_lacks_are_encoded() -> None:
    rng = np.random.default_rng(3)
    table = metadata(30, rng)
    other = table.assign(device="C", location=None, age_years=np.nan)
    encoded = encode_metadata(pd.concat([table, other], ignore_index=True), np.arange(60) < 30)
    assert encoded.shape == (60, 2 + 1 + 2 + 2 * 2)
    assert np.isfinite(encoded).all()
    assert not encoded[30:, :3].any(), "device and location that training lacks"
    assert np.array_equal(encoded[30:, 6], np.ones(30)), "a missing age is flagged"


def test_metadata_outside_training_changes_no_encoding_of_training() -> None:
    table, train = metadata(40, np.random.default_rng(8)), np.arange(40) < 25
    other = table.copy()
    other.loc[~train, "age_years"] = 900.0
    other.loc[~train, "device"] = "unheard of"
    before, after = encode_metadata(table, train), encode_metadata(other, train)
    assert before.shape == after.shape
    assert np.array_equal(before[train], after[train])


def test_a_class_without_training_units_gets_a_small_probability() -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 90)
    y[2] = 2  # only outside the development part
    found = gradient_boosting(units(THREE, y), rng.normal(size=(90, 3)).astype(np.float32))
    assert found.probabilities.shape == (90, 3)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.probabilities[:, 2].max() < 1e-4


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (0.25, "under 1 year"),
        (1.0, "1 to 4 years"),
        (17.9, "12 to 17 years"),
        (65.0, "65 years and over"),
        (np.nan, "unknown"),
    ],
)
def test_age_groups(age: float, group: str) -> None:
    assert age_groups(pd.Series([age])).tolist() == [group]
