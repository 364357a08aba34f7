"""The log-mel spectrogram itself, in decibels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.core.sections import FeaturesParams
from auscult.features.representations import Representation


class LogMelRepresentation(Representation):
    """The ``n_mels`` bands unchanged."""

    def bins(self, params: FeaturesParams) -> int:
        return params.n_mels

    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        return logmel


REPRESENTATION = LogMelRepresentation()
