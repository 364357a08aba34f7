"""A small residual network over time; the bins of an MFCC sequence are its input channels."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from auscult.models.layers import TimePooling, all_valid, classifier_head, frame_mask, halved

if TYPE_CHECKING:
    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 48, "units": 64, "dropout": 0.3, "learning_rate": 3e-3}


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """Return an untrained network for features of shape (n, bins, frames)."""
    return SequenceNetwork(
        bins,
        classes,
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


class Block(nn.Module):
    """Two convolutions over 5 frames and a shortcut; the first has stride 2."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(before, after, 5, stride=2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm1d(after)
        self.second = nn.Conv1d(after, after, 5, padding=2, bias=False)
        self.second_norm = nn.BatchNorm1d(after)
        self.shortcut = nn.Conv1d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Halve the number of frames; *mask* (n, 1, frames after) sets frames after the valid ones to zero."""
        y = torch.relu_(self.first_norm(self.first(x)))
        if mask is not None:
            # Normalisation gives masked frames a constant value: clear it before the next convolution spreads it.
            y = y * mask
        # A last single frame counts half, as if a zero followed: so a row has the same outputs in a longer array.
        pairs = functional.avg_pool1d(functional.pad(x, (0, x.shape[2] % 2)), 2)
        y = torch.relu_(self.second_norm(self.second(y)) + self.shortcut(pairs))
        return y if mask is None else y * mask


class SequenceNetwork(nn.Module):
    """Stem of stride 2 over all bins, three residual blocks, pooling over the valid frames, two dense layers."""

    def __init__(self, bins: int, classes: int, *, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv1d(bins, filters, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm1d(filters)
        widths = [filters, filters, filters * 2, filters * 2]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.pooling = TimePooling(widths[-1])
        self.head = classifier_head(self.pooling.channels, units, classes, dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of features (n, bins, frames); only the first ``valid`` frames count."""
        masked = not all_valid(valid, x.shape[2])
        y = self.stem(x * frame_mask(valid, x.shape[2]) if masked else x)
        valid, mask = halved(valid), None
        y = torch.relu_(self.stem_norm(y))
        if masked:
            y = y * frame_mask(valid, y.shape[2])
        for block in self.blocks:
            valid = halved(valid)
            mask = frame_mask(valid, (y.shape[2] + 1) // 2) if masked else None
            y = block(y, mask)
        return self.head(self.pooling(y, y.amax(dim=2), mask))
