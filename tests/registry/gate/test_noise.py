"""The interval of a difference covers patients and retrainings, and errs as rarely as it promises."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from auscult.core.storage import write_json
from auscult.evaluation.bootstrap import interval
from auscult.evaluation.metrics import Predictions
from auscult.registry.gate.noise import (
    NO_SPREAD,
    NOISE_FILE,
    NOT_MEASURED,
    PARTS,
    Noise,
    Spread,
    cover_retraining,
    find_noise,
    load_noise,
    spread_of_mean,
)
from tests.registry.gate.simulated import TASK

PATIENTS, TRAININGS = 40, 5
#: What eight experiments promise together is 95 %.
OF_EIGHT = 1.0 - 0.05 / 8
#: One unit per patient, all abnormal: sensitivity is the mean over patients.
ONES = np.ones(PATIENTS, dtype=np.int64)
NAMES = np.arange(PATIENTS).astype(str).astype(object)
GIVEN = Predictions(TASK, ONES, ONES, np.eye(2)[ONES], NAMES)
Bools = NDArray[np.bool_]


def test_the_half_widths_of_patients_and_of_seeds_add_in_squares() -> None:
    """t(0.975; 4) = 2.776445, times √2 · 0.03 is 0.117795; with 0.04 and 0.06: 0.124401 and 0.132196."""
    found = cover_retraining(
        {"value": 0.1, "low": 0.06, "high": 0.16}, np.zeros(3), 0.95, "score", 2, Spread(0.03, 4.0)
    )
    assert (found["low"], found["high"]) == pytest.approx((0.1 - 0.124401, 0.1 + 0.132196), abs=2e-6)
    assert found["noticeable"] == pytest.approx(0.132196 + 0.841621 * np.sqrt(2) * 0.03, abs=2e-6)
    known = cover_retraining({"value": 0.1, "low": 0.06, "high": 0.16}, np.zeros(3), 0.95, "score", 2, Spread(0.03))
    assert known["high"] == pytest.approx(0.1 + np.hypot(0.06, 1.959964 * np.sqrt(2) * 0.03), abs=2e-6)


def test_without_noise_of_retraining_the_interval_is_that_over_patients() -> None:
    over_patients = {"value": 0.1, "low": 0.06, "high": 0.16, "resamples": 400}
    found = cover_retraining(over_patients, np.zeros(3), 0.95, "score", 2)
    assert {key: found[key] for key in over_patients} == over_patients
    reason = {"value": 0.1, "no_interval": "no interval: 2 patients"}
    assert cover_retraining(reason, np.zeros(3), 0.95, "score", 2, Spread(0.03, 4.0)) == reason


def test_no_end_and_no_noticeable_difference_leaves_the_range_of_the_metric() -> None:
    found = cover_retraining({"value": 0.1, "low": -0.9, "high": 1.0}, np.ones(3), 0.999, "score", 2, Spread(0.5, 4.0))
    assert (found["low"], found["high"], found["noticeable"]) == (-1.0, 1.0, 1.0)


def simulated(ratio: float, repetitions: int, seed: int = 0) -> list[tuple[float, NDArray[np.float64], float]]:
    """Return differences between two trainings of one model: (value, its resamples, deviation of five trainings).

    Parameters
    ----------
    ratio
        Variance by the two seeds, divided by that by the patients.
    """
    rng = np.random.default_rng(seed)
    each = rng.normal(0.0, 0.1 * np.sqrt(PATIENTS), (repetitions, PATIENTS))
    moved = rng.normal(0.0, 0.1 * np.sqrt(ratio), repetitions)
    deviations = 0.1 * np.sqrt(ratio / 2.0) * np.std(rng.normal(size=(repetitions, TRAININGS)), axis=1, ddof=1)
    weights = rng.multinomial(PATIENTS, np.full(PATIENTS, 1.0 / PATIENTS), size=1000) / PATIENTS
    resampled = each @ weights.T + moved[:, None]
    return list(zip(each.mean(axis=1) + moved, resampled, deviations, strict=True))


def covered(confidence: float, degrees: float, *differences: tuple[float, Any, float]) -> list[dict[str, Any]]:
    found = []
    for value, resampled, deviation in differences:
        ends = {"value": value, **interval(value, resampled, confidence, GIVEN, "sensitivity", paired=True)}
        found.append(cover_retraining(ends, resampled, confidence, "sensitivity", 2, Spread(deviation, degrees)))
    return found


def alarms(found: list[dict[str, Any]]) -> float:
    """Return the share of intervals that exclude zero."""
    return float(np.mean([not each["low"] <= 0.0 <= each["high"] for each in found]))


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_seeds_alone_are_called_a_difference_as_rarely_as_promised(ratio: float) -> None:
    """40 patients, a deviation from five trainings: intervals of one experiment, and of one of eight."""
    differences = simulated(ratio, 2000)
    assert alarms(covered(OF_EIGHT, TRAININGS - 1, *differences)) <= 1.0 - OF_EIGHT
    assert 0.5 * 0.05 <= alarms(covered(0.95, TRAININGS - 1, *differences)) <= 0.05, "nor much more rarely"


def test_a_deviation_that_is_taken_as_known_gives_several_times_the_promised_alarms() -> None:
    assert alarms(covered(OF_EIGHT, inf, *simulated(3.0, 2000))) > 2.0 * (1.0 - OF_EIGHT)


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_four_of_five_comparisons_notice_a_difference_of_the_noticeable_size(ratio: float) -> None:
    found = covered(0.95, TRAININGS - 1, *simulated(ratio, 1000))
    moved = float(np.median([each["noticeable"] for each in found]))
    # The simulated models are equal; a true difference shifts value and interval alike.
    assert 0.7 <= np.mean([each["low"] + moved > 0.0 for each in found]) <= 0.9
    assert np.mean([each["low"] + 0.5 * moved > 0.0 for each in found]) <= 0.5


@pytest.mark.parametrize("differ_by", [0.0, 0.5])
def test_a_pooled_deviation_errs_as_rarely_as_promised_for_an_experiment_that_was_not_measured(
    differ_by: float,
) -> None:
    """*differ_by*: standard deviation of the logarithm of the experiments' own deviations."""
    rng, repetitions = np.random.default_rng(0), 20_000
    own = 0.05 * np.exp(differ_by * rng.normal(size=(repetitions, 9)))
    squares = own[:, :8] ** 2 * rng.chisquare(TRAININGS - 1, (repetitions, 8)) / (TRAININGS - 1)
    values = rng.normal(size=repetitions) * np.sqrt(2.0) * own[:, 8]
    found = [
        cover_retraining(
            {"value": value, "low": value, "high": value},
            np.zeros(2),
            OF_EIGHT,
            "score",
            2,
            Spread(pooled, TRAININGS - 1),
        )
        for value, pooled in zip(values, np.sqrt(squares.mean(axis=1)), strict=True)
    ]
    assert alarms(found) <= 1.0 - OF_EIGHT


