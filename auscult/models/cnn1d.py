"""A small residual network over time; the bins of an MFCC sequence are its input channels."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn

from auscult.models import layers
from auscult.models.layers import classifier_head, frame_mask, halved, log_length

if TYPE_CHECKING:
    import optuna

    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 48, "units": 64, "dropout": 0.3, "learning_rate": 2e-3}


def suggest(trial: optuna.Trial) -> dict[str, int | float | bool]:
    """Draw hyperparameters from an Optuna trial."""
    return layers.suggest(trial, filters=[32, 48, 64])


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

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Halve the number of frames; *mask* (n, 1, frames after) sets frames after the valid ones to zero."""
        # Normalisation gives masked frames a constant value: clear it before the next convolution spreads it.
        y = torch.relu_(self.first_norm(self.first(x))) * mask
        return torch.relu_(self.second_norm(self.second(y)) + self.shortcut(x[:, :, ::2])) * mask


class SequenceNetwork(nn.Module):
    """Stem of stride 2 over all bins, three residual blocks, mean, maximum and length, two dense layers."""

    def __init__(self, bins: int, classes: int, *, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv1d(bins, filters, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm1d(filters)
        widths = [filters, filters, filters * 2, filters * 2]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.head = classifier_head(widths[-1], units, classes, dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of features (n, bins, frames); only the first ``valid`` frames count."""
        length = log_length(valid)
        y = self.stem(x * frame_mask(valid, x.shape[2]))
        valid = halved(valid)
        y = torch.relu_(self.stem_norm(y)) * frame_mask(valid, y.shape[2])
        for block in self.blocks:
            valid = halved(valid)
            y = block(y, frame_mask(valid, (y.shape[2] + 1) // 2))
        # Activations are not negative, so a masked frame never changes the maximum.
        return self.head(torch.cat([y.sum(dim=2) / valid[:, None], y.amax(dim=2), length], dim=1))
