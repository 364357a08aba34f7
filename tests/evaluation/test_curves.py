"""ROC points are what a reader would integrate, tied scores included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from auscult.evaluation.curves import roc


@pytest.mark.parametrize("levels", [2, 3, 7, 10_000])
def test_the_area_under_the_points_is_the_auc(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, 600) / levels
    positive = rng.random(600) < 0.1 + 0.8 * scores
    fpr, tpr, threshold = roc(scores, positive)
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert len(fpr) <= len(roc_curve(positive, scores)[0])
    assert (np.diff(threshold) < 0).all()


def test_one_class_has_no_curve() -> None:
    assert roc(np.array([0.1, 0.2]), np.array([True, True]))[0].size == 0
