"""Simulated observations of recordings, and limits for their comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.monitoring.observe import PROBABILITY
from auscult.settings import MonitorSettings

LIMITS = MonitorSettings(
    min_recordings=30, max_distance=0.3, max_p_value=0.01, max_class_psi=0.25, max_rejected_more=0.1
)
BANDS = [f"band_{hz}_hz" for hz in (63, 125, 250, 500, 1000, 2000)]


def recordings(n: int, seed: int, *, per_patient: int = 1) -> pd.DataFrame:
    """Return observations with correlated bands, three sample rates, and mostly normal predictions.

    With *per_patient* above one, recordings of one patient are correlated.
    """
    rng = np.random.default_rng(seed)
    patient = np.arange(n) // per_patient

    def values(spread: float) -> np.ndarray:
        between = rng.normal(0, 1, n)[patient] if per_patient > 1 else 0.0
        within = rng.normal(0, 1, n)
        return spread * (0.8 * between + 0.6 * within if per_patient > 1 else within)

    tilt = values(4.0)
    table = pd.DataFrame({"file": [f"{seed}/{i:04d}.wav" for i in range(n)], "rejected": "", "detail": ""})
    table["label"] = rng.choice(["normal", "crackle", "wheeze", "both"], n, p=[0.6, 0.2, 0.15, 0.05])
    table["duration_s"] = 15.0 + values(2.0)
    table["sample_rate_hz"] = rng.choice([4000.0, 10000.0, 44100.0], n)
    table["level_dbfs"] = -28.0 + values(4.0)
    table["crest_db"] = 20.0 + values(3.0)
    for index, band in enumerate(BANDS):
        table[band] = -5.0 * index + tilt * (index - 2.5) / 2.5 + values(1.5)
    table["centroid_hz"] = 200.0 * np.exp(tilt / 8)
    table[PROBABILITY] = 1 / (1 + np.exp(-values(1.5)))
    return table.assign(patient=patient.astype(str))


def week(n: int = 60, seed: int = 1) -> pd.DataFrame:
    return recordings(n, seed).drop(columns="patient")
