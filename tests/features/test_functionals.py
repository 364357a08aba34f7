"""Functionals: valid frames alone count, and the values are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.features.functionals import pool, summarise


def test_statistics_use_valid_frames_only() -> None:
    rng = np.random.default_rng(5)
    array = rng.normal(size=(7, 4, 20)).astype(np.float32)
    frames = np.array([20, 5, 5, 1, 12, 20, 5])
    padded = array.copy()
    for row, valid in enumerate(frames):
        padded[row, :, valid:] = 999.0
    rows = np.arange(7)
    assert np.array_equal(summarise(array, rows, frames), summarise(padded, rows, frames, chunk=2))


def test_statistics_agree_with_numpy() -> None:
    array = np.random.default_rng(6).normal(size=(3, 4, 21)).astype(np.float32)
    table = summarise(array, np.array([2, 0]), np.array([21, 21]))
    assert table.shape == (2, 11 * 4 + 1)
    assert np.allclose(table[0, :4], array[2].mean(axis=1), atol=1e-6)
    assert np.allclose(table[1, 4:8], array[0].std(axis=1), atol=1e-6)
    assert np.allclose(table[1, 24:28], np.median(array[0], axis=1))


def test_pooling_takes_mean_and_maximum_of_each_units_rows() -> None:
    table = np.array([[1.0], [5.0], [3.0], [7.0]], dtype=np.float32)
    assert pool(table, np.array([1, 0, 1, 1])).tolist() == [[5.0, 5.0], [pytest.approx(11 / 3), 7.0]]
