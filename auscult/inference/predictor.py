"""Predict classes for an audio file, with the pipeline's own steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auscult.audio.resampling import condition
from auscult.core.errors import DataError
from auscult.core.sections import FeaturesParams, ResampleParams
from auscult.features.examples import ARRAYS
from auscult.features.extraction.items import Cutter, Item, windows
from auscult.features.extraction.spectrogram import LogMel, without_mean
from auscult.features.representations import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel


@dataclass(frozen=True)
class Prediction:
    """Probability of each class, shape (classes,), and the decided class."""

    probabilities: NDArray[np.float64]
    label: str


def predict(
    model: TrainedModel, path: Path, intervals: Iterable[tuple[float | None, float | None]] = ((None, None),)
) -> list[Prediction]:
    """Return one prediction per time interval of a recording.

    A model of recordings averages the probabilities of the windows that cover the interval, as in the pipeline.
    A model of segments takes the interval as one segment; the whole recording is the mean over windows here too.

    Parameters
    ----------
    model
        A trained model.
    path
        An audio file.
    intervals
        (start_s, end_s) of each interval, in seconds; (None, None) is the whole recording.

    Raises
    ------
    DataError
        The file cannot be read, or an interval lies outside it.
    """
    spec = model.spec
    resample = ResampleParams.model_validate(spec["resample"])
    # The spec lacks the parameters of augmented copies, which prediction does not need: construct without validation.
    features = FeaturesParams.model_construct(**spec["features"])
    audio = condition(path, resample)
    logmel = LogMel(
        resample.sample_rate_hz,
        resample.low_hz,
        resample.high_hz,
        features.n_fft,
        features.window_length,
        features.hop_length,
        features.n_mels,
    )
    spectrogram = load(spec["representation"]).transform(without_mean(logmel(audio), features.subtract), features)
    duration_s = len(audio) / resample.sample_rate_hz
    frame_s = features.hop_length / resample.sample_rate_hz
    array = spec[ARRAYS[model.task.unit]]
    cutter = Cutter(array["frames"], frame_s, spec["padding"])
    results = []
    for start_s, end_s in intervals:
        items = _items(path, start_s, end_s, duration_s, array["length_s"], array.get("hop_s"))
        rows, valid = cutter.cut(spectrogram, items)
        one = np.zeros(len(rows), dtype=np.int64)
        probabilities = model.probabilities(rows, np.array(valid, dtype=np.int64), one)[0]
        decided = int(model.decide(probabilities[None])[0])
        results.append(Prediction(probabilities, model.task.classes[decided]))
    return results


def _items(
    path: Path, start_s: float | None, end_s: float | None, duration_s: float, length_s: float, hop_s: float | None
) -> list[Item]:
    """Return the segments or windows of an interval; *hop_s* is None for a model of segments."""
    if start_s is None and end_s is None:
        return windows(path.stem, duration_s, length_s, hop_s or length_s)
    start, end = start_s or 0.0, duration_s if end_s is None else end_s
    if not 0.0 <= start < end or start >= duration_s:
        raise DataError(
            f"the interval from {start:g} to {end:g} s does not lie in {path.name}, which lasts {duration_s:.2f} s",
            where=str(path),
            next_step="give start_s and end_s in seconds from the start of the recording",
        )
    end = min(end, duration_s)
    if hop_s is None:
        return [Item(path.stem, start, end)]
    inside = windows(path.stem, end - start, length_s, hop_s)
    return [Item(item.item_id, start + item.start_s, start + item.end_s) for item in inside]
