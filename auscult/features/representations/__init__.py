"""Representations, one file each, found by name.

A file ``<name>.py`` defines one subclass of :class:`Representation` and ends with
``REPRESENTATION = <Subclass>()``. It is not registered anywhere else.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from auscult.core import named_files
from auscult.core.errors import unknown_name
from auscult.core.sections import FeaturesParams, ResampleParams


class Representation(ABC):
    """Computes the input of a model from a recording's log-mel spectrogram.

    Attributes
    ----------
    copies
        Kinds of augmented copies made of training recordings; empty for most representations.
    copy_modules
        Dotted names of the modules that make the copies: part of their cache key.
    """

    copies: ClassVar[tuple[str, ...]] = ()
    copy_modules: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def bins(self, params: FeaturesParams) -> int:
        """Return the size of the first axis."""

    @abstractmethod
    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        """Transform a log-mel spectrogram in decibels, shape (n_mels, T) → (bins, T)."""

    def rate(self, kind: str, recording_id: str, params: FeaturesParams) -> float:
        """Return the speed of a copy relative to the original: an event at t is at t / rate in the copy."""
        return 1.0

    def copy(
        self, kind: str, recording_id: str, audio: NDArray[np.float32], params: FeaturesParams, spec: ResampleParams
    ) -> NDArray[np.float32]:
        """Return an augmented copy of a recording's audio, shape (n,) → (about n / rate,)."""
        raise NotImplementedError(f"{type(self).__name__} makes no copies")


def names() -> list[str]:
    """Return the names of all representations, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def load(name: str) -> Representation:
    """Return the representation of that name.

    Raises
    ------
    AuscultError
        The name is unknown, or its file lacks something; the message names what.
    """
    check(name)
    representation: Representation = importlib.import_module(f"{__name__}.{name}").REPRESENTATION
    return representation


def check(name: str) -> None:
    """Raise as :func:`load` does, without importing the file."""
    if name not in names():
        raise unknown_name(
            "representation",
            name,
            names(),
            where="params.yaml: experiments.<name>.features",
            next_step="use one of these names",
        )
    named_files.check(Path(__file__).with_name(f"{name}.py"), ("REPRESENTATION",), "Checklist: a representation")
