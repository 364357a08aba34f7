"""A small residual network over time alone; the bins (MFCC) are its input channels."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import optuna

    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 48, "units": 64, "dropout": 0.3, "learning_rate": 2e-3}


def suggest(trial: optuna.Trial) -> dict[str, int | float | bool]:
    """Width of the first layer, of the dense layer, dropout, and the optimiser's step."""
    return {
        "filters": trial.suggest_categorical("filters", [32, 48, 64]),
        "units": trial.suggest_categorical("units", [32, 64, 128]),
        "dropout": trial.suggest_float("dropout", 0.1, 0.5, step=0.1),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 5e-3, log=True),
    }


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """An untrained network for features of shape (n, bins, frames)."""
    return SequenceNetwork(
        bins,
        classes,
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


def halved(valid: torch.Tensor) -> torch.Tensor:
    """Valid frames behind a layer of stride 2."""
    return torch.div(valid + 1, 2, rounding_mode="floor")


def inside(valid: torch.Tensor, frames: int) -> torch.Tensor:
    """1 in valid frames and 0 behind them; shape (n, 1, frames)."""
    return (torch.arange(frames) < valid[:, None]).to(torch.float32)[:, None, :]


class Block(nn.Module):
    """Two convolutions of 5 frames and a shortcut, stride 2 in the first."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(before, after, 5, stride=2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm1d(after)
        self.second = nn.Conv1d(after, after, 5, padding=2, bias=False)
        self.second_norm = nn.BatchNorm1d(after)
        self.shortcut = nn.Conv1d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Half as many frames; *mask* (n, 1, frames after) clears what lies behind the valid ones."""
        # Behind the valid frames a bias becomes a signal: cleared before the next convolution brings it back.
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
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * widths[-1] + 1, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, classes),
        )

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of features (n, bins, frames), of which the first ``valid`` frames count."""
        # Mean and maximum forget how long the valid part is, though a sound has its typical length.
        length = torch.log(valid.to(torch.float32))[:, None] - 4.0
        y = self.stem(x * inside(valid, x.shape[2]))
        valid = halved(valid)
        y = torch.relu_(self.stem_norm(y)) * inside(valid, y.shape[2])
        for block in self.blocks:
            valid = halved(valid)
            y = block(y, inside(valid, (y.shape[2] + 1) // 2))
        # No activation is negative: a cleared one is never the maximum of anything that fired.
        return self.head(torch.cat([y.sum(dim=2) / valid[:, None], y.amax(dim=2), length], dim=1))
