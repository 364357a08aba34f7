"""Metrics agree with scikit-learn and with examples computed manually."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from auscult.core.tasks import Task
from auscult.evaluation.metrics import Predictions, bins_of, measure, slug
from auscult.training.score import icbhi_score

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
FOUR = Task("sounds", "segment", ("normal", "crackle", "wheeze", "both"), "normal", {})


def drawn(task: Task, n: int = 300, seed: int = 1) -> Predictions:
    """Random predictions that are better than chance, with ties among the probabilities."""
    rng = np.random.default_rng(seed)
    k = len(task.classes)
    y = rng.integers(0, k, n)
    raw = rng.random((n, k)).round(1) + 0.05
    raw[np.arange(n), y] += 0.4
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    patients = rng.integers(0, 20, n).astype(str).astype(object)
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities, patients)


def values_of(predictions: Predictions) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(predictions, np.ones((1, len(predictions)))).items()}


@pytest.mark.parametrize("task", [TWO, FOUR], ids=["two classes", "four classes"])
def test_metrics_of_the_confusion_matrix_agree_with_scikit_learn(task: Task) -> None:
    predictions = drawn(task)
    y, predicted, mine = predictions.y, predictions.predicted, values_of(predictions)
    assert mine["accuracy"] == pytest.approx(reference.accuracy_score(y, predicted))
    assert mine["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(y, predicted))
    assert mine["mcc"] == pytest.approx(reference.matthews_corrcoef(y, predicted))
    assert mine["score"] == pytest.approx(icbhi_score(y, predicted, task.normal_index))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(y, predicted)
    for index, name in enumerate(task.classes):
        assert mine[f"precision_{name}"] == pytest.approx(precision[index])
        assert mine[f"recall_{name}"] == pytest.approx(recall[index])
        assert mine[f"f1_{name}"] == pytest.approx(f1[index])
    assert mine["precision_macro"] == pytest.approx(precision.mean())
    assert mine["f1_macro"] == pytest.approx(f1.mean())


def test_areas_and_losses_of_two_classes_agree_with_scikit_learn() -> None:
    predictions = drawn(TWO)
    mine = values_of(predictions)
    scores = predictions.probabilities[:, 1]
    assert mine["roc_auc"] == pytest.approx(reference.roc_auc_score(predictions.y, scores))
    assert mine["pr_auc"] == pytest.approx(reference.average_precision_score(predictions.y, scores))
    assert mine["brier"] == pytest.approx(reference.brier_score_loss(predictions.y, scores))
    assert mine["log_loss"] == pytest.approx(reference.log_loss(predictions.y, predictions.probabilities))


def test_areas_and_losses_of_four_classes_agree_with_scikit_learn() -> None:
    predictions = drawn(FOUR)
    mine = values_of(predictions)
    one_hot = np.eye(4)[predictions.y]
    expected = reference.roc_auc_score(predictions.y, predictions.probabilities, multi_class="ovr", average="macro")
    assert mine["roc_auc"] == pytest.approx(expected)
    assert mine["pr_auc"] == pytest.approx(reference.average_precision_score(one_hot, predictions.probabilities))
    assert mine["roc_auc_abnormal"] == pytest.approx(reference.roc_auc_score(predictions.y != 0, predictions.abnormal))
    assert mine["brier"] == pytest.approx(((predictions.probabilities - one_hot) ** 2).sum(axis=1).mean())


def test_a_weighted_metric_equals_the_metric_of_repeated_units() -> None:
    predictions = drawn(FOUR, 60)
    counts = np.random.default_rng(2).integers(0, 4, len(predictions))
    weighted = {name: values[0] for name, values in measure(predictions, counts[None].astype(float)).items()}
    repeated = np.repeat(np.arange(len(predictions)), counts)
    copies = Predictions(
        FOUR,
        predictions.y[repeated],
        predictions.predicted[repeated],
        predictions.probabilities[repeated],
        predictions.patients[repeated],
    )
    for name, value in values_of(copies).items():
        assert weighted[name] == pytest.approx(value), name


def test_challenge_scores_of_a_manual_example() -> None:
    # 4 normal, 3 of them right; 6 abnormal: 3 exactly right, 2 with the wrong abnormal class, 1 predicted normal.
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    predicted = np.array([0, 0, 0, 1, 1, 1, 2, 2, 1, 0])
    mine = values_of(Predictions(FOUR, y, predicted, np.eye(4)[predicted], y.astype(object)))
    assert mine["specificity"] == pytest.approx(3 / 4)
    assert mine["sensitivity"] == pytest.approx(3 / 6)
    assert mine["detection_sensitivity"] == pytest.approx(5 / 6)
    assert mine["score"] == pytest.approx(0.625)
    assert mine["harmonic_score"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert mine["sprsound_score"] == pytest.approx((0.625 + 0.6) / 2)


def test_published_scores_leave_out_poor_quality_and_the_score_does_not() -> None:
    # 2 normal, 1 right; 2 adventitious, both right; 4 of poor quality, 1 right.
    task = Task("official_2_1", "recording", ("normal", "adventitious", "poor"), "normal", {}, unscored=("poor",))
    y = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    predicted = np.array([0, 1, 1, 1, 2, 0, 1, 0])
    mine = values_of(Predictions(task, y, predicted, np.eye(3)[predicted], y.astype(object)))
    assert mine["average_score"] == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert mine["score"] == pytest.approx((3 / 6 + 1 / 2) / 2)
    assert (mine["recall_poor"], mine["precision_poor"]) == (1 / 4, 1 / 1)


def test_calibration_error_of_a_manual_example() -> None:
    # Two bins: mean predicted 0.25, observed 0 of 2; mean predicted 0.85, observed 3 of 4.
    probability = np.array([0.25, 0.25, 0.85, 0.85, 0.85, 0.85])
    y = np.array([0, 0, 1, 1, 1, 0])
    predictions = Predictions(TWO, y, y, np.stack([1 - probability, probability], axis=1), y.astype(object))
    assert values_of(predictions)["calibration_error"] == pytest.approx((2 * 0.25 + 4 * 0.10) / 6)


def test_probability_one_falls_into_the_last_bin() -> None:
    assert bins_of(np.array([0.0, 0.099, 0.1, 1.0])).tolist() == [0, 0, 1, 9]


def test_a_class_that_does_not_occur_is_left_out_of_the_means() -> None:
    predictions = drawn(FOUR)
    without = predictions.where(predictions.y != 3)
    mine = values_of(without)
    assert np.isnan(mine["recall_both"])
    assert mine["precision_both"] == 0.0, "it is predicted, wrongly"
    assert np.isnan(mine["f1_both"])
    assert mine["balanced_accuracy"] == pytest.approx(np.mean([mine[f"recall_{n}"] for n in FOUR.classes[:3]]))
    assert mine["f1_macro"] == pytest.approx(np.mean([mine[f"f1_{n}"] for n in FOUR.classes[:3]]))


def test_areas_need_one_unit_of_each_kind() -> None:
    y = np.array([0, 1, 1])
    p = np.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    assert values_of(Predictions(TWO, y, p.argmax(axis=1), p, y.astype(object)))["roc_auc"] == 0.5


@pytest.mark.parametrize(("name", "expected"), [("CAS & DAS", "cas_das"), ("Wheeze+Crackle", "wheeze_crackle")])
def test_slug_makes_a_class_name_part_of_a_metric_name(name: str, expected: str) -> None:
    assert slug(name) == expected
