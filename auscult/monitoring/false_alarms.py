"""How often the monitor would call drift where there is none, with this data and these limits.

    python -m auscult.monitoring.false_alarms [--experiment NAME] [--recordings 60] [--weeks 200] [--gain DB]

Weeks are made of recordings that the model learned from: patients are drawn until there are enough
recordings, and compared with those of all other patients. Nothing has changed in such a week, unless a gain
is given: then every recording of it is that much louder, and the question is how often this is found.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from auscult.core.errors import DataError
from auscult.core.process import run
from auscult.monitoring import steps
from auscult.monitoring.drift import compare
from auscult.monitoring.observe import numeric_features
from auscult.settings import MonitorSettings

if TYPE_CHECKING:
    import pandas as pd

_SEED = 53


def weeks(table: pd.DataFrame, recordings: int, count: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Pairs (reference, week) of different patients, drawn by a fixed seed.

    Parameters
    ----------
    table
        Of :func:`auscult.monitoring.reference.reference`.
    recordings
        Of a week; its last patient may come with some of hers only.

    Raises
    ------
    DataError
        The table holds less than twice as many recordings.
    """
    sound = table[table["rejected"] == ""].reset_index(drop=True)
    if len(sound) < 2 * recordings:
        raise DataError(
            f"{len(sound)} recordings are too few to draw weeks of {recordings} from and compare them with the others",
            where="--recordings",
            next_step=f"--recordings {max(1, len(sound) // 2)}, or fewer",
        )
    rng = np.random.default_rng(_SEED)
    rows = sound.groupby("patient").indices
    for _ in range(count):
        order = rng.permutation(sorted(rows))
        sizes = np.array([len(rows[patient]) for patient in order])
        chosen = order[np.cumsum(sizes) - sizes < recordings]
        week = np.concatenate([rows[patient] for patient in chosen])[:recordings]
        yield sound[~sound["patient"].isin(chosen)], sound.loc[week].drop(columns="patient")


def independent(reference: pd.DataFrame, week: pd.DataFrame, limits: MonitorSettings) -> bool:
    """Whether a test that takes recordings for independent finds a feature that drifts.

    Kolmogorov and Smirnov's two-sample test, its p-value against Bonferroni's share; for comparison only.
    """
    from scipy.stats import ks_2samp

    names = numeric_features(week)
    found = (ks_2samp(reference[name], week[name], method="asymp") for name in names)
    level = limits.max_p_value / len(names)
    return any(each.statistic > limits.max_distance and each.pvalue < level for each in found)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m auscult.monitoring.false_alarms",
        description="How often the monitor would call drift for nothing.",
    )
    parser.add_argument("--experiment", help="whose model (default: the first of flows.retrain.experiments)")
    parser.add_argument("--recordings", type=int, default=60, help="of a week (default: 60)")
    parser.add_argument("--weeks", type=int, default=200, help="how many are drawn (default: 200)")
    parser.add_argument("--gain", type=float, default=0.0, help="dB by which each week is made louder (default: 0)")
    arguments = parser.parse_args()
    watched = steps.subject(arguments.experiment)
    table = steps.learned(watched).table
    limits = watched.limits.model_copy(update={"min_recordings": 1})
    alarms, naive, named = 0, 0, Counter[str]()
    for reference, week in weeks(table, arguments.recordings, arguments.weeks):
        week["level_dbfs"] += arguments.gain
        drifted = compare(reference, week, 0.0, limits).drifted
        alarms += bool(drifted)
        naive += independent(reference, week, limits)
        named.update(drifted)
    change = f"{arguments.gain:g} dB louder" if arguments.gain else "without drift"
    print(f"drift called in {alarms} of {arguments.weeks} weeks of {arguments.recordings} recordings {change}")
    for name, count in named.most_common():
        print(f"  {name}: {count}")
    print(f"a test that takes recordings for independent: in {naive}")


if __name__ == "__main__":
    run(main)
