"""Simulated answers as a side's predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.comparison.figures import Method
from auscult.comparison.revision import Answered
from auscult.evaluation.metrics import Predictions, slug

METHOD = Method(confidence=0.95, resamples=400, seed=43, min_patients=8)


def answered(given: Predictions, model: str = "a model", part: str = "validation") -> Answered:
    """A model's answers as ``predictions.parquet`` holds them, with a baseline that always says the first class."""
    table = pd.DataFrame(
        {
            "unit_id": [f"u{number:05}" for number in range(len(given))],
            "recording_id": [f"r{patient}" for patient in given.patients],
            "start_s": np.arange(len(given), dtype=np.float64),
            "end_s": np.arange(len(given), dtype=np.float64) + 0.9,
            "patient_id": np.asarray(given.patients, dtype=str),
            "part": part,
            "class_index": given.y,
            "predicted": given.predicted,
            "constant": 0,
        }
    )
    for index, name in enumerate(given.task.classes):
        table[f"p_{slug(name)}"] = given.probabilities[:, index]
    return Answered(given.task, table, model, {})
