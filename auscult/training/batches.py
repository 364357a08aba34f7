"""Batches of rows of one length, and random masks over them.

Segments last from a few tenths of a second to many seconds. In training every row is brought to one length: a longer
one gives a random piece, a shorter one is repeated. So no computation goes into padding, and no network sees the length
of an annotation. Elsewhere a longer row is used whole; networks ignore the frames after its end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

#: Lengths of rows that are used whole are rounded up to a multiple of this: torch prepares its kernels anew for every
#: shape.
ROUND_TO = 16
#: An epoch has at least this many steps, as far as batches of the fewest rows allow. A small training part in
#: batches of 64 would give a handful of steps, too few to learn in some epochs.
STEPS, FEWEST = 30, 8
#: Widest masks, as shares of the frames and of the bins.
TIME_SHARE, BIN_SHARE = 0.2, 0.15


def batch_rows(count: int, most: int) -> int:
    """Return the number of rows per batch for an epoch of *count* rows: *most*, or fewer for a small training part."""
    return min(most, max(FEWEST, count // STEPS))


def batch_count(count: int, size: int) -> int:
    """Return the number of batches of :func:`random_batches`."""
    return max(1, count // size + (count % size > 1))


def random_batches(count: int, size: int, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, in random batches of *size* rows.

    A last single row joins the batch before, as batch normalisation needs two rows.
    """
    order = torch.randperm(count, generator=generator).numpy()
    batches = batch_count(count, size)
    for number in range(batches):
        yield order[number * size : (number + 1) * size if number < batches - 1 else count]


def sorted_batches(valid: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, the shortest first, for inference."""
    order = np.argsort(valid, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def random_pieces(
    x: NDArray[np.float32], valid: NDArray[np.int64], length: int, generator: torch.Generator
) -> NDArray[np.float32]:
    """Return *length* frames of each row: a random piece of a longer one, repetitions of a shorter one.

    Parameters
    ----------
    x
        Shape (n, bins, frames).
    valid
        Frames before the padding, shape (n,).
    """
    room = np.maximum(valid - length, 0) + 1
    start = (torch.rand(len(valid), generator=generator, dtype=torch.float64).numpy() * room).astype(np.int64)
    index = (start[:, None] + np.arange(length)) % valid[:, None]
    pieces: NDArray[np.float32] = np.take_along_axis(x, index[:, None, :], axis=2)
    return pieces


def whole_rows(
    x: NDArray[np.float32], valid: NDArray[np.int64], length: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows for inference and their valid frames: a row shorter than *length* is repeated up to it.

    Parameters
    ----------
    x
        Shape (n, bins, frames), with all valid frames.
    valid
        Frames before the padding, shape (n,).
    """
    longest = int(valid.max(initial=length))
    longest += -longest % ROUND_TO if longest > length else 0
    index = np.arange(longest) % np.where(valid < length, valid, longest)[:, None]
    index = np.minimum(index, x.shape[2] - 1)
    rows: NDArray[np.float32] = np.take_along_axis(x, index[:, None, :], axis=2)
    return rows, np.maximum(valid, length)


def spec_augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Set one interval of frames and one band of bins per row to 0, the mean of normalised features.

    Parameters
    ----------
    x
        Normalised features, shape (n, bins, frames).

    References
    ----------
    Park et al., "SpecAugment", Interspeech 2019 (arXiv 1904.08779), without time warping.
    """
    count, bins, frames = x.shape
    draw = torch.rand((4, count), generator=generator)
    length = draw[0] * TIME_SHARE * frames
    begin = draw[1] * (frames - length)
    height = draw[2] * BIN_SHARE * bins
    bottom = draw[3] * (bins - height)
    time, band = torch.arange(frames), torch.arange(bins)
    keep_frames = (time < begin[:, None]) | (time >= (begin + length)[:, None])
    keep_bins = (band < bottom[:, None]) | (band >= (bottom + height)[:, None])
    return x * keep_frames[:, None, :] * keep_bins[:, :, None]
