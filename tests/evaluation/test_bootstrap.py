"""Intervals resample patients; undefined metrics and missing intervals have a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from auscult.core.tasks import Task
from auscult.evaluation.bootstrap import (
    count_patients,
    difference,
    interval,
    lack_a_class,
    metrics_with_intervals,
    patient_weights,
)
from auscult.evaluation.metrics import Predictions, measure
from tests.registry.gate.simulated import patients_with, simulate

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
#: For 8 patients: Student's t with 7 degrees of freedom at 97.5 % is 2.3646243, times √(8/7) is 2.5278897,
#: and Φ(−2.5278897) is:
TAIL_OF_8, REACH_OF_8 = 0.0057375, 2.5278897
FOUR = Task("sounds", "segment", ("normal", "crackle", "wheeze", "both"), "normal", {})


def by_patient(patients: int = 20, each: int = 30, seed: int = 3) -> Predictions:
    """Units whose predictions are all right or all wrong for one patient."""
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(patients), each)
    y = rng.integers(0, 2, len(names))
    right = np.repeat(rng.random(patients) < 0.7, each)
    predicted = np.where(right, y, 1 - y)
    return Predictions(TWO, y, predicted, np.eye(2)[predicted] * 0.8 + 0.1, names.astype(str).astype(object))


def width(predictions: Predictions, patients: np.ndarray) -> float:
    metrics, _ = metrics_with_intervals(predictions, patient_weights(patients, 400, 1), 0.95, "test")
    return float(metrics["score"]["high"] - metrics["score"]["low"])


def test_resampling_patients_gives_wider_intervals_than_resampling_units() -> None:
    predictions = by_patient()
    assert width(predictions, predictions.patients) > 3 * width(predictions, np.arange(len(predictions)))


def test_a_patient_is_drawn_with_all_units_or_not_at_all() -> None:
    predictions = by_patient()
    weights = patient_weights(predictions.patients, 50, 1)
    for name in set(predictions.patients):
        own = weights[:, predictions.patients == name]
        assert (own == own[:, :1]).all()
    assert weights[:, ::30].sum(axis=1).tolist() == [20.0] * 50


def test_the_interval_covers_the_true_value_about_as_often_as_its_confidence() -> None:
    repeats, hits = 200, 0
    for seed in range(repeats):
        predictions = by_patient(patients=40, each=5, seed=seed)
        metrics, _ = metrics_with_intervals(predictions, patient_weights(predictions.patients, 200, seed), 0.9, "test")
        hits += metrics["accuracy"]["low"] <= 0.7 <= metrics["accuracy"]["high"]
    assert 0.84 <= hits / repeats <= 0.96


def uneven(normal: int, abnormal: int, rate: float, repetitions: int, seed: int) -> Iterator[tuple[float, np.ndarray]]:
    """Yield scores of a simulated model, and their resamples, of patients with 1 to about 60 units each.

    Parameters
    ----------
    normal, abnormal
        Number of patients with normal and with abnormal units.
    rate
        Share of the units that the model gets right; it differs between patients (beta distribution).
    """
    rng, n = np.random.default_rng(seed), normal + abnormal
    for _ in range(repetitions):
        units = 1 + rng.poisson(rng.gamma(1.5, 8.0, n))
        right = rng.binomial(units, rng.beta(4 * rate, 4 * (1 - rate), n))
        weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=400)])
        with np.errstate(invalid="ignore"):  # a resample without normal or without abnormal patients
            shares = [
                (weights[:, part] @ right[part]) / (weights[:, part] @ units[part])
                for part in (slice(normal), slice(normal, n))
            ]
        scores = sum(shares) / 2
        yield float(scores[0]), scores[1:]


@pytest.mark.parametrize(("normal", "abnormal"), [(4, 4), (4, 11), (11, 4), (8, 8), (20, 20), (4, 40), (40, 40)])
def test_the_interval_covers_the_score_of_4_to_40_uneven_patients_as_often_as_it_says(
    normal: int, abnormal: int
) -> None:
    """Plain percentiles cover 87 % with 4 and 11 patients."""
    y = np.repeat([0, 1], [normal, abnormal])
    given = Predictions(TWO, y, y, np.eye(2)[y], np.arange(len(y)).astype(str).astype(object))
    repeats = 400
    found = [interval(*each, 0.95, given, "score") for each in uneven(normal, abnormal, 0.7, repeats, 1)]
    covered = sum(each["low"] <= 0.7 <= each["high"] for each in found) / repeats
    assert 0.93 <= covered <= 0.995, "95 %, and at most wider where patients are few"
    constant = 0.5
    useless = [(value - constant, moved - constant) for value, moved in uneven(normal, abnormal, 0.5, repeats, 2)]
    differences = [interval(*each, 0.95, given, "score", paired=True) for each in useless]
    assert sum(not each["low"] <= 0.0 <= each["high"] for each in differences) / repeats <= 0.07


def test_an_interval_of_95_percent_is_about_three_times_as_wide_as_one_of_50() -> None:
    predictions = by_patient(patients=60)
    weights = patient_weights(predictions.patients, 2000, 1)
    wide, narrow = (
        metrics_with_intervals(predictions, weights, confidence, "test")[0]["accuracy"] for confidence in (0.95, 0.5)
    )
    ratio = (wide["high"] - wide["low"]) / (narrow["high"] - narrow["low"])
    assert ratio == pytest.approx(1.96 / 0.674, rel=0.15)


def test_identical_predictions_differ_by_exactly_zero() -> None:
    predictions = by_patient()
    measured = metrics_with_intervals(predictions, patient_weights(predictions.patients, 100, 1), 0.95, "test")
    found = difference(measured, measured, 0.95, predictions)
    assert (found["value"], found["low"], found["high"]) == (0.0, 0.0, 0.0)


def test_a_paired_interval_is_narrower_than_the_interval_of_one_score() -> None:
    predictions = by_patient()
    predicted = predictions.predicted.copy()
    predicted[::15] = 1 - predicted[::15]
    other = Predictions(TWO, predictions.y, predicted, predictions.probabilities, predictions.patients)
    weights = patient_weights(predictions.patients, 300, 1)
    ours, theirs = (metrics_with_intervals(each, weights, 0.95, "test") for each in (predictions, other))
    found = difference(ours, theirs, 0.95, predictions)
    assert found["high"] - found["low"] < 0.5 * (ours[0]["score"]["high"] - ours[0]["score"]["low"])


def test_metrics_of_one_class_are_undefined_with_a_reason_and_never_nan() -> None:
    predictions = by_patient()
    alone = predictions.where(predictions.y == 1)
    metrics, _ = metrics_with_intervals(alone, patient_weights(alone.patients, 50, 1), 0.95, "test")
    assert metrics["roc_auc"] == {"undefined": "undefined: one class in the test part"}
    assert metrics["score"] == {"undefined": "undefined: one class in the test part"}
    assert metrics["specificity"] == {"undefined": "undefined: no 'normal' in the test part"}
    assert metrics["sensitivity"]["value"] > 0
    json.dumps(metrics, allow_nan=False)


def test_a_class_never_predicted_has_no_precision() -> None:
    y = np.array([0, 1, 2, 3, 0, 1])
    predicted = np.zeros(6, dtype=np.int64)
    predictions = Predictions(FOUR, y, predicted, np.full((6, 4), 0.25), np.arange(6).astype(str).astype(object))
    metrics, _ = metrics_with_intervals(predictions, patient_weights(predictions.patients, 50, 1), 0.95, "test")
    assert metrics["precision_both"] == {"undefined": "undefined: 'both' was never predicted"}
    assert metrics["mcc"] == {"undefined": "undefined: every prediction is the same class"}
    assert metrics["precision_macro"]["value"] == pytest.approx(2 / 6 / 4, abs=1e-6)


def test_one_patient_has_metrics_but_no_interval() -> None:
    predictions = by_patient(patients=1)
    metrics, _ = metrics_with_intervals(predictions, patient_weights(predictions.patients, 50, 1), 0.95, "test")
    assert metrics["accuracy"]["no_interval"] == "no interval: 1 patient"


def test_resamples_that_lack_a_class_are_counted_and_left_out() -> None:
    y = np.array([0] * 20 + [1] * 4)  # four abnormal patients of 24: absent from one resample in sixty
    predictions = Predictions(TWO, y, y, np.eye(2)[y], np.arange(24).astype(str).astype(object))
    weights = patient_weights(predictions.patients, 2000, 1)
    metrics, _ = metrics_with_intervals(predictions, weights, 0.95, "test")
    lost = int(lack_a_class(predictions, weights).sum())
    assert 10 < lost < 80
    assert metrics["sensitivity"]["resamples"] == 2000 - lost


@pytest.mark.parametrize("name", ["balanced_accuracy", "recall_macro", "f1_macro", "roc_auc"])
def test_a_mean_over_classes_has_an_interval_only_where_each_class_has_patients(name: str) -> None:
    y = np.repeat([0, 1, 2, 3], [40, 20, 20, 2])  # one unit per patient; two patients with both
    patients = np.arange(len(y)).astype(str).astype(object)
    few = Predictions(FOUR, y, y, np.eye(4)[y], patients)
    metrics, _ = metrics_with_intervals(few, patient_weights(patients, 200, 1), 0.95, "test")
    assert metrics[name]["no_interval"] == "no interval: 'both' in 2 patients only"
    assert "low" in metrics["score"] and "low" in metrics["accuracy"]
    y = np.repeat([0, 1, 2, 3], [40, 20, 20, 4])
    patients = np.arange(len(y)).astype(str).astype(object)
    weights = patient_weights(patients, 1000, 1)
    predictions = Predictions(FOUR, y, y, np.eye(4)[y], patients)
    metrics, _ = metrics_with_intervals(predictions, weights, 0.95, "test")
    assert metrics[name]["resamples"] == 1000 - lack_a_class(predictions, weights).sum() < 1000


def test_equal_metrics_have_equal_intervals() -> None:
    predictions = by_patient()
    metrics, _ = metrics_with_intervals(predictions, patient_weights(predictions.patients, 100, 1), 0.95, "test")
    assert metrics["score"] == metrics["balanced_accuracy"]


def test_three_patients_give_no_interval_to_any_metric() -> None:
    predictions = by_patient(patients=3)
    metrics, _ = metrics_with_intervals(predictions, patient_weights(predictions.patients, 50, 1), 0.95, "test")
    assert all("low" not in metric for metric in metrics.values())


def test_the_metrics_of_an_empty_part_are_undefined() -> None:
    predictions = by_patient()
    none = predictions.where(np.zeros(len(predictions), dtype=bool))
    metrics, _ = metrics_with_intervals(none, patient_weights(none.patients, 20, 1), 0.95, "validation")
    assert metrics["score"] == {"undefined": "undefined: the validation part is empty"}


def test_a_class_of_one_patient_gives_no_interval_however_many_units() -> None:
    predictions = by_patient(patients=20, each=30)
    y = (predictions.patients != "7").astype(np.int64)  # all normal units are one patient's
    one = Predictions(TWO, y, y, np.eye(2)[y], predictions.patients)
    metrics, resampled = metrics_with_intervals(one, patient_weights(one.patients, 200, 1), 0.95, "test")
    for name in ("score", "specificity", "roc_auc", "recall_normal"):
        assert metrics[name]["no_interval"] == "no interval: 'normal' in 1 patient only", name
    assert "low" in metrics["sensitivity"] and "low" in metrics["accuracy"]
    constant = Predictions(TWO, y, np.ones_like(y), np.full((len(y), 2), 0.5), predictions.patients)
    other = metrics_with_intervals(constant, patient_weights(one.patients, 200, 1), 0.95, "test")
    assert "no_interval" in difference((metrics, resampled), other, 0.95, one)


def test_the_ends_are_those_of_the_smaller_group_of_patients() -> None:
    new, old = (patients_with(each, 30, 8) for each in simulate(1.2, 1.0, patients=38))
    assert count_patients(new) == (30, 8)
    weights = patient_weights(new.patients, 2000, 41)
    measured = [metrics_with_intervals(each, weights, 0.95, "test") for each in (new, old)]
    moved = measure(new, weights)["score"] - measure(old, weights)["score"]
    found = difference(measured[0], measured[1], 0.95, new)
    half = REACH_OF_8 * np.nanstd(moved)
    low, high = np.nanquantile(moved, [TAIL_OF_8, 1 - TAIL_OF_8])
    assert found["low"] == pytest.approx(min(low, found["value"] - half), abs=1e-5)
    assert found["high"] == pytest.approx(max(high, found["value"] + half), abs=1e-5)


def test_with_five_patients_an_interval_still_widens_with_the_confidence() -> None:
    """The quantiles alone cannot: both lie at the most extreme of a few different resamples."""
    predictions = by_patient(patients=5)
    weights = patient_weights(predictions.patients, 400, 1)
    found = [metrics_with_intervals(predictions, weights, level, "test")[0]["log_loss"] for level in (0.99, 0.999)]
    assert found[1]["high"] - found[0]["high"] > 0.1


@pytest.mark.parametrize("confidence", [0.95, 0.999])
def test_no_interval_leaves_the_range_of_its_metric(confidence: float) -> None:
    new, old = by_patient(patients=6), by_patient(patients=6, seed=4)
    old = Predictions(TWO, new.y, 1 - new.predicted, old.probabilities, new.patients)
    weights = patient_weights(new.patients, 200, 1)
    measured = [metrics_with_intervals(each, weights, confidence, "test") for each in (new, old)]
    for name, entry in measured[0][0].items():
        lowest, highest = (-1.0 if name == "mcc" else 0.0), (np.inf if name == "log_loss" else 1.0)
        assert lowest <= entry["low"] <= entry["value"] <= entry["high"] <= highest, name
        found = difference(measured[0], measured[1], confidence, new, name)
        assert -(highest - lowest) <= found["low"] <= found["value"] <= found["high"] <= highest - lowest, name
    values = np.random.default_rng(0).normal(0.0, 2.0, 200)
    found = interval(0.0, values, confidence, new, "sensitivity", paired=True)
    assert (found["low"], found["high"]) == (-1.0, 1.0)
