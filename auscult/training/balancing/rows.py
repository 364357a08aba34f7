"""Feature rows as a network sees them: each bin standardised, padding at zero."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core.storage import open_array

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class NormalisedRows:
    """Rows of a feature array, read a few at a time.

    In raw decibels the distance between two rows would mostly be that between their
    lengths: padding is 0 dB and breathing is −60.

    Attributes
    ----------
    path
        The array, shape (rows, bins, frames).
    frames
        Valid frames of each row that may be read, by row number.
    mean, scale
        Per bin, shape (bins, 1).
    """

    path: Path
    frames: dict[int, int]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, path: Path, rows: pd.DataFrame, *, masked: bool) -> NormalisedRows:
        """Measure each bin over the valid frames of *rows* (columns ``row``, ``frames``).

        *masked*: what lies behind the valid frames is padding; otherwise it counts like the rest.
        """
        import numpy as np

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
        scale[scale < 1e-3] = 1.0  # a bin outside the band never varies: its rounding errors are no signal
        return cls(path, frames, mean[:, None].astype(np.float32), scale[:, None].astype(np.float32))

    def load(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows, flattened, shape (len(rows), bins * frames)."""
        import numpy as np

        array = open_array(self.path)
        out = np.zeros((len(rows), *array.shape[1:]), dtype=np.float32)
        for target, row in zip(out, rows.tolist(), strict=True):
            used = self.frames[row]
            target[:, :used] = (array[row, :, :used] - self.mean) / self.scale
        return out.reshape(len(rows), -1)
