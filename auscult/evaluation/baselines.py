"""What a model must be compared with: two floors and one opponent.

``constant``  one answer for all: never listens, never looks.
``no_audio``  sees device, location, age, sex and duration, and no sound. A model that does not beat it may have
learnt who was recorded with what rather than what was heard.
``opponent``  gradient boosting on summary statistics of the same features: what ten lines of scikit-learn reach.

All are fitted on the original training rows, and their stopping point, kind and class
offsets are chosen on validation in the way the model's are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.core.tasks import Task
from auscult.evaluation.metadata_features import Encoder
from auscult.evaluation.metrics import Floats, Ints
from auscult.training.calibration import fit_offsets
from auscult.training.score import icbhi_score

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Most boosting rounds; validation chooses how many are kept.
ROUNDS = 150
#: Chosen on validation parts for speed and score; coarse bins lose nothing.
SETTINGS: dict[str, Any] = {
    "max_iter": ROUNDS,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "l2_regularization": 1.0,
    "max_bins": 31,
    "n_iter_no_change": 20,
    "tol": 0.0,
    "random_state": 41,
}
#: Least probability, so that a class which a baseline never saw costs a finite loss.
FLOOR = 1e-6

TITLES = {
    "constant": "Constant answer",
    "no_audio": "No audio (device, place, age, sex, duration)",
    "opponent": "Gradient boosting on feature statistics",
}


@dataclass(frozen=True)
class Predicted:
    """A baseline's answers for all units, in their order: probabilities (n, classes) and class indices (n,)."""

    probabilities: Floats
    predicted: Ints


@dataclass(frozen=True)
class Units:
    """All units of an experiment, of all parts: what baselines are fitted on and answer for.

    Attributes
    ----------
    task
        Classes.
    y
        Class indices, shape (n,).
    train, validation
        Masks, shape (n,). The test part has none: nothing here may ask for it.
    """

    task: Task
    y: Ints
    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]


def constant(units: Units) -> Predicted:
    """The constant answer that scores best in training; of equal ones the most frequent class.

    Its probabilities are the classes' shares in training.
    """
    y, k = units.y[units.train], len(units.task.classes)
    counts = np.bincount(y, minlength=k)
    scores = [icbhi_score(y, np.full(len(y), c), units.task.normal_index) for c in range(k)]
    best = max(range(k), key=lambda c: (np.nan_to_num(scores[c]), counts[c], -c))
    shares = np.clip(counts / max(counts.sum(), 1), FLOOR, None)
    n = len(units.y)
    return Predicted(np.tile(shares / shares.sum(), (n, 1)), np.full(n, best, dtype=np.int64))


def no_audio(units: Units, table: pd.DataFrame) -> Predicted:
    """The better, on validation, of a logistic regression and gradient boosting on the circumstances.

    Parameters
    ----------
    units
        n units.
    table
        The columns of :mod:`auscult.evaluation.metadata_features` for the same units.
    """
    x = Encoder.fit(table[units.train]).encode(table)
    candidates = [_decided(units, fit(units, x)) for fit in (_logistic, _boosted)]
    chosen = units.validation if units.validation.any() else units.train
    normal = units.task.normal_index
    scores = [icbhi_score(units.y[chosen], c.predicted[chosen], normal) for c in candidates]
    return candidates[int(np.argmax(np.nan_to_num(scores)))]


def opponent(units: Units, statistics: NDArray[np.float32]) -> Predicted:
    """Gradient boosting on the statistics (n, columns) of :mod:`auscult.evaluation.summary_statistics`."""
    return _decided(units, _boosted(units, statistics, columns=0.2))


def _decided(units: Units, probabilities: Floats) -> Predicted:
    """Add class offsets that validation chooses, as for the model."""
    offsets = np.zeros(len(units.task.classes))
    if units.validation.any():
        mine = units.validation
        offsets = fit_offsets(probabilities[mine], units.y[mine], units.task.normal_index)
    return Predicted(probabilities, (np.log(probabilities) + offsets).argmax(axis=1).astype(np.int64))


def _logistic(units: Units, x: Floats) -> Floats:
    from sklearn.linear_model import LogisticRegression

    y = units.y[units.train]
    if len(np.unique(y)) < 2:
        return constant(units).probabilities
    model = LogisticRegression(C=1.0, max_iter=2000).fit(x[units.train], y)
    return _complete(model.predict_proba(x), model.classes_, len(units.task.classes))


def _boosted(units: Units, x: NDArray[np.floating], columns: float = 1.0) -> Floats:
    """Probabilities (n, classes) of boosted trees, with the number of rounds that validation likes best.

    *columns* is the share of columns that each split may choose among.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    y, k = units.y[units.train], len(units.task.classes)
    if len(np.unique(y)) < 2:
        return constant(units).probabilities
    judged = units.validation & np.isin(units.y, y)  # a class that training lacks cannot be scored
    model = HistGradientBoostingClassifier(**SETTINGS, max_features=columns, early_stopping=bool(judged.any()))
    held_out = {"X_val": x[judged], "y_val": units.y[judged]} if judged.any() else {}
    with threadpool_limits(limits=1):  # the sums of a varying number of threads vary
        model.fit(x[units.train], y, **held_out)
        # The first entry is the score before the first tree; of equal ones the fewest rounds.
        rounds = max(1, int(np.argmax(model.validation_score_))) if judged.any() else ROUNDS
        for _, answer in zip(range(rounds), model.staged_predict_proba(x), strict=False):
            last = answer
    return _complete(last, model.classes_, k)


def _complete(probabilities: Floats, seen: Ints, k: int) -> Floats:
    """Columns for all k classes, those not seen in training at the floor; rows sum to 1."""
    full = np.full((len(probabilities), k), FLOOR)
    full[:, seen] = np.clip(probabilities, FLOOR, None)
    return full / full.sum(axis=1, keepdims=True)
