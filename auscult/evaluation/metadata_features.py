"""What is known of a recording without hearing it: device, location, age, sex, duration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auscult.evaluation.metrics import Floats

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES = ("device", "location", "sex")
NUMBERS = ("age_years", "duration_s")


@dataclass(frozen=True)
class Encoder:
    """Turns circumstances into numbers by what the training part holds.

    Attributes
    ----------
    levels
        The values of each category that occur in training; another value is all zeros.
    medians, scales
        Of the numbers, over training; an unknown number is at the median, and marked.
    """

    levels: dict[str, tuple[str, ...]]
    medians: dict[str, float]
    scales: dict[str, float]

    @classmethod
    def fit(cls, units: pd.DataFrame) -> Encoder:
        """Learn levels and scales from the training units."""
        levels = {name: tuple(sorted(set(units[name].dropna().astype(str)))) for name in CATEGORIES}
        numbers = {name: _numbers(units, name) for name in NUMBERS}
        known = {name: values[np.isfinite(values)] for name, values in numbers.items()}
        medians = {name: float(np.median(values)) if len(values) else 0.0 for name, values in known.items()}
        spreads = {name: float(values.std()) if len(values) else 0.0 for name, values in known.items()}
        return cls(levels, medians, {name: spread or 1.0 for name, spread in spreads.items()})

    def encode(self, units: pd.DataFrame) -> Floats:
        """Shape (units, columns): one 0/1 column per level, then each number standardised and whether it is unknown."""
        columns = []
        for name, levels in self.levels.items():
            values = units[name].astype(object).where(units[name].notna(), None)
            columns += [(values == level).to_numpy(dtype=np.float64) for level in levels]
        for name in NUMBERS:
            values = _numbers(units, name)
            unknown = ~np.isfinite(values)
            scaled = (np.where(unknown, self.medians[name], values) - self.medians[name]) / self.scales[name]
            columns += [scaled, unknown.astype(np.float64)]
        return np.stack(columns, axis=1)


def _numbers(units: pd.DataFrame, name: str) -> Floats:
    return units[name].to_numpy(dtype=np.float64, na_value=np.nan)
