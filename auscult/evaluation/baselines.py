"""Baselines that every model is compared with.

``constant``  one answer for all units, without any input.
``metadata_only``  sees device, location, age, sex and duration, and no audio. A model that does not beat it may have
learnt who was recorded with which device, and nothing about the sound.
``gradient_boosting``  gradient-boosted trees on summary statistics of the model's own features: ten lines of
scikit-learn.

All are fitted on the original training rows. Early stopping, the kind of classifier and the class offsets are chosen
on validation, as for the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from auscult.core.tasks import Task
from auscult.evaluation.metrics import Floats, Ints
from auscult.training.calibration import fit_offsets
from auscult.training.score import decide, icbhi_score

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TITLES = {
    "constant": "Constant answer",
    "metadata_only": "Metadata only (device, location, age, sex, duration)",
    "gradient_boosting": "Gradient boosting on feature statistics",
}
#: Baseline → its column in predictions.parquet and, with "_score", its name in the metrics files. These are compared
#: with those of earlier commits, so they keep their first names.
COLUMNS = {"constant": "constant", "metadata_only": "no_audio", "gradient_boosting": "opponent"}

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
#: Lowest probability, so that a class that training lacks has a finite loss.
LOWEST_PROBABILITY = 1e-6

CATEGORIES = ("device", "location", "sex")
NUMBERS = ("age_years", "duration_s")
#: Quantiles of the valid frames of a feature.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class BaselinePredictions:
    """Predictions of a baseline for all units: probabilities (n, classes) and class indices (n,)."""

    probabilities: Floats
    predicted: Ints


@dataclass(frozen=True)
class Units:
    """Units of all parts of an experiment, which baselines are fitted on and applied to.

    Attributes
    ----------
    task
        Classes.
    y
        Class indices, shape (n,).
    train, validation
        Masks, shape (n,). There is none of the test part: no baseline may select by it.
    """

    task: Task
    y: Ints
    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]


def constant(units: Units) -> BaselinePredictions:
    """Predict the class that scores best in training for all units; of equal ones the most frequent class.

    The probabilities are the shares of the classes in training.
    """
    y, k = units.y[units.train], len(units.task.classes)
    counts = np.bincount(y, minlength=k)
    scores = [icbhi_score(y, np.full(len(y), c), units.task.normal_index) for c in range(k)]
    best = max(range(k), key=lambda c: (np.nan_to_num(scores[c]), counts[c], -c))
    shares = np.clip(counts / max(counts.sum(), 1), LOWEST_PROBABILITY, None)
    n = len(units.y)
    return BaselinePredictions(np.tile(shares / shares.sum(), (n, 1)), np.full(n, best, dtype=np.int64))


def metadata_only(units: Units, table: pd.DataFrame) -> BaselinePredictions:
    """Predict from metadata, by logistic regression or gradient boosting: whichever scores better on validation.

    Parameters
    ----------
    units
        n units.
    table
        Columns :data:`CATEGORIES` and :data:`NUMBERS` of the same units.
    """
    x = encode_metadata(table, units.train)
    candidates = [_with_offsets(units, fit(units, x)) for fit in (_logistic_regression, _boosted_trees)]
    chosen = units.validation if units.validation.any() else units.train
    normal = units.task.normal_index
    scores = [icbhi_score(units.y[chosen], c.predicted[chosen], normal) for c in candidates]
    return candidates[int(np.argmax(np.nan_to_num(scores)))]


def gradient_boosting(units: Units, statistics: NDArray[np.float32]) -> BaselinePredictions:
    """Predict by gradient boosting from the statistics (n, columns) of :func:`summarise`."""
    return _with_offsets(units, _boosted_trees(units, statistics, max_features=0.2))


def _with_offsets(units: Units, probabilities: Floats) -> BaselinePredictions:
    """Decide with class offsets that are chosen on validation, as for the model."""
    offsets = np.zeros(len(units.task.classes))
    if units.validation.any():
        mask = units.validation
        offsets = fit_offsets(probabilities[mask], units.y[mask], units.task.normal_index)
    return BaselinePredictions(probabilities, decide(probabilities, offsets))


def _logistic_regression(units: Units, x: Floats) -> Floats:
    y = units.y[units.train]
    if len(np.unique(y)) < 2:
        return constant(units).probabilities
    model = LogisticRegression(C=1.0, max_iter=2000).fit(x[units.train], y)
    return _for_all_classes(model.predict_proba(x), model.classes_, len(units.task.classes))


def _boosted_trees(units: Units, x: NDArray[np.floating], max_features: float = 1.0) -> Floats:
    """Return probabilities (n, classes) after the number of rounds with the best validation score.

    *max_features* is the share of columns among which each split chooses.
    """
    y, k = units.y[units.train], len(units.task.classes)
    if len(np.unique(y)) < 2:
        return constant(units).probabilities
    scored = units.validation & np.isin(units.y, y)  # a class that training lacks cannot be scored
    model = HistGradientBoostingClassifier(**SETTINGS, max_features=max_features, early_stopping=bool(scored.any()))
    held_out = {"X_val": x[scored], "y_val": units.y[scored]} if scored.any() else {}
    with threadpool_limits(limits=1):  # sums depend on the number of threads
        model.fit(x[units.train], y, **held_out)
        # The first entry is the score before the first tree; of equal scores the fewest rounds.
        rounds = max(1, int(np.argmax(model.validation_score_))) if scored.any() else ROUNDS
        for _, probabilities in zip(range(rounds), model.staged_predict_proba(x), strict=False):
            last = probabilities
    return _for_all_classes(last, model.classes_, k)


def _for_all_classes(probabilities: Floats, seen: Ints, k: int) -> Floats:
    """Return columns for all k classes, with the lowest probability for classes that training lacks; rows sum to 1."""
    full = np.full((len(probabilities), k), LOWEST_PROBABILITY)
    full[:, seen] = np.clip(probabilities, LOWEST_PROBABILITY, None)
    normalised: Floats = full / full.sum(axis=1, keepdims=True)
    return normalised


def encode_metadata(table: pd.DataFrame, train: NDArray[np.bool_]) -> Floats:
    """Return metadata as numbers (n, columns), with the levels and scales of the training units.

    A column of 0 and 1 per level of each category: a value that training lacks has 0 in all of them. Then each number,
    standardised, with the median in place of a missing one, and a column that flags missing ones.

    Parameters
    ----------
    table
        Columns :data:`CATEGORIES` and :data:`NUMBERS`, n rows.
    train
        Which rows are training units, shape (n,).
    """
    columns = []
    for name in CATEGORIES:
        values = table[name].astype(object).where(table[name].notna(), None)
        levels = sorted(set(table.loc[train, name].dropna().astype(str)))
        columns += [(values == level).to_numpy(dtype=np.float64) for level in levels]
    for name in NUMBERS:
        values = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        missing = ~np.isfinite(values)
        known = values[train & ~missing]
        median, spread = (float(np.median(known)), float(known.std())) if len(known) else (0.0, 0.0)
        columns += [(np.where(missing, median, values) - median) / (spread or 1.0), missing.astype(np.float64)]
    return np.stack(columns, axis=1)


def summarise(
    array: NDArray[np.floating], rows: NDArray[np.int64], frames: NDArray[np.int64], chunk: int = 256
) -> NDArray[np.float32]:
    """Return statistics of each bin over the valid frames of each row.

    Parameters
    ----------
    array
        Features, shape (any, bins, frames); may be a memory map.
    rows
        Rows of *array* to summarise, shape (n,).
    frames
        Valid frames of each row, shape (n,).
    chunk
        Most rows held in memory at a time.

    Returns
    -------
    array
        Shape (n, 11 * bins + 1): mean, standard deviation, minimum, maximum, five quantiles, mean and standard
        deviation of the absolute change from frame to frame; last, the number of valid frames.
    """
    table = np.empty((len(rows), (6 + len(QUANTILES)) * array.shape[1] + 1), dtype=np.float32)
    order = np.argsort(frames, kind="stable")
    start = 0
    while start < len(rows):  # rows of equal length go together, so padded frames are not read
        valid = int(frames[order[start]])
        stop = start + int(np.searchsorted(frames[order[start : start + chunk]], valid, side="right"))
        block = order[start:stop]
        table[block] = _block_statistics(np.asarray(array[rows[block]]), valid)
        start = stop
    return table


def _block_statistics(block: NDArray[np.floating], valid: int) -> NDArray[np.float32]:
    """Return statistics of rows with the same number of valid frames: (rows, bins, frames) → (rows, statistics)."""
    count = max(valid, 1)
    values = np.sort(block[:, :, :count].astype(np.float32), axis=2)
    change = np.abs(np.diff(block[:, :, :count].astype(np.float32), axis=2))
    if not change.shape[2]:
        change = np.zeros_like(values)
    parts = [
        values.mean(axis=2, dtype=np.float64),
        values.std(axis=2, dtype=np.float64),
        values[:, :, 0],
        values[:, :, -1],
        *(values[:, :, round(q * (count - 1))] for q in QUANTILES),
        change.mean(axis=2, dtype=np.float64),
        change.std(axis=2, dtype=np.float64),
        np.full((len(block), 1), valid),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def pool(table: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return one row per unit: mean and maximum over the unit's rows.

    Parameters
    ----------
    table
        Statistics of each row, shape (rows, statistics).
    codes
        Unit of each row, 0 … units − 1, shape (rows,).

    Returns
    -------
    array
        Shape (units, 2 * statistics).
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    sizes = np.diff(np.r_[starts, len(codes)])[:, None]
    mean = np.add.reduceat(table[order].astype(np.float64), starts, axis=0) / sizes
    highest = np.maximum.reduceat(table[order], starts, axis=0)
    return np.concatenate([mean, highest], axis=1).astype(np.float32)
