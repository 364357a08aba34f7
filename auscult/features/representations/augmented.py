"""MFCC sequences for the 1-D network, with augmented copies of the training recordings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auscult.core.sections import FeaturesParams, ResampleParams
from auscult.features.extraction import augment
from auscult.features.extraction.spectrogram import mfcc
from auscult.features.representations import Representation


class AugmentedRepresentation(Representation):
    """The first ``n_mfcc`` coefficients, and a copy of each kind of :data:`augment.KINDS`."""

    copies = tuple(augment.KINDS)
    copy_modules = (
        "auscult.features.extraction.augment",
        "auscult.audio.resampling",
        "auscult.audio.compiled",
        "auscult.audio.container",
        "auscult.audio.reader",
    )

    def bins(self, params: FeaturesParams) -> int:
        return params.n_mfcc

    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        return mfcc(logmel, params.n_mfcc)

    def rate(self, kind: str, recording_id: str, params: FeaturesParams) -> float:
        return augment.KINDS[kind].rate(recording_id, params.augmented)

    def copy(
        self, kind: str, recording_id: str, audio: NDArray[np.float32], params: FeaturesParams, spec: ResampleParams
    ) -> NDArray[np.float32]:
        return augment.KINDS[kind].make(audio, recording_id, params.augmented, spec)


REPRESENTATION = AugmentedRepresentation()
