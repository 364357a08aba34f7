"""The log-mel spectrogram of a recording or of an augmented copy, through the cache."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auscult.audio.cache import ArrayCache, namespace
from auscult.audio.resampled import StoredAudio
from auscult.core.digests import digest
from auscult.core.sections import FeaturesParams
from auscult.features.extraction.spectrogram import LogMel, frame_count
from auscult.features.representations import Representation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CODE = ("auscult.features.extraction.compiled", "auscult.features.extraction.spectrogram")
_LIBRARIES = ("numba", "numpy")


@dataclass(frozen=True)
class Source:
    """A recording in the audio array."""

    recording_id: str
    sha256: str
    key: str
    offset: int
    length: int


class LogMels:
    """Log-mel spectrograms of whole recordings; safe in threads.

    Attributes
    ----------
    new
        How many were computed; the rest came from the cache.
    """

    def __init__(self, audio: StoredAudio, representation: Representation, params: FeaturesParams) -> None:
        self._audio, self._representation, self._params = audio, representation, params
        spec = audio.spec
        self._logmel = LogMel(
            sample_rate_hz=spec.sample_rate_hz,
            low_hz=spec.low_hz,
            high_hz=spec.high_hz,
            n_fft=params.n_fft,
            hop_length=params.hop_length,
            n_mels=params.n_mels,
        )
        settings = [spec.sample_rate_hz, spec.low_hz, spec.high_hz, params.n_fft, params.hop_length, params.n_mels]
        self._originals = ArrayCache("logmel", namespace(settings, _CODE, _LIBRARIES))
        if representation.copies:
            making = [settings, spec.model_dump(), params.augmented.model_dump()]
            modules = (*_CODE, *representation.copy_modules)
            self._copies = ArrayCache("copies", namespace(making, modules, (*_LIBRARIES, "scipy", "soxr")))
        self._lock = threading.Lock()
        self.new = 0

    def get(self, source: Source, kind: str) -> NDArray[np.float32]:
        """Decibels, shape (n_mels, frames); *kind* is original or one of the representation's copies."""
        original = kind == "original"
        cache = self._originals if original else self._copies
        part = source.key if original else digest(source.key, source.recording_id, kind)
        entry = cache.get(source.sha256, part)
        if entry is not None and self._fits(entry.array, source if original else None):
            return entry.array
        audio = self._audio.read(source.offset, source.length)
        if not original:
            audio = self._representation.copy(kind, source.recording_id, audio, self._params, self._audio.spec)
        with self._lock:
            self._logmel.prepare()  # imports once, not in every thread
            self.new += 1
        return cache.put(source.sha256, self._logmel(audio), part).array

    def _fits(self, array: NDArray[np.float32], source: Source | None) -> bool:
        """Whether an entry has the shape that it must have; a copy's length is its own."""
        if array.ndim != 2 or array.shape[0] != self._params.n_mels or not array.shape[1]:
            return False
        params = self._params
        return source is None or array.shape[1] == frame_count(source.length, params.n_fft, params.hop_length)
