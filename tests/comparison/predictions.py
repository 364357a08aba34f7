"""Simulated predictions as an evaluated experiment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.comparison.differences import Evaluated, Method
from auscult.evaluation.metrics import Predictions, slug

METHOD = Method(confidence=0.95, resamples=400, seed=43, min_patients=8)


def evaluated(given: Predictions, model: str = "a model", part: str = "validation") -> Evaluated:
    """Return predictions as in ``predictions.parquet``, with a baseline that always predicts the first class."""
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
    return Evaluated(given.task, table, model, {})
