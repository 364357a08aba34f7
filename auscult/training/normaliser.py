"""Normalise each bin of the features; padding is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 512


@dataclass(frozen=True)
class Normaliser:
    """Mean and standard deviation of each bin over the valid frames of the rows that a network is trained on.

    Attributes
    ----------
    mean, std
        Shape (bins,), in the features' unit (dB for log-mel).
    padding
        Kind of padding after the valid frames: ``mask``, ``tile`` or ``zero``.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    padding: str

    @classmethod
    def fit(
        cls, features: NDArray[np.float32], frames: NDArray[np.int64], padding: str, rows: NDArray[np.int64]
    ) -> Normaliser:
        """Fit on some rows of an array.

        Parameters
        ----------
        features
            Shape (n, bins, frames); the first ``frames[i]`` are valid in row i.
        rows
            Rows to fit on, shape (any,).
        """
        bins = features.shape[1]
        count, total, squares = 0, np.zeros(bins), np.zeros(bins)
        for start in range(0, len(rows), CHUNK):
            chosen = rows[start : start + CHUNK]
            block = features[chosen].astype(np.float64)
            inside = np.arange(block.shape[2]) < frames[chosen, None]
            values = block.transpose(1, 0, 2)[:, inside]  # (bins, valid frames of the block)
            count += values.shape[1]
            total += values.sum(axis=1)
            squares += np.square(values).sum(axis=1)
        mean = total / max(count, 1)
        std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0.0))
        # Do not amplify the rounding errors of a bin outside the band, which never varies.
        std = np.where(std > 1e-3, std, 1.0)
        return cls(mean.astype(np.float32), std.astype(np.float32), padding)

    def apply(self, features: NDArray[np.float32], frames: NDArray[np.int64]) -> None:
        """Normalise in place; padding of the kinds mask and zero becomes 0, the mean of every bin."""
        features -= self.mean[:, None]
        features /= self.std[:, None]
        if self.padding != "tile":
            outside = np.arange(features.shape[2]) >= frames[:, None]
            features.transpose(0, 2, 1)[outside] = 0.0

    def valid(self, frames: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return how many frames of each row a model may use: all, unless the padding is masked."""
        if self.padding != "mask":
            return np.full(len(frames), length, dtype=np.int64)
        return np.clip(np.asarray(frames, dtype=np.int64), 1, length)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``model.json``, exact in float32."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "padding": self.padding}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normaliser:
        """Read the result of :meth:`to_json`."""
        mean, std = (np.asarray(data[key], dtype=np.float32) for key in ("mean", "std"))
        return cls(mean, std, str(data["padding"]))
