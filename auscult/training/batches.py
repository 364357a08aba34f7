"""Batches of rows of similar length, and random masks over them.

Most segments are much shorter than their row in the array. A batch is cut to the length of its longest row,
so grouping rows by length saves computation. The outputs do not change: networks ignore frames after the
valid ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

#: Number of batches that are drawn at random together and then sorted by length.
POOL = 8
#: Lengths are increased at random by up to this share of the longest, anew in each epoch, so that rows of one
#: length meet different rows every time.
JITTER = 0.3
#: Lengths are rounded up to a multiple of this: torch prepares its kernels anew for every shape.
ROUND_TO = 16
#: An epoch has at least this many steps, as far as batches of the fewest rows allow. A small training part in
#: batches of 64 would give a handful of steps, too few to learn in some epochs.
STEPS, FEWEST = 30, 8
#: Widest masks, as shares of the valid frames and of the bins.
TIME_SHARE, BIN_SHARE = 0.2, 0.15


def batch_rows(count: int, most: int) -> int:
    """Return the number of rows per batch for an epoch of *count* rows: *most*, or fewer for a small training part."""
    return min(most, max(FEWEST, count // STEPS))


def random_batches(valid: NDArray[np.int64], size: int, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, in random batches of rows of similar length.

    Parameters
    ----------
    valid
        Frames of each row, shape (n,).
    size
        Rows per batch; a last single row joins the batch before, as batch normalisation needs two rows.
    """
    count = len(valid)
    order = torch.randperm(count, generator=generator).numpy()
    longest = float(valid.max(initial=0))
    about = valid + JITTER * longest * torch.rand(count, generator=generator).numpy()
    found: list[NDArray[np.int64]] = []
    for start in range(0, count, POOL * size):
        pool = order[start : start + POOL * size]
        pool = pool[np.argsort(about[pool], kind="stable")]
        found += [pool[first : first + size] for first in range(0, len(pool), size)]
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [np.concatenate(found[-2:])]
    for index in torch.randperm(len(found), generator=generator).tolist():
        yield found[index]


def sorted_batches(valid: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, the shortest first, for inference."""
    order = np.argsort(valid, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def frames_needed(valid: NDArray[np.int64], frames: int) -> int:
    """Return how many of *frames* a batch needs whose rows have *valid* ones."""
    longest = int(valid.max(initial=1))
    return min(frames, -(-longest // ROUND_TO) * ROUND_TO)


def spec_augment(x: torch.Tensor, valid: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Set one interval of frames and one band of bins per row to 0, the mean of normalised features.

    Parameters
    ----------
    x
        Normalised features, shape (n, bins, frames).
    valid
        Frames before the padding, shape (n,); the interval lies within them.

    References
    ----------
    Park et al., "SpecAugment", Interspeech 2019 (arXiv 1904.08779), without time warping.
    """
    count, bins, frames = x.shape
    draw = torch.rand((4, count), generator=generator)
    length = draw[0] * TIME_SHARE * valid
    begin = draw[1] * (valid - length)
    height = draw[2] * BIN_SHARE * bins
    bottom = draw[3] * (bins - height)
    time, band = torch.arange(frames), torch.arange(bins)
    keep_frames = (time < begin[:, None]) | (time >= (begin + length)[:, None])
    keep_bins = (band < bottom[:, None]) | (band >= (bottom + height)[:, None])
    return x * keep_frames[:, None, :] * keep_bins[:, :, None]
