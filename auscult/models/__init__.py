"""Models, one file each, found by name: a file defines what :class:`Architecture` or :class:`Learner` lists.

Add a file and name it in ``params.yaml``; the contract tests find it. Shared parts of networks are in ``layers/``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from auscult.core import named_files
from auscult.core.errors import unknown_name

if TYPE_CHECKING:  # torch takes a second to import; the names of the models do not need it
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from typing_extensions import TypeIs

Hyperparameters = Mapping[str, int | float | bool]


class Architecture(Protocol):
    """What the file of a network defines; :mod:`auscult.training.loop` trains it by gradient descent."""

    #: Hyperparameters of the first trial, ``learning_rate`` among them; later trials draw those that
    #: ``search.<name>`` in ``params.yaml`` lists.
    DEFAULTS: dict[str, Any]

    def build(self, bins: int, frames: int, classes: int, hyperparameters: Hyperparameters) -> torch.nn.Module:
        """Return an untrained network: features (n, bins, frames) and valid frames (n,) → logits (n, classes)."""


class Learned(Protocol):
    """A model that a :class:`Learner` fitted."""

    #: Ending of the name of its file.
    SUFFIX: ClassVar[str]

    def log_probabilities(self, x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log-probabilities (n, classes) of normalised rows (n, bins, frames) and their valid frames (n,)."""

    def to_bytes(self) -> bytes:
        """Return the content of its file: text or plain arrays, never a pickle."""

    @classmethod
    def from_bytes(cls, blob: bytes, classes: int) -> Learned:
        """Read the result of :meth:`to_bytes`; raise ``ValueError`` where it does not fit."""


class Learner(Protocol):
    """What the file of a model defines that is fitted in one go rather than by gradient descent."""

    #: As for an :class:`Architecture`.
    DEFAULTS: dict[str, Any]
    #: What :meth:`fit` returns.
    LEARNED: type[Learned]

    def fit(self, batches: Batches, classes: int, hyperparameters: Hyperparameters, seed: int) -> Learned:
        """Fit on training rows; equal arguments give equal bits, in one thread."""


class Batches(Protocol):
    """Training rows for a :class:`Learner`, read in batches as often as it needs them."""

    #: Class of each row, shape (n,).
    target: NDArray[np.int64]
    #: Frames of a piece: a model of fixed length uses pieces of this many.
    piece: int

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]:
        """Yield numbers of rows (b,), the rows normalised (b, bins, frames), and their valid frames (b,)."""


def names() -> list[str]:
    """Return the names of all models, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> Architecture | Learner:
    """Return the model of that name.

    Raises
    ------
    AuscultError
        The name is unknown, or its file lacks something; the message names what.
    """
    check(name)
    return cast("Architecture | Learner", importlib.import_module(f"{__name__}.{name}"))


def architecture(name: str) -> Architecture:
    """Return the network of that name; raise as :func:`load` does, or ``TypeError`` for a model of another kind."""
    model = load(name)
    if not is_network(model):
        raise TypeError(f"{name} is not a network")
    return model


def suffix(name: str) -> str:
    """Return the ending of the name of a file with a trained model of that name."""
    model = load(name)
    return ".safetensors" if is_network(model) else model.LEARNED.SUFFIX


def is_network(model: Architecture | Learner) -> TypeIs[Architecture]:
    """Return whether a model is a network."""
    return hasattr(model, "build")


def check(name: str) -> None:
    """Raise as :func:`load` does, without importing torch."""
    if name not in names():
        raise unknown_name("model", name, names(), where="params.yaml: experiments", next_step="use one of these names")
    file = Path(__file__).with_name(f"{name}.py")
    learner = "LEARNED" in named_files.names(file)
    named_files.check(file, ("DEFAULTS", *(("LEARNED", "fit") if learner else ("build",))), "Checklist: a model")
