"""A small residual network over time and frequency, for log-mel and MFCC images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from auscult.models import layers
from auscult.models.layers import classifier_head, halved, log_length

if TYPE_CHECKING:
    import optuna

    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 16, "units": 64, "dropout": 0.3, "learning_rate": 2e-3}


def suggest(trial: optuna.Trial) -> dict[str, int | float | bool]:
    """Draw hyperparameters from an Optuna trial."""
    return layers.suggest(trial, filters=[8, 12, 16])


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """Return an untrained network for features of shape (n, bins, frames)."""
    return ResidualNetwork(
        classes,
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


def frame_mask(valid: torch.Tensor, frames: int) -> torch.Tensor:
    """Return 1 in valid frames and 0 after them, shape (n, 1, 1, frames)."""
    return layers.frame_mask(valid, frames)[:, None]


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv 1512.03385); the first has stride 2."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Halve bins and frames; *mask* (n, 1, 1, frames after) sets frames after the valid ones to zero."""
        # Normalisation gives masked frames a constant value: clear it before the next convolution spreads it.
        y = torch.relu_(self.first_norm(self.first(x))) * mask
        # Average, then 1×1 (He et al. 2019, arXiv 1812.01187, figure 2c). A strided 1×1 convolution reads a
        # quarter of its input, and torch 2.13's backward pass of it in channels-last order crashes the
        # process for some sizes (8 channels, 32 × 76).
        shortcut = self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True, divisor_override=4))
        return torch.relu_(self.second_norm(self.second(y)) + shortcut) * mask


class ResidualNetwork(nn.Module):
    """Stem of stride 2, three residual blocks, mean, maximum and length of the valid part, two dense layers."""

    def __init__(self, classes: int, *, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, filters, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(filters)
        widths = [filters, filters * 2, filters * 4, filters * 4]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.head = classifier_head(widths[-1], units, classes, dropout)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of features (n, bins, frames); only the first ``valid`` frames count."""
        y = (x[:, None] * frame_mask(valid, x.shape[2])).contiguous(memory_format=torch.channels_last)
        y = torch.relu_(self.stem_norm(self.stem(y)))
        length = log_length(valid)
        valid = halved(valid)
        y = y * frame_mask(valid, y.shape[3])
        for block in self.blocks:
            valid = halved(valid)
            y = block(y, frame_mask(valid, (y.shape[3] + 1) // 2))
        # Activations are not negative, so a masked frame never changes the maximum.
        mean = y.sum(dim=(2, 3)) / (valid[:, None] * y.shape[2])
        return self.head(torch.cat([mean, y.amax(dim=(2, 3)), length], dim=1))
