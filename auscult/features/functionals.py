"""Functionals: summary statistics of a row of features over time, of fixed number whatever the length of the row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Quantiles of the valid frames of a bin.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
