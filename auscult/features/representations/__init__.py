"""Representations, one file each, found by name.

A file ``<name>.py`` defines one subclass of :class:`Representation` and names it
``REPRESENTATION = <Subclass>()`` at its end. Nothing else registers it.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from auscult.core.errors import unknown_name
from auscult.core.sections import FeaturesParams, ResampleParams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Representation(ABC):
    """How a recording's log-mel spectrogram becomes what a model sees.

    Attributes
    ----------
    copies
        Kinds of augmented copies that training recordings get; empty for most.
    copy_modules
        Dotted names of the modules whose code makes the copies: part of their cache key.
    """

    copies: ClassVar[tuple[str, ...]] = ()
    copy_modules: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def bins(self, params: FeaturesParams) -> int:
        """Size of the first axis."""

    @abstractmethod
    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        """The representation of a log-mel spectrogram in decibels: (n_mels, T) → (bins, T)."""

    def rate(self, kind: str, recording_id: str, params: FeaturesParams) -> float:
        """How much faster than the original a copy runs: an event at t lies at t / rate."""
        return 1.0

    def copy(
        self, kind: str, recording_id: str, audio: NDArray[np.float32], params: FeaturesParams, spec: ResampleParams
    ) -> NDArray[np.float32]:
        """An augmented copy of a recording's audio, shape (n,) → (about n / rate,)."""
        raise NotImplementedError(f"{type(self).__name__} makes no copies")


def names() -> list[str]:
    """Names of the representations that have a file here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def load(name: str) -> Representation:
    """The representation of that name.

    Raises
    ------
    ParameterError
        There is no such file; the message names those that there are.
    """
    if name not in names():
        raise unknown_name(
            "representation",
            name,
            names(),
            where="params.yaml: experiments.<name>.features",
            next_step="name one of these",
        )
    representation: Representation = importlib.import_module(f"{__name__}.{name}").REPRESENTATION
    return representation
