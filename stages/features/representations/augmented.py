"""MFCC sequences for the 1-D network, with augmented copies of the training recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.features import augment
from stages.features.representations import Representation
from stages.features.spectrogram import mfcc
from stages.sections import FeaturesParams, ResampleParams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AugmentedRepresentation(Representation):
    """The first ``n_mfcc`` coefficients, and a noisy, a pitch-shifted and a stretched copy."""

    copies = ("noise", "pitch", "stretch")
    copy_modules = (
        "stages.features.augment",
        "stages.resample.filter",
        "stages.resample.compiled",
        "stages.resample.wav24",
    )

    def bins(self, params: FeaturesParams) -> int:
        return params.n_mfcc

    def transform(self, logmel: NDArray[np.float32], params: FeaturesParams) -> NDArray[np.float32]:
        return mfcc(logmel, params.n_mfcc)

    def rate(self, kind: str, recording_id: str, params: FeaturesParams) -> float:
        return augment.stretch_rate(recording_id, params.augmented) if kind == "stretch" else 1.0

    def copy(
        self, kind: str, recording_id: str, audio: NDArray[np.float32], params: FeaturesParams, spec: ResampleParams
    ) -> NDArray[np.float32]:
        return augment.KINDS[kind](audio, recording_id, params.augmented, spec)


REPRESENTATION = AugmentedRepresentation()
