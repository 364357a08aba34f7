"""Calibration recovers what was done to true probabilities, and does little where there is little to learn from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax

from auscult.training.calibration import Calibration
from auscult.training.score import decide

#: A network that is too sure of itself, and that saw other class shares in training.
TEMPERATURE, BIASES = 2.5, np.array([0.8, -0.1, -0.7])


def drawn(count: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities of units, shape (n, 3), and classes drawn from them."""
    rng = np.random.default_rng(seed)
    true = softmax(rng.normal([0.5, 0.0, -0.5], 1.5, size=(count, 3)), axis=1)
    return true, (rng.random((count, 1)) > true.cumsum(axis=1)[:, :2]).sum(axis=1)


def distorted(true: np.ndarray) -> np.ndarray:
    """Probabilities that a temperature and biases turn into the true ones."""
    return softmax((np.log(true) - BIASES) * TEMPERATURE, axis=1)


def error(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Mean gap between predicted and observed frequency of the classes, in ten bins of equal width."""
    gaps = []
    for index in range(3):
        p, occurred = probabilities[:, index], target == index
        bins = np.minimum((p * 10).astype(int), 9)
        gaps += [abs((p - occurred)[bins == number].sum()) for number in range(10)]
    return float(np.sum(gaps) / (3 * len(target)))


def test_a_known_temperature_and_known_biases_are_recovered() -> None:
    true, target = drawn(20_000)
    found = Calibration.fit(distorted(true), target)
    assert found.temperature == pytest.approx(TEMPERATURE, rel=0.05)
    np.testing.assert_allclose(found.biases, BIASES, atol=0.06)
    assert found.biases.sum() == pytest.approx(0.0, abs=1e-9)


def test_calibrated_probabilities_agree_with_the_frequencies_of_other_units() -> None:
    true, target = drawn(4000)
    found = Calibration.fit(distorted(true), target)
    other, other_target = drawn(20_000, seed=5)
    raw = distorted(other)
    assert error(raw, other_target) > 0.1
    assert error(found.apply(raw), other_target) < 0.02
    np.testing.assert_allclose(found.apply(raw).sum(axis=1), 1.0)


def test_calibrated_probabilities_that_are_already_right_stay_so() -> None:
    true, target = drawn(20_000)
    found = Calibration.fit(true, target)
    assert found.temperature == pytest.approx(1.0, abs=0.05)
    assert np.abs(found.biases).max() < 0.06


@pytest.mark.parametrize("count", [1, 3, 6])
def test_few_units_change_little(count: int) -> None:
    # Each is found with certainty, which without a prior means a temperature of 0.
    target = np.arange(count) % 3
    sure = np.full((count, 3), 0.05)
    sure[np.arange(count), target] = 0.9
    found = Calibration.fit(sure, target)
    assert 0.3 < found.temperature < 1.0
    assert np.abs(found.biases).max() < 1.5
    assert np.abs(found.apply(sure) - sure).max() < 0.1


def test_a_class_that_no_unit_has_keeps_a_probability() -> None:
    true, target = drawn(300)
    inside = target != 2
    found = Calibration.fit(true[inside], target[inside])
    p = found.apply(true)
    assert np.isfinite(p).all() and (p[:, 2] > 0).all()
    assert p[:, 2].mean() < true[:, 2].mean()


def test_probabilities_of_zero_and_one_are_calibrated() -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 20)
    target = np.array([0, 1] * 19 + [1, 0])
    found = Calibration.fit(p, target)
    assert np.isfinite(found.apply(p)).all()
    assert found.apply(p)[0, 0] < 1.0 - 1e-4, "one of twenty was wrong"


def test_a_temperature_alone_changes_no_decision() -> None:
    true, _ = drawn(200)
    hot = Calibration(3.0, np.zeros(3)).apply(true)
    np.testing.assert_array_equal(decide(hot, np.zeros(3)), decide(true, np.zeros(3)))
    assert hot.max() < true.max()


def test_the_description_in_model_json_gives_the_same_probabilities() -> None:
    true, target = drawn(300)
    found = Calibration.fit(true, target)
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_array_equal(again.apply(true), found.apply(true))
