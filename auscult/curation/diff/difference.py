"""How two versions of a data set differ: what was added, removed, changed, moved and rejected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.core.errors import DataError
from auscult.core.records import PARTS
from auscult.core.tasks import Task
from auscult.curation.diff.version import DataVersion, at_folder, at_revision
from auscult.reporting.data_card.identity import DECIMALS

#: To be raised when a key of :meth:`Difference.to_json` changes its meaning.
SCHEMA = 1
#: What can change of a recording: its name in output → column. ``sequence`` follows from the recording's id, and what
#: another order does to the split is shown as moves.
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
#: What can change of a segment, in this order: its label, its times, or only one version has it.
SEGMENT_CHANGES = ("relabelled", "retimed", "added", "removed")


@dataclass(frozen=True)
class Summary:
    """One of the two versions in numbers.

    Attributes
    ----------
    revision, name, content_sha256, split_sha256
        As in :class:`auscult.curation.diff.version.DataVersion`.
    segments, rejected
        Number of segments, and of rejected recordings.
    parts
        Part (``all`` for the whole) → recordings, patients, hours.
    recording_labels, segment_labels
        Raw label → number of recordings or segments.
    classes
        Task → part → class → number of recordings or segments.
    """

    revision: str
    name: str
    content_sha256: str
    split_sha256: str
    segments: int
    rejected: int
    parts: dict[str, dict[str, float]]
    recording_labels: dict[str, int]
    segment_labels: dict[str, int]
    classes: dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class Move:
    """A recording whose part or fold differs between the versions."""

    recording_id: str
    patient_id: str
    part_before: str
    part_after: str
    fold_before: int
    fold_after: int


@dataclass(frozen=True)
class Difference:
    """From one version of a data set to another; every list is complete and sorted.

    Attributes
    ----------
    recordings_added, recordings_removed, patients_added, patients_removed
        Names, of accepted recordings.
    recordings_changed
        Recording → what of it differs: keys of :data:`RECORDING_CHANGES`, and ``segments``.
    segments
        Change (of :data:`SEGMENT_CHANGES`) → label (``before → after`` if relabelled) → number, including the segments
        of added and removed recordings.
    moves
        Changes of part or fold, of recordings that both versions have.
    rejected
        Recording that is rejected now and was not before, or not for these reasons → reason → detail.
    were_accepted
        Those of them that were accepted before.
    no_longer_rejected, accepted_again
        Recordings that were rejected before, and those of them that are accepted now (the others are gone).
    tasks_changed
        Names of tasks that were added, removed, or have other classes or another mapping.
    """

    dataset: str
    before: Summary
    after: Summary
    recordings_added: list[str]
    recordings_removed: list[str]
    recordings_changed: dict[str, list[str]]
    patients_added: list[str]
    patients_removed: list[str]
    segments: dict[str, dict[str, int]]
    moves: list[Move]
    rejected: dict[str, dict[str, str]]
    were_accepted: list[str]
    no_longer_rejected: list[str]
    accepted_again: list[str]
    tasks_changed: list[str]

    @property
    def same(self) -> bool:
        """Whether both have the same recordings with the same labels in the same parts, and reject the same ones."""
        found = (
            *(self.recordings_added, self.recordings_removed, self.recordings_changed, self.moves, self.rejected),
            *(self.no_longer_rejected, self.tasks_changed),
        )
        return not any(found)

    def to_json(self) -> dict[str, Any]:
        """Return plain data with the version of its schema; names of recordings and patients are in it."""
        return {"schema": SCHEMA, "same": self.same, **asdict(self)}


def diff(before: str, after: str | None, root: Path) -> Difference:
    """Compare the data of two revisions; without a second one, of a revision and the outputs in the workspace.

    Raises
    ------
    AuscultError
        As :func:`auscult.curation.diff.version.at_revision` and :func:`auscult.curation.diff.version.at_folder`.
    """
    old = at_revision(root, before)
    return difference(old, at_folder(root) if after is None else at_revision(root, after))


def difference(before: DataVersion, after: DataVersion) -> Difference:
    """Return how a data set differs from one version to another.

    Raises
    ------
    DataError
        They are versions of two data sets.
    """
    if before.dataset != after.dataset:
        raise DataError(
            f"{before.revision} has the data set {before.dataset}, {after.revision} has {after.dataset}:"
            " only versions of one data set can be compared",
            where="params.yaml: dataset",
            next_step="compare revisions that name the same data set",
        )
    old, new = before.recordings, after.recordings
    segments = _changed_segments(before.segments, after.segments)
    rejected, no_longer = _rejected(before, after)
    accepted = set(new["recording_id"])
    return Difference(
        dataset=before.dataset,
        before=_summary(before),
        after=_summary(after),
        recordings_added=_only_in(new, old, "recording_id"),
        recordings_removed=_only_in(old, new, "recording_id"),
        recordings_changed=_changed(old, new, segments),
        patients_added=_only_in(new, old, "patient_id"),
        patients_removed=_only_in(old, new, "patient_id"),
        segments=_segments_by_label(segments),
        moves=_moves(before.assignment, after.assignment),
        rejected=rejected,
        were_accepted=sorted(set(old["recording_id"]) & rejected.keys()),
        no_longer_rejected=no_longer,
        accepted_again=sorted(accepted.intersection(no_longer)),
        tasks_changed=_tasks_changed(before, after),
    )


def _summary(version: DataVersion) -> Summary:
    return Summary(
        revision=version.revision,
        name=version.name,
        content_sha256=version.content_sha256,
        split_sha256=version.split_sha256,
        segments=len(version.segments),
        rejected=int(version.rejects["recording_id"].nunique()),
        parts=_part_sizes(version.recordings, version.assignment),
        recording_labels=_tally(version.recordings["label"]),
        segment_labels=_tally(version.segments["label"]),
        classes=_class_balance(version.tasks, version.recordings, version.segments, version.assignment),
    )


def _tally(labels: pd.Series) -> dict[str, int]:
    return dict(labels.astype(object).where(labels.notna(), "unknown").value_counts().sort_index().to_dict())


def _only_in(one: pd.DataFrame, other: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(one[column]) - set(other[column]))


def _changed(old: pd.DataFrame, new: pd.DataFrame, segments: pd.DataFrame) -> dict[str, list[str]]:
    """Return recording of both versions → what of it differs, segments last; sorted by recording."""
    one, other = old.set_index("recording_id"), new.set_index("recording_id")
    common = one.index.intersection(other.index)
    one, other = one.loc[common], other.loc[common]
    found = defaultdict[str, list[str]](list)
    for name, column in RECORDING_CHANGES.items():
        for recording in common[_differs(one[column], other[column])]:
            found[recording].append(name)
    for recording in common.intersection(segments["recording_id"].unique()):
        found[recording].append("segments")
    return dict(sorted(found.items()))


def _segments_by_label(segments: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return change → label → number of segments."""
    before, after = segments["before"], segments["after"]
    label = before.where(before == after, before.astype(str) + " → " + after.astype(str))
    label = label.where(before.notna(), after).where(after.notna(), before)
    counts = label.groupby([segments["change"], label]).size().to_dict()
    return {
        change: {name: int(counts[key, name]) for key, name in sorted(counts) if key == change}
        for change in SEGMENT_CHANGES
    }


