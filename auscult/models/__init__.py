"""Architectures, one file each, found by name; a file defines what :class:`Architecture` lists.

Add a file and name it in ``params.yaml``; the contract tests find it. Shared parts are in ``layers/``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from auscult.core import named_files
from auscult.core.errors import unknown_name

if TYPE_CHECKING:  # torch and optuna take two seconds to import; the names of the architectures need neither
    import optuna
    import torch

Hyperparameters = Mapping[str, int | float | bool]


class Architecture(Protocol):
    """What the file of an architecture defines."""

    #: Hyperparameters of the first trial; later trials draw them.
    DEFAULTS: dict[str, Any]

    def suggest(self, trial: optuna.Trial) -> dict[str, int | float | bool]:
        """Draw ``filters``, ``units``, ``dropout`` and ``learning_rate`` from an Optuna trial."""

    def build(self, bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> torch.nn.Module:
        """Return an untrained network: features (n, bins, frames) and valid frames (n,) → logits (n, classes)."""


def names() -> list[str]:
    """Return the names of all architectures, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def architecture(name: str) -> Architecture:
    """Return the architecture of that name.

    Raises
    ------
    AuscultError
        The name is unknown, or its file lacks something; the message names what.
    """
    check(name)
    return cast(Architecture, importlib.import_module(f"{__name__}.{name}"))


def check(name: str) -> None:
    """Raise as :func:`architecture` does, without importing torch."""
    if name not in names():
        raise unknown_name("model", name, names(), where="params.yaml: experiments", next_step="use one of these names")
    file = Path(__file__).with_name(f"{name}.py")
    named_files.check(file, ("DEFAULTS", "suggest", "build"), "Checklist: a model")
