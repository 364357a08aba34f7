"""Methods that combine trained models, one file each, found by name; a file defines what :class:`Method` lists.

A method sees its members' outputs for the development part out of fold only: each unit as the networks that were
trained without its fold predict it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from auscult.core import named_files
from auscult.core.errors import unknown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from auscult.core.tasks import Task
    from auscult.training.trained_model import TrainedModel


class Method(Protocol):
    """What the file of a method defines."""

    def obstacle(self, task: Task, members: Sequence[TrainedModel]) -> str:
        """Return why these models cannot be combined for a task, or an empty string."""

    def rows(
        self,
        members: Sequence[TrainedModel],
        features: NDArray[np.float32],
        frames: NDArray[np.int64],
        folds: NDArray[np.integer],
    ) -> NDArray[np.float64]:
        """Return what is computed of each row by the networks of each fold, shape (folds, n, columns).

        *folds* has the fold of each row, shape (n,), as for :meth:`TrainedModel.raw`.
        """

    def inputs(
        self,
        members: Sequence[TrainedModel],
        rows: NDArray[np.float64],
        units: NDArray[np.integer],
        recordings: NDArray[np.integer],
    ) -> NDArray[np.float64]:
        """Return the inputs of :meth:`fit` from the rows of units, shape (folds, units, inputs).

        *units* has the number of each row's unit, *recordings* that of each unit's recording, shape (units,).
        """

    def fit(
        self, inputs: NDArray[np.float64], target: NDArray[np.int64], classes: int, folds: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Fit on inputs (n, inputs), classes (n,) and folds (n,); return plain data for ``model.json``."""

    def apply(self, fitted: Mapping[str, Any], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) of inputs (n, inputs)."""


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def method(name: str) -> Method:
    """Return the method of that name.

    Raises
    ------
    AuscultError
        The name is unknown, or its file lacks something; the message names what.
    """
    check(name)
    return cast(Method, importlib.import_module(f"{__name__}.{name}"))


def check(name: str) -> None:
    """Raise as :func:`method` does, without importing the file."""
    if name not in names():
        next_step = "use one of these names"
        raise unknown_name("method", name, names(), where="params.yaml: combinations", next_step=next_step)
    needed = ("obstacle", "rows", "inputs", "fit", "apply")
    named_files.check(Path(__file__).with_name(f"{name}.py"), needed, "Checklist: a method that combines models")