def _rejected(before: DataVersion, after: DataVersion) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return what is rejected now and was not, or not for these reasons; and what is no longer rejected."""
    was, now = _reasons(before.rejects), _reasons(after.rejects)
    new = {name: found for name, found in sorted(now.items()) if was.get(name, {}).keys() != found.keys()}
    return new, sorted(was.keys() - now.keys())


def _tasks_changed(before: DataVersion, after: DataVersion) -> list[str]:
    one, other = (
        {task.name: replace(task, title="").to_json() for task in version.tasks} for version in (before, after)
    )
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _differs(one: pd.Series, other: pd.Series) -> pd.Series:
    """Return where two columns of equal index differ; two unknown values are equal."""
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        one, other = one.round(DECIMALS), other.round(DECIMALS)
    one, other = one.astype(object).where(one.notna(), None), other.astype(object).where(other.notna(), None)
    return (one != other) & ~(one.isna() & other.isna())


def _changed_segments(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the segments that are not the same in both versions, and what changed.

    Segments are the same if recording, times and label are equal. Of the others, those with equal times were
    relabelled, those with equal number in their recording and equal label were retimed, and the rest were added or
    removed: a number alone does not identify a segment, as it shifts with every segment before it.

    Returns
    -------
    DataFrame
        Columns ``recording_id``, ``change`` (of :data:`SEGMENT_CHANGES`), ``before`` and ``after`` (labels).
    """
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
    """Return the segments with times in whole microseconds, which compare exactly."""
    times = {
        new: (segments[old] * 10**DECIMALS).round().astype("int64")
        for new, old in (("start", "start_s"), ("end", "end_s"))
    }
    return segments[["segment_id", "recording_id", "label"]].assign(**times)