def loaded(tmp_path: Path, deviations: NDArray[np.float64]) -> list[Spread]:
    """Return the spread of each experiment's score, read from a table of five trainings."""
    own = {str(number): {part: {"score": float(each)} for part in PARTS} for number, each in enumerate(deviations)}
    pooled = {part: {"score": float(np.sqrt(np.mean(deviations**2)))} for part in PARTS}
    section = {"seeds": list(range(TRAININGS)), "experiments": own, "pooled": pooled}
    write_json(tmp_path / NOISE_FILE, {"datasets": {"sample": section}})
    table = load_noise(tmp_path, "sample")
    found = [find_noise(table, name).of("validation", "score") for name in own]
    return [each for each in found if each is not None]


def test_the_spread_of_one_of_many_experiments_is_drawn_towards_theirs(tmp_path: Path) -> None:
    """Six experiments: (4 · 0.01² + 4 · 0.0025) / 8 = 0.0013, where 0.0025 is the mean of the squares."""
    deviations = np.array([0.01, 0.05, 0.05, 0.05, 0.05, np.sqrt(0.0049)])
    deviations[5] = np.sqrt(6 * 0.0025 - (deviations[:5] ** 2).sum())
    found = loaded(tmp_path, deviations)
    assert found[0] == pytest.approx((np.sqrt(0.0013), 8.0))
    few = loaded(tmp_path, deviations[:5])
    assert few[0] == (0.01, 4.0), "five are too few to say what is usual"


