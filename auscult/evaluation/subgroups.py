"""The score within subgroups: a model can be right on the whole and wrong for some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.evaluation.bootstrap import figures_with_intervals, patient_weights
from auscult.evaluation.metrics import Answers

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Fewer patients than this make no figure worth an interval.
FEWEST_PATIENTS = 5
#: Age groups: the first year in each, and its name.
AGES = (
    (0, "under 1 year"),
    (1, "1 to 4 years"),
    (5, "5 to 11 years"),
    (12, "12 to 17 years"),
    (18, "18 to 39 years"),
    (40, "40 to 64 years"),
    (65, "65 years and over"),
)
UNKNOWN = "unknown"


def age_group(age_years: float) -> str:
    """The name of the group that an age in years falls into; ``unknown`` for NaN."""
    if not age_years >= 0:
        return UNKNOWN
    return next(name for first, name in reversed(AGES) if age_years >= first)


def groups(table: pd.DataFrame) -> Iterator[tuple[str, list[tuple[str, NDArray[np.bool_]]]]]:
    """Each way to group units, with the mask (n,) of each of its groups; ages in order, others by name."""
    ages = np.array([age_group(value) for value in table["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)])
    columns = {
        "device": table["device"].fillna(UNKNOWN).to_numpy(dtype=str),
        "location": table["location"].fillna(UNKNOWN).to_numpy(dtype=str),
        "age": ages,
        "sex": table["sex"].fillna(UNKNOWN).to_numpy(dtype=str),
    }
    order = {name: index for index, (_, name) in enumerate(AGES)} | {UNKNOWN: len(AGES)}
    for kind, values in columns.items():
        names = sorted(set(values.tolist()), key=lambda name: (order.get(name, 0) if kind == "age" else 0, name))
        yield kind, [(name, values == name) for name in names]


def by_subgroup(
    answers: Answers, table: pd.DataFrame, resamples: int, confidence: float, seed: int, part: str
) -> dict[str, list[dict[str, Any]]]:
    """Units, patients and score of each subgroup, as plain data.

    Parameters
    ----------
    answers
        n units of one part.
    table
        Their ``device``, ``location``, ``age_years``, ``sex``.
    """
    result: dict[str, list[dict[str, Any]]] = {}
    for kind, members in groups(table):
        result[kind] = []
        for name, mask in members:
            inside = answers.where(mask)
            patients = len(set(inside.patients))
            normal = int((inside.y == answers.task.normal_index).sum())
            entry: dict[str, Any] = {"group": name, "units": len(inside), "normal": normal, "patients": patients}
            if patients < FEWEST_PATIENTS:
                entry["note"] = f"too few: {patients} patient{'s' if patients != 1 else ''}"
            weights = patient_weights(inside.patients, resamples, seed)
            figures, _ = figures_with_intervals(inside, weights, confidence, f"{name} of the {part}")
            entry["score"] = figures["score"]
            entry["accuracy"] = figures["accuracy"]
            result[kind].append(entry)
    return result
