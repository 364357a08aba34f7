"""A small residual network over time and frequency, for log-mel and MFCC images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from auscult.models.layers import TimePooling, all_valid, classifier_head, frame_mask, halved

if TYPE_CHECKING:
    from auscult.models import Hyperparameters

#: ``bin_stride`` is the stride of the first convolution over bins. With 4 every later layer costs half as much as with
#: 2; on SPRSound it costs a point (docs/results.md).
DEFAULTS: dict[str, int | float | bool] = {
    "filters": 16,
    "bin_stride": 2,
    "units": 64,
    "dropout": 0.3,
    "learning_rate": 3e-3,
}


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """Return an untrained network for features of shape (n, bins, frames)."""
    return ResidualNetwork(
        classes,
        bin_stride=int(hyperparameters["bin_stride"]),
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv 1512.03385); the first has stride 2."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Halve bins and frames; *mask* (n, 1, 1, frames after) sets frames after the valid ones to zero."""
        y = torch.relu_(self.first_norm(self.first(x)))
        if mask is not None:
            # Normalisation gives masked frames a constant value: clear it before the next convolution spreads it.
            y = y * mask
        # Average, then 1×1 (He et al. 2019, arXiv 1812.01187, figure 2c). A strided 1×1 convolution reads a
        # quarter of its input, and torch 2.13's backward pass of it in channels-last order crashes the
        # process for some sizes (8 channels, 32 × 76).
        shortcut = self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True, divisor_override=4))
        y = torch.relu_(self.second_norm(self.second(y)) + shortcut)
        return y if mask is None else y * mask


class ResidualNetwork(nn.Module):
    """A 5×5 stem, three residual blocks, three kinds of pooling over the valid frames, two dense layers.

    Pooling over bins is the mean, but for the maximum, which is over bins and frames.
    """

    def __init__(self, classes: int, *, bin_stride: int, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, filters, 5, stride=(bin_stride, 2), padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(filters)
        widths = [filters, filters * 2, filters * 4, filters * 4]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.pooling = TimePooling(widths[-1])
        self.head = classifier_head(self.pooling.channels, units, classes, dropout)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of features (n, bins, frames); only the first ``valid`` frames count."""
        masked = not all_valid(valid, x.shape[2])
        y = x[:, None]
        if masked:
            y = y * frame_mask(valid, x.shape[2])[:, None]
        y = torch.relu_(self.stem_norm(self.stem(y.contiguous(memory_format=torch.channels_last))))
        valid = halved(valid)
        mask = None
        if masked:
            y = y * frame_mask(valid, y.shape[3])[:, None]
        for block in self.blocks:
            valid = halved(valid)
            mask = frame_mask(valid, (y.shape[3] + 1) // 2) if masked else None
            y = block(y, None if mask is None else mask[:, None])
        return self.head(self.pooling(y.mean(dim=2), y.amax(dim=(2, 3)), mask))