def _paired(one: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return rows that agree in *keys*, with their labels ``before`` and ``after``, and the remaining rows of each.

    Rows of one version with all keys in common (two annotators) are paired in their order.
    """
    tables = []
    for table in (one, other):
        table = table.sort_values([*keys, "label"], ignore_index=True)
        tables.append(table.assign(row=table.index, copy=table.groupby(keys).cumcount()))
    one, other = tables
    pairs = one.merge(other, on=[*keys, "copy"], suffixes=("", "_after"))
    pairs = pairs.rename(columns={"label": "before", "label_after": "after"})
    if "label" in keys:
        pairs = pairs.assign(after=pairs["before"])
    rest = (one.drop(index=pairs["row"]), other.drop(index=pairs["row_after"]))
    return pairs, *(table.drop(columns=["row", "copy"]) for table in rest)


def _moves(before: pd.DataFrame, after: pd.DataFrame) -> list[Move]:
    """Return the recordings of both versions whose part or fold differs, sorted."""
    columns = ["recording_id", "part", "fold"]
    both = after[[*columns, "patient_id"]].merge(before[columns], on="recording_id", suffixes=("_after", "_before"))
    both = both[(both["part_before"] != both["part_after"]) | (both["fold_before"] != both["fold_after"])]
    return [Move(**row) for row in both.sort_values("recording_id").to_dict("records")]


def _class_balance(
    tasks: Sequence[Task], recordings: pd.DataFrame, segments: pd.DataFrame, assignment: pd.DataFrame
) -> dict[str, dict[str, dict[str, int]]]:
    """Return task → part → class → number of recordings or segments, in the order of parts and classes."""
    part = assignment.set_index("recording_id")["part"]
    balance: dict[str, dict[str, dict[str, int]]] = {}
    for task in tasks:
        units = recordings if task.unit == "recording" else segments
        mapping: dict[str, str | None] = dict(task.mapping)
        names = units["label"].astype(object).map(mapping)
        counts = names.groupby([units["recording_id"].map(part), names]).size().to_dict()
        balance[task.name] = {each: {name: int(counts.get((each, name), 0)) for name in task.classes} for each in PARTS}
    return balance


def _part_sizes(recordings: pd.DataFrame, assignment: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return part → recordings, patients and hours; ``all`` for the whole version."""
    part = recordings["recording_id"].map(assignment.set_index("recording_id")["part"])
    groups: dict[str, pd.DataFrame] = {"all": recordings, **{name: recordings[part == name] for name in PARTS}}
    return {
        name: {
            "recordings": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "hours": round(float(rows["duration_s"].sum()) / 3600.0, 4),
        }
        for name, rows in groups.items()
    }


def _reasons(rejects: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return rejected recording → its reasons, each with its detail."""
    found = defaultdict[str, dict[str, str]](dict)
    for recording, reason, detail in rejects[["recording_id", "reason", "detail"]].itertuples(index=False):
        found[recording][reason] = detail
    return found
