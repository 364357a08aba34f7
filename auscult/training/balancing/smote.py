"""SMOTE that records the parents of each synthetic row, and random oversampling.

This is imbalanced-learn's SMOTE (Chawla et al., 2002, doi:10.1613/jair.953), run on row numbers: neighbours are
found in the features of one class, and of each synthetic row only the two parents and the step between them are
kept. So memory holds the features of one rare class, and no synthetic features are stored. For equal features and
seed the rows equal those of ``imblearn.over_sampling.SMOTE().fit_resample``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from auscult.core.sections import BalanceParams
from auscult.core.storage import open_array


@dataclass(frozen=True)
class NormalisedRows:
    """Rows of a feature array, each bin standardised and padding set to zero; read a few at a time.

    In decibels the distance between two rows would mostly be the difference of their lengths: padding is 0 dB
    and breathing about −60 dB.

    Attributes
    ----------
    path
        The array, shape (rows, bins, frames).
    frames
        Row → number of its valid frames; only these rows may be read.
    mean, scale
        Per bin, shape (bins, 1).
    """

    path: Path
    frames: dict[int, int]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, path: Path, rows: pd.DataFrame, *, masked: bool) -> NormalisedRows:
        """Measure mean and scale of each bin over the valid frames.

        Parameters
        ----------
        rows
            Columns ``row`` and ``frames``.
        masked
            Whether frames after the valid ones are padding; otherwise all frames are valid.
        """
        array = open_array(path)
        bins, length = array.shape[1:]
        valid = rows["frames"] if masked else [length] * len(rows)
        frames = {int(row): int(count) for row, count in zip(rows["row"], valid, strict=True)}
        total = np.zeros(bins)
        squares = np.zeros(bins)
        count = 0
        for row, used in frames.items():
            values = array[row, :, :used].astype(np.float64)
            total += values.sum(axis=1)
            squares += np.square(values).sum(axis=1)
            count += used
        mean = total / count
        scale = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        scale[scale < 1e-3] = 1.0  # do not amplify the rounding errors of a bin outside the band, which never varies
        return cls(path, frames, mean[:, None].astype(np.float32), scale[:, None].astype(np.float32))

    def load(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows, flattened, shape (len(rows), bins * frames)."""
        array = open_array(self.path)
        out = np.zeros((len(rows), *array.shape[1:]), dtype=np.float32)
        for target, row in zip(out, rows.tolist(), strict=True):
            used = self.frames[row]
            target[:, :used] = (array[row, :, :used] - self.mean) / self.scale
        return out.reshape(len(rows), -1)


class RowNeighbours(NearestNeighbors):
    """Exact Euclidean neighbours of rows given by number, shape (n, 1).

    Parameters
    ----------
    features
        Source of the rows.
    neighbours
        Number of neighbours besides the row itself; a class of n rows has at most n − 1.
    """

    def __init__(self, features: NormalisedRows | None = None, neighbours: int = 5) -> None:
        super().__init__(n_neighbors=neighbours + 1, algorithm="brute")
        self.features = features
        self.neighbours = neighbours

    def __sklearn_clone__(self) -> RowNeighbours:
        return RowNeighbours(self.features, self.neighbours)

    def fit(self, X: NDArray[Any], y: Any = None) -> RowNeighbours:
        """Load the features of one class; those of the class before are released first."""
        assert self.features is not None
        self._fit_X = None
        super().fit(self.features.load(np.asarray(X).reshape(-1).astype(np.int64)))
        return self

    def kneighbors(self, X: Any = None, n_neighbors: Any = None, return_distance: bool = True) -> Any:
        """Return the neighbours of the fitted rows, in their order, shape (n, min(neighbours + 1, n))."""
        wanted = min(self.neighbours + 1, self.n_samples_fit_)
        return super().kneighbors(self._fit_X, n_neighbors=wanted, return_distance=return_distance)


class RecordingSMOTE(SMOTE):
    """SMOTE over row numbers that records parents and steps in ``made_``."""

    def _generate_samples(
        self,
        X: NDArray[Any],
        nn_data: NDArray[Any],
        nn_num: NDArray[Any],
        rows: NDArray[Any],
        cols: NDArray[Any],
        steps: NDArray[Any],
        *rest: Any,
        **named: Any,
    ) -> Any:
        made = {
            "row": X[rows, 0].astype(np.int64),
            "parent": nn_data[nn_num[rows, cols], 0].astype(np.int64),
            "step": steps[:, 0],
        }
        self.made_ = [*getattr(self, "made_", []), pd.DataFrame(made)]
        return super()._generate_samples(X, nn_data, nn_num, rows, cols, steps, *rest, **named)


def smote(
    features: NormalisedRows, parents: pd.DataFrame, extra: dict[int, int], params: BalanceParams
) -> pd.DataFrame:
    """Return synthetic rows of each class, each between a row and one of its nearest neighbours.

    A class of a single row cannot be interpolated: that row is repeated.

    Parameters
    ----------
    parents
        Columns ``row`` and ``class_index``, in the order of the array.
    extra
        Class → number of rows to add.
    """
    counts = parents["class_index"].value_counts().to_dict()
    single = {c: n for c, n in extra.items() if n and counts[c] < 2}
    several = {c: n for c, n in extra.items() if n and counts[c] >= 2}
    made = []
    if several:
        sampler = RecordingSMOTE(
            sampling_strategy={c: counts[c] + n for c, n in several.items()},
            k_neighbors=RowNeighbours(features, params.neighbours),
            random_state=params.seed,
        )
        sampler.fit_resample(parents[["row"]].to_numpy(np.float64), parents["class_index"].to_numpy())
        for class_index, rows in zip(several, sampler.made_, strict=True):
            made.append(rows.assign(class_index=class_index, kind="synthetic"))
    if single:
        made.append(oversample(parents, single, params.seed))
    return pd.concat(made, ignore_index=True)


def oversample(parents: pd.DataFrame, extra: dict[int, int], seed: int) -> pd.DataFrame:
    """Return rows of each class, drawn again at random: parent = row, step = 0."""
    generator = np.random.default_rng(seed)
    made = []
    for class_index, count in extra.items():
        rows = parents.loc[parents["class_index"] == class_index, "row"].to_numpy(np.int64)
        drawn = generator.choice(rows, size=count)
        made.append(pd.DataFrame({"row": drawn, "parent": drawn, "step": 0.0}).assign(class_index=class_index))
    return pd.concat(made, ignore_index=True).assign(kind="synthetic")
