"""Figures against scikit-learn and against examples computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from auscult.core.tasks import Task
from auscult.evaluation.metrics import Answers, bins_of, measure, slug
from auscult.training.score import icbhi_score

TWO = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})
FOUR = Task("sounds", "segment", ("normal", "crackle", "wheeze", "both"), "normal", {})


def drawn(task: Task, n: int = 300, seed: int = 1) -> Answers:
    """Random answers that are somewhat right, with ties among the probabilities."""
    rng = np.random.default_rng(seed)
    k = len(task.classes)
    y = rng.integers(0, k, n)
    raw = rng.random((n, k)).round(1) + 0.05
    raw[np.arange(n), y] += 0.4
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    patients = rng.integers(0, 20, n).astype(str).astype(object)
    return Answers(task, y, probabilities.argmax(axis=1), probabilities, patients)


def figures(answers: Answers) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(answers, np.ones((1, len(answers)))).items()}


@pytest.mark.parametrize("task", [TWO, FOUR], ids=["two classes", "four classes"])
def test_figures_from_the_confusion_agree_with_scikit_learn(task: Task) -> None:
    answers = drawn(task)
    y, predicted, mine = answers.y, answers.predicted, figures(answers)
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


def test_areas_and_errors_of_two_classes_agree_with_scikit_learn() -> None:
    answers = drawn(TWO)
    mine = figures(answers)
    scores = answers.probabilities[:, 1]
    assert mine["roc_auc"] == pytest.approx(reference.roc_auc_score(answers.y, scores))
    assert mine["pr_auc"] == pytest.approx(reference.average_precision_score(answers.y, scores))
    assert mine["brier"] == pytest.approx(reference.brier_score_loss(answers.y, scores))
    assert mine["log_loss"] == pytest.approx(reference.log_loss(answers.y, answers.probabilities))


def test_areas_and_errors_of_four_classes_agree_with_scikit_learn() -> None:
    answers = drawn(FOUR)
    mine = figures(answers)
    happened = np.eye(4)[answers.y]
    expected = reference.roc_auc_score(answers.y, answers.probabilities, multi_class="ovr", average="macro")
    assert mine["roc_auc"] == pytest.approx(expected)
    assert mine["pr_auc"] == pytest.approx(reference.average_precision_score(happened, answers.probabilities))
    assert mine["roc_auc_abnormal"] == pytest.approx(reference.roc_auc_score(answers.y != 0, answers.abnormal))
    assert mine["brier"] == pytest.approx(((answers.probabilities - happened) ** 2).sum(axis=1).mean())


def test_a_weighted_figure_is_that_of_the_repeated_units() -> None:
    answers = drawn(FOUR, 60)
    counts = np.random.default_rng(2).integers(0, 4, len(answers))
    weighted = {name: values[0] for name, values in measure(answers, counts[None].astype(float)).items()}
    repeated = np.repeat(np.arange(len(answers)), counts)
    copies = Answers(
        FOUR,
        answers.y[repeated],
        answers.predicted[repeated],
        answers.probabilities[repeated],
        answers.patients[repeated],
    )
    for name, value in figures(copies).items():
        assert weighted[name] == pytest.approx(value), name


def test_challenge_scores_by_hand() -> None:
    # 4 normal of which 3 right; 6 abnormal: 3 exactly right, 2 with the wrong class, 1 missed.
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    predicted = np.array([0, 0, 0, 1, 1, 1, 2, 2, 1, 0])
    mine = figures(Answers(FOUR, y, predicted, np.eye(4)[predicted], y.astype(object)))
    assert mine["specificity"] == pytest.approx(3 / 4)
    assert mine["sensitivity"] == pytest.approx(3 / 6)
    assert mine["detection_sensitivity"] == pytest.approx(5 / 6)
    assert mine["score"] == pytest.approx(0.625)
    assert mine["harmonic_score"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert mine["sprsound_score"] == pytest.approx((0.625 + 0.6) / 2)


def test_calibration_error_by_hand() -> None:
    # Two bins: promised 0.25 and 0 of 2 came true; promised 0.85 and 3 of 4 came true.
    probability = np.array([0.25, 0.25, 0.85, 0.85, 0.85, 0.85])
    y = np.array([0, 0, 1, 1, 1, 0])
    answers = Answers(TWO, y, y, np.stack([1 - probability, probability], axis=1), y.astype(object))
    assert figures(answers)["calibration_error"] == pytest.approx((2 * 0.25 + 4 * 0.10) / 6)


def test_certainty_falls_into_the_last_bin() -> None:
    assert bins_of(np.array([0.0, 0.099, 0.1, 1.0])).tolist() == [0, 0, 1, 9]


def test_a_class_that_does_not_occur_is_left_out_of_the_means() -> None:
    answers = drawn(FOUR)
    without = answers.where(answers.y != 3)
    mine = figures(without)
    assert np.isnan(mine["recall_both"])
    assert mine["balanced_accuracy"] == pytest.approx(np.mean([mine[f"recall_{n}"] for n in FOUR.classes[:3]]))


@pytest.mark.parametrize(("name", "expected"), [("CAS & DAS", "cas_das"), ("Wheeze+Crackle", "wheeze_crackle")])
def test_class_names_become_parts_of_metric_names(name: str, expected: str) -> None:
    assert slug(name) == expected
