"""Cohorts: recordings of one device, one location or one period, which a model may meet for the first time in use.

Patients drawn at random resemble the training patients. Those recorded later, elsewhere or with another device do not,
so the split can hold out a cohort as the test part, and each experiment is assessed on each cohort apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auscult.core.errors import DataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

#: Columns that group recordings into cohorts; ``period`` is that of :func:`periods`.
COHORTS = ("device", "location", "period")
#: Periods of equal numbers of patients.
PERIODS = 4
#: ``split.test`` names a cohort after this.
PREFIX = "cohort:"


def periods(recordings: pd.DataFrame) -> pd.Series:
    """Return the period of each recording: ``period 1`` (oldest) to ``period 4``; missing where the order is unknown.

    Patients are ordered by their first recording and divided into periods of equal size, so a patient's recordings
    have one period.

    Parameters
    ----------
    recordings
        Columns ``patient_id`` and ``sequence`` of the manifest.
    """
    first = recordings.groupby("patient_id")["sequence"].min().dropna()
    order = first.rank(method="first").sub(1).mul(PERIODS / max(len(first), 1)).astype("int64")
    names = order.map(lambda number: f"period {number + 1}").astype(object)
    return recordings["patient_id"].map(names).astype(object)


def held_out_patients(recordings: pd.DataFrame, test: str, test_share: float) -> set[str] | None:
    """Return the patients whom ``split.test`` holds out; ``None`` for ``random``.

    All recordings of a patient are held out with the one that belongs to the cohort.

    Raises
    ------
    DataError
        The order of the recordings is unknown, or all patients belong to the cohort.
    ParameterError
        No recording belongs to a cohort of that name.
    """
    if test == "random":
        return None
    if test == "newest":
        last = recordings.groupby("patient_id")["sequence"].max().dropna()
        if last.nunique() < 2:
            raise DataError(
                "split.test is newest, but the order of the recordings is unknown",
                where="data/<dataset>/manifest/recordings.parquet: sequence",
                next_step="set split.test to random or cohort:<name> in params.yaml",
            )
        ordered = last.sort_index().sort_values(kind="stable").index
        return set(ordered[-max(1, round(test_share * len(ordered))) :])
    name = test.removeprefix(PREFIX)
    table = recordings.assign(period=periods(recordings))
    inside = np.zeros(len(table), dtype=bool)
    known: set[str] = set()
    for column in COHORTS:
        values = table[column].astype(object)
        known |= set(values.dropna().astype(str))
        inside |= (values == name).to_numpy(dtype=bool, na_value=False)
    if name not in known:
        raise unknown_name("cohort", name, sorted(known), where="params.yaml: split.test")
    chosen = set(table.loc[inside, "patient_id"])
    if chosen == set(table["patient_id"]):
        raise DataError(
            f"every patient has a recording of cohort {name!r}, so none is left to train on",
            where="params.yaml: split.test",
            next_step="choose another cohort",
        )
    return chosen
