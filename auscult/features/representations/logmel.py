"""The log-mel spectrogram itself, in decibels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auscult.core.sections import FeaturesParams
from auscult.features.representations import Representation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LogMelRepresentation(Representation):
    """``n_mels`` bands."""

    def bins(self, params: FeaturesParams) -> int:
        return params.n_mels

    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        return logmel


REPRESENTATION = LogMelRepresentation()
