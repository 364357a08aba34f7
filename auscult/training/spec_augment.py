"""Masks over time and frequency, drawn anew for every batch."""

from __future__ import annotations

import torch

#: The widest mask, as a share of the valid frames and of the bins.
TIME_SHARE, BIN_SHARE = 0.2, 0.15


def spec_augment(x: torch.Tensor, valid: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Set one stretch of frames and one band of bins per row to 0, the mean of normalised features.

    Parameters
    ----------
    x
        Normalised features, shape (n, bins, frames).
    valid
        Frames before the padding, shape (n,); the stretch lies within them.

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
