"""Measure recordings as a model receives them: length, rate, level, spectrum, and the model's prediction."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.audio.checks import inspect
from auscult.audio.resampling import condition
from auscult.core.errors import DataError
from auscult.core.sections import ResampleParams, ValidateParams
from auscult.core.threads import Progress, in_order
from auscult.inference.predictor import predict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from auscult.training.trained_model import TrainedModel

#: Columns that describe a file; all others are numeric features.
TEXTS: dict[str, tuple[str, str]] = {
    "file": ("string", "path below the examined folder, with forward slashes"),
    "rejected": ("string", "reason of rejection, as in validate; empty for an accepted recording"),
    "detail": ("string", "the measured value behind that reason"),
    "label": ("string", "predicted class; empty for a rejected recording"),
}
#: The feature that is an output of the model; the others describe its input.
PROBABILITY = "probability_not_normal"
_BEFORE_BANDS: dict[str, tuple[str, str]] = {
    "duration_s": ("float64", "length of the audio"),
    "sample_rate_hz": ("float64", "sample rate of the file"),
    "level_dbfs": ("float64", "root mean square after the model's resampling and filter; full scale is 0"),
    "crest_db": ("float64", "peak above root mean square, of the same audio"),
}
_AFTER_BANDS: dict[str, tuple[str, str]] = {
    "centroid_hz": ("float64", "mean frequency of the same audio, weighted by power"),
    PROBABILITY: ("float64", "one minus the model's probability of the normal class, for the whole recording"),
}
#: IEC 61260-1:2014: the ratio of an octave (base ten), nominal mid-band frequencies, exact ones 1000 Hz · G^x.
_OCTAVE = 10**0.3
_NOMINAL_HZ = {31.5: -5, 63: -4, 125: -3, 250: -2, 500: -1, 1000: 0, 2000: 1, 4000: 2, 8000: 3, 16000: 4}
#: What the threads import.
_IMPORTS = ("auscult.audio.compiled", "scipy.fft", "scipy.ndimage", "scipy.signal")
#: Least width (in octaves) of the part of an octave band that lies in the model's band.
_LEAST_OCTAVES = 1 / 3
#: Least power, relative to full scale or to the whole: silence has finite decibels.
_LEAST_POWER = 1e-20
_BIN_HZ = 4


def octave_bands(low_hz: float, high_hz: float) -> dict[str, tuple[float, float]]:
    """Return the octave bands between two frequencies: column name such as ``band_125_hz`` → edges in Hz.

    Mid-band frequencies and edges are those of IEC 61260-1:2014 (base ten). The first and the last band are cut at
    *low_hz* and *high_hz*, and left out if less than a third of an octave remains.
    """
    bands = {}
    for nominal, steps in _NOMINAL_HZ.items():
        middle = 1000 * _OCTAVE**steps
        low, high = max(middle / _OCTAVE**0.5, low_hz), min(middle * _OCTAVE**0.5, high_hz)
        if high > low and math.log2(high / low) >= _LEAST_OCTAVES:
            bands[f"band_{nominal:g}_hz".replace(".", "_")] = (low, high)
    return bands


def columns(spec: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return type and meaning of the columns of :func:`observe`, for a model with this feature spec."""
    about = {
        name: ("float64", f"power between {low:.0f} and {high:.0f} Hz, in dB of the total power")
        for name, (low, high) in octave_bands(spec["resample"]["low_hz"], spec["resample"]["high_hz"]).items()
    }
    return TEXTS | _BEFORE_BANDS | about | _AFTER_BANDS


def numeric_features(table: pd.DataFrame) -> list[str]:
    """Return the numeric feature columns, in their order."""
    return [str(name) for name in table.columns if name not in TEXTS]


def observe(
    model: TrainedModel, files: Iterable[Path], params: ValidateParams, workers: int, *, base: Path | None = None
) -> pd.DataFrame:
    """Check recordings as ``validate`` does; measure the accepted ones, and predict their class with the model.

    Parameters
    ----------
    model
        Its spec defines resampling and filter; it predicts a class for the whole recording.
    files
        Audio files, in any order.
    params
        The limits of ``validate``.
    workers
        Number of threads.
    base
        Folder that file names are relative to; without it a file has its bare name.

    Returns
    -------
    DataFrame
        One row per file with the :func:`columns`, sorted by name. Files that cannot be decoded or have the audio of
        an earlier one are rejected, never an error; all their features are NaN.
    """
    import pandas as pd

    named = sorted((readable(path.relative_to(base).as_posix() if base else path.name), path) for path in files)
    examined = in_order(partial(_examine, model, params), [path for _, path in named], workers, imports=_IMPORTS)
    progress, rows, seen = Progress("monitor", len(named)), [], set()
    for (name, _), (audio_sha256, row) in zip(named, examined, strict=True):
        if audio_sha256 in seen:
            row = _rejected("duplicate_audio", "the same audio as an earlier file")
        elif not row["rejected"]:
            seen.add(audio_sha256)
        rows.append({"file": name} | row)
        progress.step()
    about = columns(model.spec)
    types = {name: "float64" if kind == "float64" else "str" for name, (kind, _) in about.items()}
    return pd.DataFrame(rows, columns=list(about)).astype(types)


def readable(name: str) -> str:
    r"""Return a file name as text, with bytes that are not UTF-8 escaped as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _examine(model: TrainedModel, params: ValidateParams, path: Path) -> tuple[str, dict[str, Any]]:
    """Return the digest of the audio and the row of one file, without its name."""
    try:
        audio, problems = inspect(path, params)
        if audio is None or problems:
            return "", _rejected(problems[0].reason, problems[0].detail)
        resample = ResampleParams.model_validate(model.spec["resample"])
        sound = condition(path, resample)
        predicted = predict(model, path)[0]
    except (DataError, OSError) as error:  # changed or removed during the examination
        return "", _rejected("unreadable", f"{type(error).__name__} while it was read")
    known = {"rejected": "", "detail": "", "label": predicted.label, "duration_s": audio.duration_s}
    known |= {"sample_rate_hz": float(audio.sample_rate_hz), **_measures(sound, resample)}
    return audio.audio_sha256, known | {PROBABILITY: 1.0 - float(predicted.probabilities[model.task.normal_index])}


def _rejected(reason: str, detail: str) -> dict[str, Any]:
    return {"rejected": reason, "detail": readable(detail), "label": ""}


def _measures(sound: NDArray[np.float32], params: ResampleParams) -> dict[str, float]:
    """Return level, crest factor, octave bands and centroid of audio at the model's rate; finite also for silence."""
    import numpy as np
    from scipy import signal

    power = max(float(np.mean(np.square(sound, dtype=np.float64))), _LEAST_POWER)
    peak = max(float(np.abs(sound).max()) ** 2, power)
    length = min(len(sound), params.sample_rate_hz // _BIN_HZ)
    hz, density = signal.welch(sound, params.sample_rate_hz, nperseg=length, detrend=False)
    whole = max(float(density.sum()), _LEAST_POWER)
    result = {"level_dbfs": _decibels(power), "crest_db": _decibels(peak) - _decibels(power)}
    for name, (low, high) in octave_bands(params.low_hz, params.high_hz).items():
        inside = (hz >= low) & (hz < high)
        result[name] = _decibels(float(density[inside].sum()) / whole)
    return result | {"centroid_hz": float(hz @ density) / whole}


def _decibels(power: float) -> float:
    return 10 * math.log10(max(power, _LEAST_POWER))