@pytest.mark.parametrize("differ_by", [0.0, 0.5, 0.8])
def test_a_spread_that_is_drawn_errs_as_rarely_as_promised_and_is_narrower(tmp_path: Path, differ_by: float) -> None:
    """*differ_by*: standard deviation of the logarithm of the experiments' own deviations."""
    rng, wide, narrow, alarm = np.random.default_rng(1), 0.0, 0.0, 0
    repetitions = 500
    for _ in range(repetitions):
        own = 0.02 * np.exp(differ_by * rng.normal(size=9))
        measured = own * np.sqrt(rng.chisquare(TRAININGS - 1, 9) / (TRAININGS - 1))
        for true, alone, drawn in zip(own, measured, loaded(tmp_path, measured), strict=True):
            value = rng.normal() * np.sqrt(2.0) * true
            ends = [
                cover_retraining({"value": value, "low": value, "high": value}, np.zeros(2), OF_EIGHT, "score", 2, each)
                for each in (Spread(alone, TRAININGS - 1), drawn)
            ]
            wide, narrow = wide + ends[0]["high"] - value, narrow + ends[1]["high"] - value
            alarm += not ends[1]["low"] <= 0.0 <= ends[1]["high"]
    assert alarm / (9 * repetitions) <= 1.0 - OF_EIGHT
    assert narrow < 0.9 * wide


def test_the_mean_of_experiments_that_are_trained_apart_has_the_mean_variance_divided_by_their_number() -> None:
    """Variances 1, 4 and 4 with four degrees each: √9 / 3, and three quarters of 9² / (1/4 + 16/4 + 16/4) degrees."""
    noises = [measured(each) for each in (1.0, 2.0, 2.0)]
    assert spread_of_mean(noises, "validation", "score") == pytest.approx((1.0, 0.75 * 81.0 / 8.25))
    pooled = [Noise("pooled", measured(1.0).spread)] * 4
    assert spread_of_mean(pooled, "validation", "score") == pytest.approx((0.5, 3.0)), "one estimate for all"
    assert spread_of_mean([*noises, NOT_MEASURED], "validation", "score") == pytest.approx((0.75, 0.75 * 81.0 / 8.25))
    assert spread_of_mean([*noises, Noise("measured", {"test": {}})], "validation", "score") is None
    assert spread_of_mean([NOT_MEASURED], "validation", "score") == NO_SPREAD


def test_the_mean_uses_the_variances_of_experiments_before_they_are_drawn_together(tmp_path: Path) -> None:
    own = {str(number): {part: {"score": 0.01 * number} for part in PARTS} for number in range(6)}
    section = {"seeds": list(range(TRAININGS)), "experiments": own, "pooled": {part: {"score": 0.9} for part in PARTS}}
    write_json(tmp_path / NOISE_FILE, {"datasets": {"sample": section}})
    table = load_noise(tmp_path, "sample")
    found = spread_of_mean([find_noise(table, name) for name in own], "test", "score")
    assert found is not None and found.deviation == pytest.approx(0.01 * np.sqrt(1 + 4 + 9 + 16 + 25) / 6)


@pytest.mark.parametrize("confidence", [0.95, 1.0 - 0.05 / 13])
@pytest.mark.parametrize("differ_by", [0.0, 0.5, 0.8])
def test_seeds_alone_move_the_mean_beyond_its_interval_as_rarely_as_promised(
    differ_by: float, confidence: float
) -> None:
    """*differ_by*: standard deviation of the logarithm of the experiments' own deviations."""
    rng, alarm, repetitions = np.random.default_rng(2), 0, 5000
    for _ in range(repetitions):
        own = 0.02 * np.exp(differ_by * rng.normal(size=9))
        estimated = own * np.sqrt(rng.chisquare(TRAININGS - 1, 9) / (TRAININGS - 1))
        spread = spread_of_mean([measured(float(each)) for each in estimated], "validation", "score")
        assert spread is not None
        value = float(np.mean(rng.normal(size=9) * np.sqrt(2.0) * own))
        at_zero = {"value": value, "low": value, "high": value}
        ends = cover_retraining(at_zero, np.zeros(2), confidence, "score", 2, spread)
        alarm += not ends["low"] <= 0.0 <= ends["high"]
    assert alarm / repetitions <= 1.0 - confidence


def measured(deviation: float) -> Noise:
    """Return the seed variance of an experiment that was trained five times."""
    return Noise("measured", {"validation": {"score": Spread(deviation, TRAININGS - 1)}})
