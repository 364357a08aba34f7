"""Which unit of base is which unit of head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from auscult.comparison.revision import Answered


def aligned(base: Answered, head: Answered, old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The units that both hold with the same label, in one order; classes are compared by name."""
    old, new = _keyed(base, old), _keyed(head, new)
    both = old.index.intersection(new.index)
    old, new = old.loc[both], new.loc[both]
    # Whose recordings these are the head says: the same patients are drawn for both.
    return old.assign(patient_id=new["patient_id"].to_numpy()), new


def _keyed(side: Answered, table: pd.DataFrame) -> pd.DataFrame:
    """A table under what makes a unit the same on both sides, sorted.

    A segment's name numbers the segments of its recording: one that is annotated before it gives it another name, and
    its name to its neighbour. It is known by its recording and its times.
    """
    table = table.sort_values("unit_id")
    label = np.array(side.task.classes, dtype=object)[table["class_index"].to_numpy()]
    if side.task.unit == "segment":
        times = {name: (table[name] * 1000.0).round().astype("int64") for name in ("start_s", "end_s")}
        keys = table[["recording_id"]].assign(**times, label=label)
    else:
        keys = table[["unit_id"]].assign(label=label)
    keys["number"] = keys.groupby(list(keys.columns)).cumcount()  # of two with the same times and label
    return table.set_index([keys[name] for name in keys.columns]).sort_index()
