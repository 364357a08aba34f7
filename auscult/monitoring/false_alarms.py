"""Measure how often the monitor reports drift where there is none, with the present data and limits.

    python -m auscult.monitoring.false_alarms [--experiment NAME] [--recordings 60] [--weeks 200] [--gain DB]

Weeks are made of recordings that the model learned from: patients are drawn until there are enough recordings, and
compared with the recordings of all other patients. Such a week has no drift. With a gain every recording of the week
is that much louder, and the result is how often this drift is detected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp

from auscult.core.errors import DataError
from auscult.monitoring import steps
from auscult.monitoring.drift import compare
from auscult.monitoring.observe import numeric_features
from auscult.settings import MonitorSettings

if TYPE_CHECKING:
    import pandas as pd

_SEED = 53


@dataclass(frozen=True)
class Alarms:
    """How many simulated weeks were reported as drift; ``str()`` is the result for a terminal."""

    weeks: int
    recordings: int
    gain_db: float
    #: Weeks in which the monitor reported drift.
    alarms: int
    #: Weeks in which a test that takes recordings as independent found a feature that drifts.
    independent: int
    #: Name of what drifted → weeks, the most frequent first.
    drifted: dict[str, int]

    def __str__(self) -> str:
        change = f"{self.gain_db:g} dB louder" if self.gain_db else "without drift"
        lines = [
            f"drift reported in {self.alarms} of {self.weeks} weeks of {self.recordings} recordings {change}",
            *(f"  {name}: {count}" for name, count in self.drifted.items()),
            f"a test that takes recordings as independent: in {self.independent}",
        ]
        return "\n".join(lines)


def measure(*, experiment: str | None = None, recordings: int = 60, weeks: int = 200, gain_db: float = 0.0) -> Alarms:
    """Simulate *weeks* of *recordings* each, *gain_db* louder; count those that the monitor reports as drift.

    Parameters
    ----------
    experiment
        Whose model is used; by default the first of ``retrain.experiments`` in ``flows/settings.yaml``.

    Raises
    ------
    AuscultError
        As :func:`auscult.monitoring.steps.monitor` raises, or there are too few recordings for such weeks.
    """
    monitored = steps.load_model(experiment)
    limits = monitored.limits.model_copy(update={"min_recordings": 1})
    alarms, naive, drifted = 0, 0, Counter[str]()
    for reference, week in draw_weeks(steps.observe_reference(monitored).table, recordings, weeks):
        week["level_dbfs"] += gain_db
        found = compare(reference, week, 0.0, limits).drifted
        alarms += bool(found)
        naive += independent(reference, week, limits)
        drifted.update(found)
    return Alarms(weeks, recordings, gain_db, alarms, naive, dict(drifted.most_common()))


def draw_weeks(table: pd.DataFrame, recordings: int, count: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield pairs (reference, week) with different patients, drawn with a fixed seed.

    The last patient of a week may come with only some recordings.

    Parameters
    ----------
    table
        Of :class:`auscult.monitoring.reference.Reference`.
    recordings, count
        Number of recordings of a week; number of weeks.

    Raises
    ------
    DataError
        The table holds less than twice as many recordings.
    """
    accepted = table[table["rejected"] == ""].reset_index(drop=True)
    if len(accepted) < 2 * recordings:
        raise DataError(
            f"{len(accepted)} recordings are too few to draw weeks of {recordings} and compare them with the others",
            where="--recordings",
            next_step=f"--recordings {max(1, len(accepted) // 2)}, or fewer",
        )
    rng = np.random.default_rng(_SEED)
    rows = accepted.groupby("patient").indices
    for _ in range(count):
        order = rng.permutation(sorted(rows))
        sizes = np.array([len(rows[patient]) for patient in order])
        chosen = order[np.cumsum(sizes) - sizes < recordings]
        week = np.concatenate([rows[patient] for patient in chosen])[:recordings]
        yield accepted[~accepted["patient"].isin(chosen)], accepted.loc[week].drop(columns="patient")


def independent(reference: pd.DataFrame, week: pd.DataFrame, limits: MonitorSettings) -> bool:
    """Return whether a test that takes recordings as independent finds a feature that drifts.

    The two-sample Kolmogorov-Smirnov test with Bonferroni's correction, for comparison only.
    """
    names = numeric_features(week)
    found = (ks_2samp(reference[name], week[name], method="asymp") for name in names)
    level = limits.max_p_value / len(names)
    return any(each.statistic > limits.max_distance and each.pvalue < level for each in found)
