"""Architectures, one file each, found by name.

A file ``<name>.py`` here holds

``DEFAULTS``
    Hyperparameters of the first trial; later ones are suggested.
``suggest(trial)``
    Hyperparameters ``filters``, ``units``, ``dropout``, ``learning_rate`` from an Optuna trial.
``build(bins, frames, classes, hyperparameters)``
    A ``torch.nn.Module`` whose ``forward(x, valid)`` maps features (n, bins, frames)
    and valid frames (n,) to logits (n, classes).

Put a file there and name it in ``params.yaml``; a contract test takes it up by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from auscult.core.errors import unknown_name

if TYPE_CHECKING:
    import optuna
    import torch

Hyperparameters = Mapping[str, int | float | bool]


class Architecture(Protocol):
    """What a model's file offers."""

    DEFAULTS: dict[str, Any]

    def suggest(self, trial: optuna.Trial) -> dict[str, int | float | bool]:
        """Draw hyperparameters."""

    def build(self, bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> torch.nn.Module:
        """Make an untrained network."""


def names() -> list[str]:
    """The architectures that there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises
    ------
    ParameterError
        There is none; the message names those that there are.
    """
    if name not in names():
        raise unknown_name("model", name, names(), where="params.yaml: experiments", next_step="name one of these")
    return cast(Architecture, importlib.import_module(f"{__name__}.{name}"))
