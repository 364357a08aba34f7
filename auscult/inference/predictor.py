"""A trained model's answers for an audio file, through the same steps as the pipeline's."""

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
from auscult.features.extraction.spectrogram import LogMel
from auscult.features.representations import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel


@dataclass(frozen=True)
class Answer:
    """Probability per class, shape (classes,), and the decided class."""

    probabilities: NDArray[np.float64]
    label: str


def answers(
    model: TrainedModel, path: Path, stretches: Iterable[tuple[float | None, float | None]] = ((None, None),)
) -> list[Answer]:
    """One answer per stretch (start_s, end_s) of a recording; (None, None) is all of it.

    A whole recording is the mean over the windows that cover it, as in the pipeline; so is a stretch,
    where the model judges recordings. A model of segments takes a stretch as one segment.

    Raises
    ------
    DataError
        The file cannot be read, or a stretch lies outside it.
    """
    spec = model.spec
    resample = ResampleParams.model_validate(spec["resample"])
    # The spec leaves out how augmented copies were made, which a recording to be judged does not need.
    features = FeaturesParams.model_construct(**spec["features"])
    audio = condition(path, resample)
    logmel = LogMel(
        resample.sample_rate_hz,
        resample.low_hz,
        resample.high_hz,
        features.n_fft,
        features.hop_length,
        features.n_mels,
    )
    spectrogram = load(spec["representation"]).transform(logmel(audio), features)
    duration_s = len(audio) / resample.sample_rate_hz
    frame_s = features.hop_length / resample.sample_rate_hz
    array = spec[ARRAYS[model.task.unit]]
    cutter = Cutter(array["frames"], frame_s, spec["padding"])
    results = []
    for start_s, end_s in stretches:
        items = _items(path, start_s, end_s, duration_s, array["length_s"], array.get("hop_s"))
        rows, valid = cutter.cut(spectrogram, items)
        probabilities = model.probabilities(rows, np.array(valid, dtype=np.int64)).mean(axis=0)
        decided = int(model.decide(probabilities[None])[0])
        results.append(Answer(probabilities, model.task.classes[decided]))
    return results


def _items(
    path: Path, start_s: float | None, end_s: float | None, duration_s: float, length_s: float, hop_s: float | None
) -> list[Item]:
    if start_s is None and end_s is None:
        return windows(path.stem, duration_s, length_s, hop_s or length_s)
    start, end = start_s or 0.0, duration_s if end_s is None else end_s
    if not 0.0 <= start < end or start >= duration_s:
        raise DataError(
            f"the stretch from {start:g} to {end:g} s does not lie in {path.name}, which lasts {duration_s:.2f} s",
            where=str(path),
            next_step="give start_s and end_s in seconds from the recording's begin",
        )
    end = min(end, duration_s)
    if hop_s is None:
        return [Item(path.stem, start, end)]
    inside = windows(path.stem, end - start, length_s, hop_s)
    return [Item(item.item_id, start + item.start_s, start + item.end_s) for item in inside]
