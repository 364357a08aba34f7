"""SMOTE that records the parents of each synthetic row, and random oversampling.

This is imbalanced-learn's SMOTE (Chawla et al., 2002, doi:10.1613/jair.953), run on row numbers: of each synthetic row
only the two parents and the step between them are kept, and no synthetic features are stored.

Neighbours are sought in statistics over the valid frames, among rows of like length. In the flattened, padded arrays a
short row is mostly padding and therefore near to every other row: on SPRSound ten short parents supplied 72 % of the
synthetic rows.
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

#: Rows are of like length if neither has more than this many times the valid frames of the other.
LIKE_LENGTH = 1.5


@dataclass(frozen=True)
class RowStatistics:
    """Mean and standard deviation of each bin over the valid frames of rows, each standardised over the rows.

    Attributes
    ----------
    position
        Row of the feature array → its position in the other attributes.
    values
        Shape (n, 2 * bins).
    frames
        Valid frames, shape (n,).
    """

    position: dict[int, int]
    values: NDArray[np.float64]
    frames: NDArray[np.int64]

    @classmethod
    def measure(cls, path: Path, rows: pd.DataFrame, *, masked: bool) -> RowStatistics:
        """Measure the rows of an array, shape (any, bins, frames), one at a time.

        Parameters
        ----------
        rows
            Columns ``row`` and ``frames``.
        masked
            Whether frames after the valid ones are padding; otherwise all frames are valid.
        """
        array = open_array(path)
        frames = rows["frames"].to_numpy(np.int64) if masked else np.full(len(rows), array.shape[2], dtype=np.int64)
        values = np.empty((len(rows), 2 * array.shape[1]))
        for own, row, used in zip(values, rows["row"].tolist(), frames.tolist(), strict=True):
            inside = array[row, :, :used].astype(np.float64)
            own[:] = np.concatenate([inside.mean(axis=1), inside.std(axis=1)])
        spread = values.std(axis=0)
        spread[spread < 1e-3] = 1.0  # do not amplify the rounding errors of a bin outside the band, which never varies
        position = {int(row): index for index, row in enumerate(rows["row"])}
        return cls(position, (values - values.mean(axis=0)) / spread, frames)


class RowNeighbours(NearestNeighbors):
    """Nearest rows of like length, by Euclidean distance of their statistics; rows are given by number, shape (n, 1).

    Where fewer rows than wanted are of like length, those nearest in length fill the rest.

    Parameters
    ----------
    statistics
        Of the rows of all classes.
    neighbours
        Number of neighbours besides the row itself; a class of n rows has at most n − 1.
    """

    def __init__(self, statistics: RowStatistics | None = None, neighbours: int = 5) -> None:
        super().__init__(n_neighbors=neighbours + 1)  # with the row itself
        self.statistics = statistics
        self.neighbours = neighbours

    def __sklearn_clone__(self) -> RowNeighbours:
        return RowNeighbours(self.statistics, self.neighbours)

    def fit(self, X: NDArray[Any], y: Any = None) -> RowNeighbours:
        """Take the rows of one class."""
        assert self.statistics is not None
        self.index_ = np.array([self.statistics.position[int(row)] for row in np.asarray(X).reshape(-1)])
        return self

    def kneighbors(self, X: Any = None, n_neighbors: Any = None, return_distance: bool = True) -> Any:
        """Return the neighbours of the fitted rows, in their order, shape (n, min(neighbours + 1, n)); itself first."""
        assert self.statistics is not None
        values, length = self.statistics.values[self.index_], np.log(self.statistics.frames[self.index_])
        count = len(values)
        wanted = min(self.neighbours + 1, count)
        distances, neighbours = np.empty((count, wanted)), np.empty((count, wanted), dtype=np.int64)
        for row in range(count):
            apart = np.sqrt(np.square(values - values[row]).sum(axis=1))
            longer = np.maximum(np.abs(length - length[row]) - np.log(LIKE_LENGTH), 0.0)
            longer[longer < 1e-9] = 0.0
            order = np.lexsort((apart, longer, np.arange(count) != row))[:wanted]
            distances[row], neighbours[row] = apart[order], order
        return (distances, neighbours) if return_distance else neighbours


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
    statistics: RowStatistics, parents: pd.DataFrame, extra: dict[int, int], params: BalanceParams
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
            k_neighbors=RowNeighbours(statistics, params.neighbours),
            random_state=params.seed,
        )
        sampler.fit_resample(parents[["row"]].to_numpy(np.float64), parents["class_index"].to_numpy())
        for class_index, rows in zip(several, sampler.made_, strict=True):
            made.append(rows.assign(class_index=class_index))
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
    return pd.concat(made, ignore_index=True)
