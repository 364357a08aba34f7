"""Ages and sexes of patients in groups that point at nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Fewer patients than this are not told apart: the card lies in git, and who knows that somebody took part could
#: read what else it says of a group of one.
SMALLEST = 3
#: Shares of patients are shown in steps of so many per cent.
STEP = 5
#: Where age groups begin, in years.
AGES = (0, 2, 6, 12, 18, 30, 45, 60, 75)


def age_groups(recordings: pd.DataFrame) -> dict[str, int]:
    """Group of ages, in words → patients; neighbours are joined until none holds fewer than :data:`SMALLEST`.

    A patient counts once, at the age of the first recording. Empty where ages of fewer are known.
    """
    ages = recordings.groupby("patient_id")["age_years"].min().dropna()
    if len(ages) < SMALLEST:
        return {}
    groups: list[list[int]] = []  # of first lower bound, number of bounds passed, patients
    for index, low in enumerate(AGES):
        high = AGES[index + 1] if index + 1 < len(AGES) else float("inf")
        count = int(((ages >= low) & (ages < high)).sum())
        if groups and groups[-1][2] < SMALLEST:
            groups[-1][1:] = [index + 1, groups[-1][2] + count]
        else:
            groups.append([low, index + 1, count])
    while len(groups) > 1 and groups[-1][2] < SMALLEST:
        _, end, count = groups.pop()
        groups[-1][1:] = [end, groups[-1][2] + count]
    return {_words(low, end): count for low, end, count in groups}


def _words(low: int, end: int) -> str:
    if end == len(AGES):
        return f"{low} and older"
    return f"{low} to under {AGES[end]}"


def sexes(recordings: pd.DataFrame) -> dict[str, int]:
    """Sex → patients; empty where one of them has fewer than :data:`SMALLEST`."""
    known = recordings.dropna(subset=["sex"]).groupby("patient_id")["sex"].first()
    found = {str(name): int(count) for name, count in sorted(known.value_counts().items())}
    return {} if any(count < SMALLEST for count in found.values()) else found
