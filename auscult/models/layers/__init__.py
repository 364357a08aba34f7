"""Parts that several architectures share: masks of valid frames, the classifier head, hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import optuna


def suggest(trial: optuna.Trial, filters: Sequence[int]) -> dict[str, int | float | bool]:
    """Draw the width of the first layer (one of *filters*) and of the dense layer, dropout, and learning rate."""
    return {
        "filters": trial.suggest_categorical("filters", filters),
        "units": trial.suggest_categorical("units", [32, 64, 128]),
        "dropout": trial.suggest_float("dropout", 0.1, 0.5, step=0.1),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 5e-3, log=True),
    }


def halved(valid: torch.Tensor) -> torch.Tensor:
    """Return the number of valid frames after a layer of stride 2, shape (n,)."""
    return torch.div(valid + 1, 2, rounding_mode="floor")


def frame_mask(valid: torch.Tensor, frames: int) -> torch.Tensor:
    """Return 1 in valid frames and 0 after them, shape (n, 1, frames)."""
    return (torch.arange(frames) < valid[:, None]).to(torch.float32)[:, None, :]


def log_length(valid: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the number of valid frames, centred (about −4 to 2), shape (n, 1).

    Mean and maximum over time lose the length, and an adventitious sound has a typical length.
    """
    return torch.log(valid.to(torch.float32))[:, None] - 4.0


def classifier_head(channels: int, units: int, classes: int, dropout: float) -> nn.Sequential:
    """Return two dense layers from mean and maximum of *channels* and the length to logits."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(2 * channels + 1, units),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(units, classes),
    )
