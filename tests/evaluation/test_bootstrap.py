"""Intervals come from patients; what is undefined is said in words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from auscult.core.tasks import Task
from auscult.evaluation.bootstrap import difference, figures_with_intervals, patient_weights, resamples_without_a_class
from auscult.evaluation.metrics import Answers

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
FOUR = Task("sounds", "segment", ("normal", "crackle", "wheeze", "both"), "normal", {})


def by_patient(patients: int = 20, each: int = 30, seed: int = 3) -> Answers:
    """Units whose answers are right or wrong patient by patient."""
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(patients), each)
    y = rng.integers(0, 2, len(names))
    right = np.repeat(rng.random(patients) < 0.7, each)
    predicted = np.where(right, y, 1 - y)
    return Answers(TWO, y, predicted, np.eye(2)[predicted] * 0.8 + 0.1, names.astype(str).astype(object))


def width(answers: Answers, patients: np.ndarray) -> float:
    figures, _ = figures_with_intervals(answers, patient_weights(patients, 400, 1), 0.95, "test")
    return float(figures["score"]["high"] - figures["score"]["low"])


def test_an_interval_by_patient_is_wider_than_by_unit_when_patients_are_alike_within() -> None:
    answers = by_patient()
    assert width(answers, answers.patients) > 3 * width(answers, np.arange(len(answers)))


def test_a_patient_is_drawn_with_all_units_or_not_at_all() -> None:
    answers = by_patient()
    weights = patient_weights(answers.patients, 50, 1)
    for name in set(answers.patients):
        mine = weights[:, answers.patients == name]
        assert (mine == mine[:, :1]).all()
    assert weights[:, ::30].sum(axis=1).tolist() == [20.0] * 50


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        answers = by_patient(patients=40, each=5, seed=seed)
        figures, _ = figures_with_intervals(answers, patient_weights(answers.patients, 200, seed), 0.9, "test")
        hits += figures["accuracy"]["low"] <= 0.7 <= figures["accuracy"]["high"]
    assert 0.75 <= hits / 60 <= 1.0


def test_identical_answers_differ_by_exactly_nothing() -> None:
    answers = by_patient()
    measured = figures_with_intervals(answers, patient_weights(answers.patients, 100, 1), 0.95, "test")
    found = difference(measured, measured, 0.95, answers)
    assert (found["value"], found["low"], found["high"]) == (0.0, 0.0, 0.0)


def test_a_paired_interval_is_narrower_than_that_of_two_separate_scores() -> None:
    answers = by_patient()
    predicted = answers.predicted.copy()
    predicted[::15] = 1 - predicted[::15]
    other = Answers(TWO, answers.y, predicted, answers.probabilities, answers.patients)
    weights = patient_weights(answers.patients, 300, 1)
    mine, theirs = (figures_with_intervals(each, weights, 0.95, "test") for each in (answers, other))
    found = difference(mine, theirs, 0.95, answers)
    assert found["high"] - found["low"] < 0.5 * (mine[0]["score"]["high"] - mine[0]["score"]["low"])


def test_one_class_is_undefined_in_words_and_never_nan() -> None:
    answers = by_patient()
    alone = answers.where(answers.y == 1)
    figures, _ = figures_with_intervals(alone, patient_weights(alone.patients, 50, 1), 0.95, "test")
    assert figures["roc_auc"] == {"undefined": "undefined: one class in the test part"}
    assert figures["score"] == {"undefined": "undefined: one class in the test part"}
    assert figures["specificity"] == {"undefined": "undefined: no 'normal' in the test part"}
    assert figures["sensitivity"]["value"] > 0
    json.dumps(figures, allow_nan=False)


def test_a_class_never_answered_has_no_precision() -> None:
    y = np.array([0, 1, 2, 3, 0, 1])
    predicted = np.zeros(6, dtype=np.int64)
    answers = Answers(FOUR, y, predicted, np.full((6, 4), 0.25), np.arange(6).astype(str).astype(object))
    figures, _ = figures_with_intervals(answers, patient_weights(answers.patients, 50, 1), 0.95, "test")
    assert figures["precision_both"] == {"undefined": "undefined: 'both' was never answered"}
    assert figures["mcc"] == {"undefined": "undefined: every answer is the same class"}
    assert figures["precision_macro"]["value"] == pytest.approx(2 / 6 / 4, abs=1e-6)


def test_one_patient_has_figures_but_no_interval() -> None:
    answers = by_patient(patients=1)
    figures, _ = figures_with_intervals(answers, patient_weights(answers.patients, 50, 1), 0.95, "test")
    assert figures["accuracy"]["no_interval"] == "no interval: 1 patient"


def test_resamples_that_lack_a_class_are_counted_and_left_out() -> None:
    y = np.array([0] * 20 + [1] * 4)  # four abnormal patients of 24: absent from one resample in sixty
    answers = Answers(TWO, y, y, np.eye(2)[y], np.arange(24).astype(str).astype(object))
    weights = patient_weights(answers.patients, 2000, 1)
    figures, _ = figures_with_intervals(answers, weights, 0.95, "test")
    lost = resamples_without_a_class(answers, weights)
    assert 10 < lost < 80
    assert figures["sensitivity"]["resamples"] == 2000 - lost


@pytest.mark.parametrize("name", ["balanced_accuracy", "recall_macro", "f1_macro", "roc_auc"])
def test_a_mean_over_classes_has_an_interval_only_where_each_class_has_patients(name: str) -> None:
    y = np.repeat([0, 1, 2, 3], [40, 20, 20, 2])  # one unit per patient; two patients with both
    people = np.arange(len(y)).astype(str).astype(object)
    few = Answers(FOUR, y, y, np.eye(4)[y], people)
    figures, _ = figures_with_intervals(few, patient_weights(people, 200, 1), 0.95, "test")
    assert figures[name]["no_interval"] == "no interval: 'both' in 2 patients only"
    assert "low" in figures["score"] and "low" in figures["accuracy"]
    y = np.repeat([0, 1, 2, 3], [40, 20, 20, 4])
    people = np.arange(len(y)).astype(str).astype(object)
    weights = patient_weights(people, 1000, 1)
    answers = Answers(FOUR, y, y, np.eye(4)[y], people)
    figures, _ = figures_with_intervals(answers, weights, 0.95, "test")
    assert figures[name]["resamples"] == 1000 - resamples_without_a_class(answers, weights) < 1000


def test_two_figures_that_are_the_same_have_the_same_interval() -> None:
    answers = by_patient()
    figures, _ = figures_with_intervals(answers, patient_weights(answers.patients, 100, 1), 0.95, "test")
    assert figures["score"] == figures["balanced_accuracy"]


def test_few_patients_give_no_interval_to_any_figure() -> None:
    answers = by_patient(patients=3)
    figures, _ = figures_with_intervals(answers, patient_weights(answers.patients, 50, 1), 0.95, "test")
    assert all("low" not in figure for figure in figures.values())


def test_an_empty_part_says_so() -> None:
    answers = by_patient()
    none = answers.where(np.zeros(len(answers), dtype=bool))
    figures, _ = figures_with_intervals(none, patient_weights(none.patients, 20, 1), 0.95, "validation")
    assert figures["score"] == {"undefined": "undefined: the validation part is empty"}


def test_one_patient_on_a_side_gives_no_interval_however_many_units() -> None:
    answers = by_patient(patients=20, each=30)
    y = (answers.patients != "7").astype(np.int64)  # all normal units are one patient's
    one = Answers(TWO, y, y, np.eye(2)[y], answers.patients)
    figures, resampled = figures_with_intervals(one, patient_weights(one.patients, 200, 1), 0.95, "test")
    for name in ("score", "specificity", "roc_auc", "recall_normal"):
        assert figures[name]["no_interval"] == "no interval: 'normal' in 1 patient only", name
    assert "low" in figures["sensitivity"] and "low" in figures["accuracy"]
    deaf = Answers(TWO, y, np.ones_like(y), np.full((len(y), 2), 0.5), answers.patients)
    other = figures_with_intervals(deaf, patient_weights(one.patients, 200, 1), 0.95, "test")
    assert "no_interval" in difference((figures, resampled), other, 0.95, one)
