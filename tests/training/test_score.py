"""The score and the thresholds, on predictions with a known result."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.training.calibration import fit_offsets
from auscult.training.score import best_normal_offset, decide, icbhi_score


def test_score_is_the_mean_of_specificity_and_exact_sensitivity() -> None:
    # two of three normal ones correct; of four abnormal ones one correct and one predicted as another abnormal class
    truth = np.array([0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 1, 1, 2, 0, 0])
    assert icbhi_score(truth, predicted, 0) == pytest.approx((2 / 3 + 1 / 4) / 2)


@pytest.mark.parametrize("truth", [[0, 0], [1, 2]])
def test_score_is_undefined_without_normal_or_abnormal_items(truth: list[int]) -> None:
    assert np.isnan(icbhi_score(np.array(truth), np.array([0, 1]), 0))


@pytest.mark.parametrize("normal", [0, 1])
def test_threshold_is_found_where_argmax_predicts_one_class_only(normal: int) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.1).astype(int) ^ normal
    abnormal = np.where(truth != normal, 0.3, 0.1) + rng.normal(0, 0.02, 400)
    p = np.empty((400, 2))
    p[:, 1 - normal], p[:, normal] = abnormal, 1 - abnormal
    assert icbhi_score(truth, decide(p, np.zeros(2)), normal) == 0.5
    assert icbhi_score(truth, decide(p, fit_offsets(p, truth, normal)), normal) > 0.98


def test_single_outlier_does_not_decide_the_threshold() -> None:
    truth = np.zeros(200, dtype=int)
    truth[100:] = 1
    p_abnormal = np.r_[np.linspace(0.05, 0.45, 100), np.linspace(0.55, 0.95, 100)]
    p_abnormal[150], truth[0] = 0.01, 1  # an abnormal one far among the normal ones
    offset, score = best_normal_offset(truth, np.log(np.c_[1 - p_abnormal, p_abnormal]), 0)
    assert abs(offset) < 0.1  # the middle of the gap around one half
    assert score > 0.95


NORMAL, FIRST, SECOND = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]
TAKEN_FOR_FIRST, TAKEN_FOR_SECOND = [0.02, 0.54, 0.44], [0.02, 0.44, 0.54]


def offsets_of(*units: tuple[int, list[float], int]) -> list[float]:
    """Return the offsets of classes 1 and 2 for units given as (class, probabilities, number); class 0 is normal."""
    truth = np.repeat([label for label, _, _ in units], [count for _, _, count in units])
    p = np.repeat([row for _, row, _ in units], [count for _, _, count in units], axis=0)
    return [float(offset) for offset in fit_offsets(p, truth, 0)[1:]]


@pytest.mark.parametrize(("count", "expected"), [(10, [0.25, 0.0]), (9, [0.0, -0.25])])
def test_the_first_class_with_enough_units_gets_the_smallest_offset_that_helps(
    count: int, expected: list[float]
) -> None:
    assert offsets_of((0, NORMAL, 20), (1, TAKEN_FOR_SECOND, count), (2, SECOND, 20)) == expected


def test_an_offset_that_gains_less_than_half_a_point_stays_zero() -> None:
    # Of 171 abnormal units one more would be found.
    assert offsets_of((0, NORMAL, 20), (1, FIRST, 20), (2, SECOND, 150), (2, TAKEN_FOR_FIRST, 1)) == [0.0, 0.0]
