"""A small residual network over time and frequency, for log-mel and MFCC images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    import optuna

    from auscult.models import Hyperparameters

DEFAULTS: dict[str, int | float | bool] = {"filters": 16, "units": 64, "dropout": 0.3, "learning_rate": 2e-3}


def suggest(trial: optuna.Trial) -> dict[str, int | float | bool]:
    """Width of the first layer, of the dense layer, dropout, and the optimiser's step."""
    return {
        "filters": trial.suggest_categorical("filters", [8, 12, 16]),
        "units": trial.suggest_categorical("units", [32, 64, 128]),
        "dropout": trial.suggest_float("dropout", 0.1, 0.5, step=0.1),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 5e-3, log=True),
    }


def build(bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> nn.Module:
    """An untrained network for features of shape (n, bins, frames)."""
    return ResidualNetwork(
        classes,
        filters=int(hyperparameters["filters"]),
        units=int(hyperparameters["units"]),
        dropout=float(hyperparameters["dropout"]),
    )


def halved(valid: torch.Tensor) -> torch.Tensor:
    """Valid frames behind a layer of stride 2."""
    return torch.div(valid + 1, 2, rounding_mode="floor")


def inside(valid: torch.Tensor, frames: int) -> torch.Tensor:
    """1 in valid frames and 0 behind them; shape (n, 1, 1, frames)."""
    return (torch.arange(frames) < valid[:, None]).to(torch.float32)[:, None, None, :]


def log_length(valid: torch.Tensor) -> torch.Tensor:
    """How long the valid part is, about −4…2, shape (n, 1).

    Mean and maximum forget it, though an adventitious sound has its typical length.
    """
    return torch.log(valid.to(torch.float32))[:, None] - 4.0


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv 1512.03385), stride 2 in the first."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Half as many bins and frames; *mask* (n, 1, 1, frames after) clears what lies behind the valid ones."""
        # Behind the valid frames a bias becomes a signal: cleared before the next convolution brings it back.
        y = torch.relu_(self.first_norm(self.first(x))) * mask
        # Averaged, then 1×1 (He et al. 2019, arXiv 1812.01187, figure 2c). A strided 1×1 convolution looks at a
        # quarter of its input, and torch 2.13's backward pass of it in channels-last order crashes the
        # process for some sizes (8 channels, 32 × 76).
        shortcut = self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True, divisor_override=4))
        return torch.relu_(self.second_norm(self.second(y)) + shortcut) * mask


class ResidualNetwork(nn.Module):
    """Stem of stride 2, three residual blocks, mean, maximum and length of what is valid, two dense layers."""

    def __init__(self, classes: int, *, filters: int, units: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, filters, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(filters)
        widths = [filters, filters * 2, filters * 4, filters * 4]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * widths[-1] + 1, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, classes),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of features (n, bins, frames), of which the first ``valid`` frames count."""
        y = (x[:, None] * inside(valid, x.shape[2])).contiguous(memory_format=torch.channels_last)
        y = torch.relu_(self.stem_norm(self.stem(y)))
        length = log_length(valid)
        valid = halved(valid)
        y = y * inside(valid, y.shape[3])
        for block in self.blocks:
            valid = halved(valid)
            y = block(y, inside(valid, (y.shape[3] + 1) // 2))
        # No activation is negative: a cleared one is never the maximum of anything that fired.
        mean = y.sum(dim=(2, 3)) / (valid[:, None] * y.shape[2])
        return self.head(torch.cat([mean, y.amax(dim=(2, 3)), length], dim=1))
