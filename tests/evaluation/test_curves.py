"""The ROC curve: its area, its corners, and the case without one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from auscult.core.tasks import Task
from auscult.evaluation.metrics import Predictions
from auscult.evaluation.plots import roc

TASK = Task("abnormal", "segment", ("normal", "abnormal"), "normal", {})


def predictions(scores: np.ndarray, positive: np.ndarray) -> Predictions:
    """Predictions with these probabilities of abnormal."""
    y = positive.astype(np.int64)
    return Predictions(TASK, y, y, np.stack([1 - scores, scores], axis=1), y.astype(object))


@pytest.mark.parametrize("levels", [2, 3, 7, 10_000])
def test_the_area_under_the_points_is_the_auc(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, 600) / levels
    positive = rng.random(600) < 0.1 + 0.8 * scores
    made = predictions(scores, positive)
    curve = roc(made)
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(roc_auc_score(positive, made.abnormal), abs=1e-12)
    assert len(curve) <= len(roc_curve(positive, made.abnormal)[0])
    assert (curve["threshold"].diff().dropna() < 0).all()
    assert np.isfinite(curve["threshold"]).all()


def test_one_class_has_no_curve() -> None:
    assert roc(predictions(np.array([0.1, 0.2]), np.array([True, True]))).empty
