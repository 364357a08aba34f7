"""ROC and reliability as plain rows: what the pictures are drawn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.evaluation.metrics import BINS, Answers, Floats, bins_of


def roc(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """False- and true-positive rates and their thresholds, corners only.

    Parameters
    ----------
    scores, positive
        Shape (n,).

    Returns
    -------
    fpr, tpr, threshold
        Shape (points,); empty when a class is absent. The first point's threshold lies above every score.
    """
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.r_[0, positive[order].cumsum()[ends]]
    alarms = np.r_[0, (~positive[order]).cumsum()[ends]]
    threshold = np.r_[ranked[0] + 1.0, ranked[ends]]
    up, right = np.diff(hits), np.diff(alarms)
    bend = np.r_[True, right[:-1] * up[1:] != right[1:] * up[:-1], True]  # in whole numbers: exact
    return alarms[bend] / others, hits[bend] / count, threshold[bend]


def reliability(answers: Answers) -> list[dict[str, float | int]]:
    """One row per bin that holds units: mean predicted probability, observed fraction, units."""
    predicted, observed = answers.confidence
    bins = bins_of(predicted)
    return [
        {
            "mean_predicted": round(float(predicted[bins == index].mean()), 6),
            "observed_fraction": round(float(observed[bins == index].mean()), 6),
            "units": int((bins == index).sum()),
        }
        for index in range(BINS)
        if (bins == index).any()
    ]


def roc_rows(answers: Answers) -> list[dict[str, float]]:
    """The ROC curve of abnormal against normal, as rows of ``fpr``, ``tpr``, ``threshold``."""
    points = roc(answers.abnormal, answers.y != answers.task.normal_index)
    return [
        {"fpr": round(float(f), 6), "tpr": round(float(t), 6), "threshold": round(float(h), 6)}
        for f, t, h in zip(*points, strict=True)
    ]


def confusion_rows(answers: Answers) -> list[dict[str, str]]:
    """One row per unit: ``actual`` and ``predicted`` class names, as ``dvc plots`` counts them."""
    names = answers.task.classes
    return [
        {"actual": names[true], "predicted": names[answer]}
        for true, answer in zip(answers.y.tolist(), answers.predicted.tolist(), strict=True)
    ]
