"""The normaliser measures valid frames only, and padding stays out of what a model reads."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.training.normaliser import CHUNK, Normaliser

FRAMES, BOTH = np.array([2, 4]), np.arange(2)
#: Two rows of two bins and four frames; the last two frames of the first row are padding. The second bin never varies.
ROWS = np.array([[[1, 3, 90, 90], [5, 5, 90, 90]], [[5, 7, 9, 11], [5, 5, 5, 5]]], dtype=np.float32)


def test_mean_and_deviation_are_those_of_valid_frames_and_a_constant_bin_is_not_scaled() -> None:
    fitted = Normaliser.fit(ROWS, FRAMES, "mask", BOTH)
    valid = np.array([1, 3, 5, 7, 9, 11])
    np.testing.assert_allclose(fitted.mean, [valid.mean(), 5.0])
    np.testing.assert_allclose(fitted.std, [valid.std(), 1.0])


def test_rows_that_it_is_not_fitted_on_do_not_count() -> None:
    one = Normaliser.fit(ROWS, FRAMES, "mask", np.array([1]))
    np.testing.assert_allclose(one.mean, [8.0, 5.0])
    other = ROWS.copy()
    other[0] = np.nan
    np.testing.assert_array_equal(Normaliser.fit(other, FRAMES, "mask", np.array([1])).mean, one.mean)


@pytest.mark.parametrize(("padding", "in_padding"), [("mask", 0.0), ("zero", 0.0), ("tile", 85.0)])
def test_padding_becomes_the_mean_unless_it_repeats_the_audio(padding: str, in_padding: float) -> None:
    fitted, rows = Normaliser.fit(ROWS, FRAMES, padding, BOTH), ROWS.copy()
    fitted.apply(rows, FRAMES)
    assert rows[0, 1].tolist() == [0.0, 0.0, in_padding, in_padding]
    np.testing.assert_allclose(rows[1, 0] * fitted.std[0] + fitted.mean[0], ROWS[1, 0], rtol=1e-6)


def test_rows_after_the_first_chunk_are_normalised_with_their_own_frames() -> None:
    rows = np.tile(ROWS[:1], (CHUNK + 1, 1, 1))
    rows[-1] = ROWS[1]
    frames = np.r_[np.full(CHUNK, 2), 4]
    fitted = Normaliser.fit(rows, frames, "mask", np.arange(len(rows)))
    fitted.apply(rows, frames)
    values = np.concatenate([rows[:-1, 0, :2].ravel(), rows[-1, 0]])
    assert values.mean() == pytest.approx(0.0, abs=1e-5)
    assert values.std() == pytest.approx(1.0, abs=1e-4)
    assert (rows[:-1, :, 2:] == 0.0).all()


@pytest.mark.parametrize(("padding", "expected"), [("mask", [1, 2, 4]), ("zero", [4, 4, 4]), ("tile", [4, 4, 4])])
def test_a_model_may_use_all_frames_but_those_of_masked_padding(padding: str, expected: list[int]) -> None:
    fitted = Normaliser.fit(ROWS, FRAMES, padding, BOTH)
    found = fitted.valid(np.array([0, 2, 9]), 4)
    assert found.tolist() == expected
    assert found.dtype == np.int64
