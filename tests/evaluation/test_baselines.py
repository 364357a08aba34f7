"""Baselines: what each of them sees and learns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.core.tasks import Task
from auscult.evaluation.assessment import age_groups
from auscult.evaluation.baselines import (
    Units,
    constant,
    encode_metadata,
    gradient_boosting,
    metadata_only,
    pool,
    summarise,
)

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
THREE = Task("record", "recording", ("healthy", "chronic", "infectious"), "healthy", {})


def units(task: Task, y: np.ndarray) -> Units:
    third = np.arange(len(y)) % 3
    return Units(task, y, third == 0, third == 1)


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
    y[2] = 2  # only outside training and validation
    found = gradient_boosting(units(THREE, y), rng.normal(size=(90, 3)).astype(np.float32))
    assert found.probabilities.shape == (90, 3)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.probabilities[:, 2].max() < 1e-4


def test_statistics_use_valid_frames_only() -> None:
    rng = np.random.default_rng(5)
    array = rng.normal(size=(7, 4, 20)).astype(np.float32)
    frames = np.array([20, 5, 5, 1, 12, 20, 5])
    padded = array.copy()
    for row, valid in enumerate(frames):
        padded[row, :, valid:] = 999.0
    rows = np.arange(7)
    assert np.array_equal(summarise(array, rows, frames), summarise(padded, rows, frames, chunk=2))


def test_statistics_agree_with_numpy() -> None:
    array = np.random.default_rng(6).normal(size=(3, 4, 21)).astype(np.float32)
    table = summarise(array, np.array([2, 0]), np.array([21, 21]))
    assert table.shape == (2, 11 * 4 + 1)
    assert np.allclose(table[0, :4], array[2].mean(axis=1), atol=1e-6)
    assert np.allclose(table[1, 4:8], array[0].std(axis=1), atol=1e-6)
    assert np.allclose(table[1, 24:28], np.median(array[0], axis=1))


def test_pooling_takes_mean_and_maximum_of_each_units_rows() -> None:
    table = np.array([[1.0], [5.0], [3.0], [7.0]], dtype=np.float32)
    assert pool(table, np.array([1, 0, 1, 1])).tolist() == [[5.0, 5.0], [pytest.approx(11 / 3), 7.0]]


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
