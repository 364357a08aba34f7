"""Baselines that every model is compared with.

``constant``  one answer for all units, without any input.
``metadata_only``  sees device, location, age, sex and duration, and no audio. A model that does not beat it may have
learnt who was recorded with which device, and nothing about the sound.
``gradient_boosting``  gradient-boosted trees on summary statistics of the model's own features: ten lines of
scikit-learn.

All are cross-fitted as the model is: one fit per held-out fold on the original rows of the other folds. A unit of the
development part is predicted by the fit without its fold, any other unit by their mean. The class offsets and the kind
of classifier are chosen on out-of-fold predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.core.tasks import Task
from auscult.training.calibration import fit_offsets
from auscult.training.score import decide, icbhi_score

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from auscult.evaluation.metrics import Floats, Ints

TITLES = {
    "constant": "Constant answer",
    "metadata_only": "Metadata only (device, location, age, sex, duration)",
    "gradient_boosting": "Gradient boosting on feature statistics",
}
#: Baseline → its column in predictions.parquet and, with "_score", its name in the metrics files. These are compared
#: with those of earlier commits, so they keep their first names.
COLUMNS = {"constant": "constant", "metadata_only": "no_audio", "gradient_boosting": "opponent"}

#: Chosen on out-of-fold predictions for speed and score; coarse bins lose nothing. The number of rounds is fixed: no
#: fold may choose it that is predicted with it.
SETTINGS: dict[str, Any] = {
    "max_iter": 100,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "l2_regularization": 1.0,
    "max_bins": 31,
    "early_stopping": False,
    "random_state": 41,
}
#: Lowest probability, so that a class that training lacks has a finite loss.
LOWEST_PROBABILITY = 1e-6

CATEGORIES = ("device", "location", "sex")
NUMBERS = ("age_years", "duration_s")


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
        Class indices, shape (n,); −1 outside the development part, whose labels alone may be used.
    fold
        Fold of each unit, shape (n,); −1 outside the development part.
    """

    task: Task
    y: Ints
    fold: Ints

    @property
    def development(self) -> NDArray[np.bool_]:
        """Units that have a fold, shape (n,)."""
        return self.fold >= 0

    @property
    def folds(self) -> list[int]:
        """Return the folds, ascending."""
        return [int(fold) for fold in np.unique(self.fold[self.development])]


def constant(units: Units) -> BaselinePredictions:
    """Predict for all units the class that scores best among those fitted on; of equal ones the most frequent class.

    The probabilities are the shares of the classes.
    """
    return cross_fitted(units, lambda train: _shares(units, train), _best_constant)


def metadata_only(units: Units, table: pd.DataFrame) -> BaselinePredictions:
    """Predict from metadata, by logistic regression or gradient boosting: whichever scores better out of fold.

    Parameters
    ----------
    units
        n units.
    table
        Columns :data:`CATEGORIES` and :data:`NUMBERS` of the same units.
    """
    candidates = [
        cross_fitted(units, lambda train, fit=fit: fit(units, encode_metadata(table, train), train))  # type: ignore[misc]
        for fit in (_logistic_regression, _boosted_trees)
    ]
    own, normal = units.development, units.task.normal_index
    scores = [icbhi_score(units.y[own], each.predicted[own], normal) for each in candidates]
    return candidates[int(np.argmax(np.nan_to_num(scores)))]


def gradient_boosting(units: Units, statistics: NDArray[np.float32]) -> BaselinePredictions:
    """Predict by gradient boosting from the statistics (n, columns) of :mod:`auscult.features.functionals`."""
    return cross_fitted(units, lambda train: _boosted_trees(units, statistics, train, max_features=0.2))


def cross_fitted(
    units: Units,
    fit: Callable[[NDArray[np.bool_]], Floats],
    offsets_of: Callable[[Units, Floats, NDArray[np.bool_]], Floats] | None = None,
) -> BaselinePredictions:
    """Return out-of-fold predictions of the development part, and those of the mean of the fits elsewhere.

    Parameters
    ----------
    fit
        Mask of the units to fit on, shape (n,) → probabilities of all units, shape (n, classes).
    offsets_of
        Returns the class offsets of the decision from the units of a mask; by default those with the best score.
    """
    offsets_of = offsets_of or _best_offsets
    fits = {fold: fit(units.development & (units.fold != fold)) for fold in units.folds}
    probabilities = np.mean(list(fits.values()), axis=0)
    for fold, each in fits.items():
        probabilities[units.fold == fold] = each[units.fold == fold]
    predicted = decide(probabilities, offsets_of(units, probabilities, units.development))
    for fold in units.folds:
        own = units.fold == fold
        predicted[own] = decide(probabilities[own], offsets_of(units, probabilities, units.development & ~own))
    return BaselinePredictions(probabilities, predicted)


def _best_offsets(units: Units, probabilities: Floats, mask: NDArray[np.bool_]) -> Floats:
    return fit_offsets(probabilities[mask], units.y[mask], units.task.normal_index)


def _best_constant(units: Units, probabilities: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Return offsets that decide for one class, whatever the probabilities."""
    y, k = units.y[mask], len(units.task.classes)
    counts = np.bincount(y, minlength=k)
    scores = [icbhi_score(y, np.full(len(y), c), units.task.normal_index) for c in range(k)]
    best = max(range(k), key=lambda c: (np.nan_to_num(scores[c]), counts[c], -c))
    return np.where(np.arange(k) == best, 1e3, 0.0)


def _shares(units: Units, train: NDArray[np.bool_]) -> Floats:
    counts = np.bincount(units.y[train], minlength=len(units.task.classes))
    shares = np.clip(counts / max(counts.sum(), 1), LOWEST_PROBABILITY, None)
    return np.tile(shares / shares.sum(), (len(units.y), 1))


def _logistic_regression(units: Units, x: Floats, train: NDArray[np.bool_]) -> Floats:
    y = units.y[train]
    if len(np.unique(y)) < 2:
        return _shares(units, train)
    from sklearn.linear_model import LogisticRegression  # loaded only where no earlier evaluation fitted the baselines

    model = LogisticRegression(C=1.0, max_iter=2000).fit(x[train], y)
    return _for_all_classes(model.predict_proba(x), model.classes_, len(units.task.classes))


def _boosted_trees(
    units: Units, x: NDArray[np.floating], train: NDArray[np.bool_], max_features: float = 1.0
) -> Floats:
    """Return probabilities, shape (n, classes); *max_features* is the share of columns among which a split chooses."""
    y = units.y[train]
    if len(np.unique(y)) < 2:
        return _shares(units, train)
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(**SETTINGS, max_features=max_features)
    with threadpool_limits(limits=1):  # sums depend on the number of threads
        model.fit(x[train], y)
        probabilities = model.predict_proba(x)
    return _for_all_classes(probabilities, model.classes_, len(units.task.classes))


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
