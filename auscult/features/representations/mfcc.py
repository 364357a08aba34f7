"""Mel-frequency cepstral coefficients of the same log-mel spectrogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.core.sections import FeaturesParams
from auscult.features.extraction.spectrogram import mfcc
from auscult.features.representations import Representation


class MfccRepresentation(Representation):
    """The first ``n_mfcc`` coefficients."""

    def bins(self, params: FeaturesParams) -> int:
        return params.n_mfcc

    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        return mfcc(logmel, params.n_mfcc)


REPRESENTATION = MfccRepresentation()
