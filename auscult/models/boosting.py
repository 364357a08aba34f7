"""Gradient-boosted trees (LightGBM) on functionals of the features; the file of a model is LightGBM's own text format.

The functionals leave out the length of the row: it is that of an annotation, which a new recording lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import lightgbm
import numpy as np
from numpy.typing import NDArray

from auscult.features.functionals import summarise

if TYPE_CHECKING:
    from auscult.models import Batches, Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {
    "rounds": 150,
    "leaves": 15,
    "learning_rate": 0.08,
    "feature_share": 0.2,
    "least_rows": 10,
}
#: The same trees on every machine and for any number of processes.
FIXED: dict[str, Any] = {
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "max_bin": 63,
    "lambda_l2": 1.0,
    "verbosity": -1,
}


class Trees:
    """Boosted trees for some classes."""

    SUFFIX: ClassVar[str] = ".txt"

    def __init__(self, booster: lightgbm.Booster) -> None:
        self.booster = booster

    def log_probabilities(self, x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log-probabilities (n, classes) of normalised rows (n, bins, frames) and their valid frames (n,)."""
        margins = np.asarray(self.booster.predict(statistics(x, valid), raw_score=True, num_threads=1))
        if margins.ndim == 1:  # two classes have one sequence of trees
            margins = np.stack([np.zeros_like(margins), margins], axis=1)
        logs: NDArray[np.float64] = margins - np.logaddexp.reduce(margins, axis=1, keepdims=True)
        return logs.astype(np.float32)

    def to_bytes(self) -> bytes:
        """Return LightGBM's text format."""
        return str(self.booster.model_to_string()).encode()

    @classmethod
    def from_bytes(cls, blob: bytes, classes: int) -> Trees:
        """Read the result of :meth:`to_bytes`; raise ``ValueError`` where it does not fit."""
        try:
            booster = lightgbm.Booster(model_str=blob.decode())
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        sequences = booster.num_model_per_iteration()
        if sequences != _sequences(classes):
            raise ValueError(f"{sequences} sequences of trees are not for {classes} classes")
        return cls(booster)


LEARNED = Trees


def fit(batches: Batches, classes: int, hyperparameters: Hyperparameters, seed: int) -> Trees:
    """Fit on training rows; a class without rows gets a low probability."""
    tables = [(index, statistics(x, valid)) for index, x, valid in batches]
    table = np.empty((len(batches.target), tables[0][1].shape[1]), dtype=np.float32)
    for index, rows in tables:
        table[index] = rows
    several = _sequences(classes) > 1
    parameters = FIXED | {
        "objective": "multiclass" if several else "binary",
        "num_leaves": int(hyperparameters["leaves"]),
        "learning_rate": float(hyperparameters["learning_rate"]),
        "feature_fraction_bynode": float(hyperparameters["feature_share"]),
        "min_data_in_leaf": int(hyperparameters["least_rows"]),
        "seed": seed,
    }
    if several:
        parameters["num_class"] = classes
    data = lightgbm.Dataset(table, label=batches.target, params=parameters)
    return Trees(lightgbm.train(parameters, data, num_boost_round=int(hyperparameters["rounds"])))


def statistics(x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the functionals of rows without their length: (n, bins, frames) → (n, 11 · bins)."""
    table = summarise(x, np.arange(len(x)), np.minimum(valid, x.shape[2]))
    return table[:, :-1]


def _sequences(classes: int) -> int:
    return classes if classes > 2 else 1
