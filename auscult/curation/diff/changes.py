"""Two versions' tables held against each other, table by table and without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.core.records import PARTS
from auscult.core.tasks import Task
from auscult.reporting.data_card.identity import DECIMALS

if TYPE_CHECKING:
    import pandas as pd

#: What can change of a recording: what it is called → its column.
RECORDING_CHANGES = {
    "audio": "audio_sha256",
    "label": "label",
    "patient": "patient_id",
    "device": "device",
    "location": "location",
    "age": "age_years",
    "sex": "sex",
    "published part": "published_part",
    "exempt reason": "exempt_reason",
}
#: What can change of a segment, in this order: its label alone, its times alone, or it is there on one side only.
SEGMENT_CHANGES = ("relabelled", "retimed", "added", "removed")


def changed_recordings(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Recordings that both have, and what of each differs.

    Returns
    -------
    DataFrame
        Index ``recording_id``, sorted; a column of booleans per entry of :data:`RECORDING_CHANGES`; only rows with
        a difference.
    """
    import pandas as pd

    one, other = before.set_index("recording_id"), after.set_index("recording_id")
    common = one.index.intersection(other.index).sort_values()
    one, other = one.loc[common], other.loc[common]
    differs = pd.DataFrame(
        {name: _differs(one[column], other[column]) for name, column in RECORDING_CHANGES.items()}, index=common
    )
    return differs[differs.any(axis=1)]


def _differs(one: pd.Series, other: pd.Series) -> pd.Series:
    """Where two columns of equal index differ; unknown on both sides is no difference."""
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        one, other = one.round(DECIMALS), other.round(DECIMALS)
    one, other = one.astype(object).where(one.notna(), None), other.astype(object).where(other.notna(), None)
    return (one != other) & ~(one.isna() & other.isna())


def changed_segments(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What became of the segments that are not the same on both sides.

    Segments are the same by recording, times and label. Of the others, those of equal times were relabelled, those of
    equal place in their recording and equal label were moved in time, and the rest was added or removed: a number
    within a recording tells nothing by itself, as it shifts with every segment before it.

    Returns
    -------
    DataFrame
        Columns ``recording_id``, ``change`` (of :data:`SEGMENT_CHANGES`), ``before`` and ``after`` (labels).
    """
    import pandas as pd

    one, other = _with_times(before), _with_times(after)
    times, found = ["recording_id", "start", "end"], []
    _, one, other = _paired(one, other, [*times, "label"])
    for change, keys in (("relabelled", times), ("retimed", ["recording_id", "segment_id", "label"])):
        pairs, one, other = _paired(one, other, keys)
        found.append(pairs.assign(change=change))
    found.append(one.assign(change="removed", before=one["label"], after=None))
    found.append(other.assign(change="added", before=None, after=other["label"]))
    columns = ["recording_id", "change", "before", "after"]
    return pd.concat([table[columns].astype(object) for table in found], ignore_index=True)


def _with_times(segments: pd.DataFrame) -> pd.DataFrame:
    """Times as whole millionths of a second, which compare exactly."""
    times = {
        new: (segments[old] * 10**DECIMALS).round().astype("int64")
        for new, old in (("start", "start_s"), ("end", "end_s"))
    }
    return segments[["segment_id", "recording_id", "label"]].assign(**times)


def _paired(one: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows that agree in *keys* with their labels ``before`` and ``after``, and what is left of each side.

    Rows of one side that have all keys in common (two annotators) pair up in their order.
    """
    sides = []
    for table in (one, other):
        table = table.sort_values([*keys, "label"], ignore_index=True)
        sides.append(table.assign(row=table.index, copy=table.groupby(keys).cumcount()))
    one, other = sides
    pairs = one.merge(other, on=[*keys, "copy"], suffixes=("", "_after"))
    pairs = pairs.rename(columns={"label": "before", "label_after": "after"})
    if "label" in keys:
        pairs = pairs.assign(after=pairs["before"])
    rest = (one.drop(index=pairs["row"]), other.drop(index=pairs["row_after"]))
    return pairs, *(table.drop(columns=["row", "copy"]) for table in rest)


def moved(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Recordings of both sides that stand in another part or fold.

    Returns
    -------
    DataFrame
        Columns ``recording_id``, ``patient_id``, ``part_before``, ``part_after``, ``fold_before``, ``fold_after``.
    """
    columns = ["recording_id", "patient_id", "part", "fold"]
    both = before[columns].merge(after[columns], on="recording_id", suffixes=("_before", "_after"))
    both = both[(both["part_before"] != both["part_after"]) | (both["fold_before"] != both["fold_after"])]
    both = both.rename(columns={"patient_id_after": "patient_id"}).drop(columns="patient_id_before")
    return both.sort_values("recording_id", ignore_index=True)


def class_balance(
    tasks: Sequence[Task], recordings: pd.DataFrame, segments: pd.DataFrame, assignment: pd.DataFrame
) -> dict[str, dict[str, dict[str, int]]]:
    """Task → part → class → recordings or segments; parts and classes in their order."""
    part = assignment.set_index("recording_id")["part"]
    balance: dict[str, dict[str, dict[str, int]]] = {}
    for task in tasks:
        units = recordings if task.unit == "recording" else segments
        mapping: dict[str, str | None] = dict(task.mapping)
        names = units["label"].astype(object).map(mapping)
        counts = names.groupby([units["recording_id"].map(part), names]).size().to_dict()
        balance[task.name] = {side: {name: int(counts.get((side, name), 0)) for name in task.classes} for side in PARTS}
    return balance


def part_sizes(recordings: pd.DataFrame, assignment: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Part → recordings, patients and hours; ``all`` for the whole."""
    part = recordings["recording_id"].map(assignment.set_index("recording_id")["part"])
    sides: dict[str, pd.DataFrame] = {"all": recordings, **{name: recordings[part == name] for name in PARTS}}
    return {
        name: {
            "recordings": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "hours": round(float(rows["duration_s"].sum()) / 3600.0, 4),
        }
        for name, rows in sides.items()
    }


def reasons(rejects: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Recording that was set aside → its reasons, each with its detail."""
    found: dict[str, dict[str, str]] = {}
    rows = (rejects[name].tolist() for name in ("recording_id", "reason", "detail"))
    for recording, reason, detail in zip(*rows, strict=True):
        found.setdefault(recording, {})[reason] = detail
    return found
