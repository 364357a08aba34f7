"""SMOTE that remembers its parents, and random oversampling.

imbalanced-learn's own SMOTE runs (Chawla et al., 2002, doi:10.1613/jair.953), but on row
numbers: the neighbours of a row are looked up in the features of its class, and what is
kept of each synthetic example is its two parents and the step between them. So memory
holds the features of one rare class, never a copy of the training set, and nothing
synthetic is stored. On equal features and seed the rows are those of
``imblearn.over_sampling.SMOTE().fit_resample``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors

from auscult.core.sections import BalanceParams
from auscult.training.balancing.rows import NormalisedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RowNeighbours(NearestNeighbors):
    """Exact Euclidean neighbours of rows that are given by number, shape (n, 1).

    Parameters
    ----------
    features
        Where the rows are read.
    neighbours
        Wanted besides the row itself; a class of n rows gives n − 1 at most.
    """

    def __init__(self, features: NormalisedRows | None = None, neighbours: int = 5) -> None:
        super().__init__(n_neighbors=neighbours + 1, algorithm="brute")
        self.features = features
        self.neighbours = neighbours

    def __sklearn_clone__(self) -> RowNeighbours:
        return RowNeighbours(self.features, self.neighbours)

    def fit(self, X: NDArray[Any], y: Any = None) -> RowNeighbours:
        """Read the features of one class; those of the class before are let go."""
        assert self.features is not None
        self._fit_X = None
        super().fit(self.features.load(np.asarray(X).reshape(-1).astype(np.int64)))
        return self

    def kneighbors(self, X: Any = None, n_neighbors: Any = None, return_distance: bool = True) -> Any:
        """Neighbours of the rows that were fitted, in their order: (n, min(neighbours + 1, n))."""
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
    """Synthetic examples of each class between a row and one of its nearest neighbours.

    Classes of a single row cannot be interpolated: that row is repeated.

    Parameters
    ----------
    parents
        Columns ``row`` and ``class_index``, in the array's order.
    extra
        Class → how many to make.
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
    """Rows of each class drawn again at random: parent = row, step = 0."""
    generator = np.random.default_rng(seed)
    made = []
    for class_index, count in extra.items():
        rows = parents.loc[parents["class_index"] == class_index, "row"].to_numpy(np.int64)
        drawn = generator.choice(rows, size=count)
        made.append(pd.DataFrame({"row": drawn, "parent": drawn, "step": 0.0}).assign(class_index=class_index))
    return pd.concat(made, ignore_index=True).assign(kind="synthetic")
