"""How two versions of a data set differ: what was added, removed, changed, moved and set aside."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from auscult.core.errors import DataError
from auscult.curation.diff import changes

if TYPE_CHECKING:
    import pandas as pd

    from auscult.curation.diff.version import DataVersion

#: Raised when a key of :meth:`Difference.to_json` changes its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Side:
    """One of the two versions.

    Attributes
    ----------
    revision, name, content_sha256, split_sha256
        As in :class:`auscult.curation.diff.version.DataVersion`.
    segments, set_aside
        How many there are.
    parts
        Part (``all`` for the whole) → recordings, patients, hours.
    recording_labels, segment_labels
        Raw label → how many have it.
    classes
        Task → part → class → recordings or segments.
    """

    revision: str
    name: str
    content_sha256: str
    split_sha256: str
    segments: int
    set_aside: int
    parts: dict[str, dict[str, float]]
    recording_labels: dict[str, int]
    segment_labels: dict[str, int]
    classes: dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class Move:
    """A recording that stands in another part or fold than before."""

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
        Names, of what was accepted.
    recordings_changed
        Recording → what of it differs: keys of :data:`auscult.curation.diff.changes.RECORDING_CHANGES`, and ``segments``.
    segments
        Change (of :data:`auscult.curation.diff.changes.SEGMENT_CHANGES`) → label (``before → after`` where relabelled) → how
        many, those of added and removed recordings included.
    moves
        Of recordings that both versions have.
    set_aside
        Recording that is set aside now and was not before, or for other reasons → reason → detail.
    were_accepted
        Those of them that were accepted before.
    no_longer_set_aside, accepted_again
        Recordings that were set aside before, and those of them that are accepted now (the others are gone).
    tasks_changed
        Names of tasks that were added, removed, or have other classes or another mapping.
    """

    dataset: str
    before: Side
    after: Side
    recordings_added: list[str]
    recordings_removed: list[str]
    recordings_changed: dict[str, list[str]]
    patients_added: list[str]
    patients_removed: list[str]
    segments: dict[str, dict[str, int]]
    moves: list[Move]
    set_aside: dict[str, dict[str, str]]
    were_accepted: list[str]
    no_longer_set_aside: list[str]
    accepted_again: list[str]
    tasks_changed: list[str]

    @property
    def same(self) -> bool:
        """Whether the two hold the same recordings with the same labels in the same parts, and set the same aside."""
        found = (
            *(self.recordings_added, self.recordings_removed, self.recordings_changed, self.moves, self.set_aside),
            *(self.no_longer_set_aside, self.tasks_changed),
        )
        return not any(found)

    def to_json(self) -> dict[str, Any]:
        """Plain data with a version number and sorted keys throughout; names of recordings and patients are in it."""
        return {"schema": SCHEMA, "same": self.same, **asdict(self)}

    def summary(self) -> dict[str, Any]:
        """Counts alone, without anybody's name, for a page that others read.

        Returns
        -------
        dict
            ``before`` and ``after``: names of the versions. ``changed``: bool. ``counts``: a list of
            ``{"name": str, "before": int | float | None, "after": int | float | None}``: sizes on both sides, then
            what was added, removed, changed or moved (``after`` alone, only where it is not zero), then the labels
            whose number differs. Names are short: words of this project, and the data set's labels.
        """
        from auscult.curation.diff.wording import counts

        return {"before": self.before.name, "after": self.after.name, "changed": not self.same, "counts": counts(self)}

    def markdown(self, *, names: bool = False) -> str:
        """For a pull request; recordings and patients by name only where *names*: git hosting is no place for them."""
        from auscult.curation.diff.wording import markdown

        return markdown(self, names=names)

    def text(self, *, names: bool = True) -> str:
        """For a terminal."""
        from auscult.curation.diff.wording import text

        return text(self, names=names)


def difference(before: DataVersion, after: DataVersion) -> Difference:
    """What became of a data set from one version to another.

    Raises
    ------
    DataError
        They are versions of two data sets.
    """
    if before.dataset != after.dataset:
        raise DataError(
            f"{before.revision} has the data set {before.dataset}, {after.revision} has {after.dataset}:"
            " two data sets are not versions of each other",
            where="params.yaml: dataset",
            next_step="compare revisions that name the same data set",
        )
    old, new = before.recordings, after.recordings
    segments = changes.changed_segments(before.segments, after.segments)
    set_aside, no_longer = _set_aside(before, after)
    accepted = set(new["recording_id"])
    return Difference(
        dataset=before.dataset,
        before=_side(before),
        after=_side(after),
        recordings_added=_only_in(new, old, "recording_id"),
        recordings_removed=_only_in(old, new, "recording_id"),
        recordings_changed=_changed(old, new, segments),
        patients_added=_only_in(new, old, "patient_id"),
        patients_removed=_only_in(old, new, "patient_id"),
        segments=_tallied(segments),
        moves=[Move(**row) for row in changes.moved(before.assignment, after.assignment).to_dict("records")],
        set_aside=set_aside,
        were_accepted=sorted(set(old["recording_id"]) & set_aside.keys()),
        no_longer_set_aside=no_longer,
        accepted_again=sorted(accepted.intersection(no_longer)),
        tasks_changed=_tasks_changed(before, after),
    )


def _side(version: DataVersion) -> Side:
    return Side(
        revision=version.revision,
        name=version.name,
        content_sha256=version.content_sha256,
        split_sha256=version.split_sha256,
        segments=len(version.segments),
        set_aside=int(version.rejects["recording_id"].nunique()),
        parts=changes.part_sizes(version.recordings, version.assignment),
        recording_labels=_tally(version.recordings["label"]),
        segment_labels=_tally(version.segments["label"]),
        classes=changes.class_balance(version.tasks, version.recordings, version.segments, version.assignment),
    )


def _tally(labels: pd.Series) -> dict[str, int]:
    found = labels.astype(object).where(labels.notna(), "unknown").value_counts()
    return {str(name): int(count) for name, count in sorted(found.items())}


def _only_in(one: pd.DataFrame, other: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(one[column]) - set(other[column]))


def _changed(old: pd.DataFrame, new: pd.DataFrame, segments: pd.DataFrame) -> dict[str, list[str]]:
    """Recording of both sides → what of it differs, segments last."""
    table = changes.changed_recordings(old, new)
    names = list(table.columns)
    found = {
        str(recording): [name for name, differs in zip(names, row, strict=True) if differs]
        for recording, row in zip(table.index, table.to_numpy().tolist(), strict=True)
    }
    for recording in set(segments["recording_id"]) & set(old["recording_id"]) & set(new["recording_id"]):
        found.setdefault(str(recording), []).append("segments")
    return dict(sorted(found.items()))


def _tallied(segments: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Change → label → how many segments."""
    before, after = segments["before"], segments["after"]
    label = before.where(before == after, before.astype(str) + " → " + after.astype(str))
    label = label.where(before.notna(), after).where(after.notna(), before)
    counts = label.groupby([segments["change"], label]).size().to_dict()
    return {
        change: {name: int(counts[key, name]) for key, name in sorted(counts) if key == change}
        for change in changes.SEGMENT_CHANGES
    }


def _set_aside(before: DataVersion, after: DataVersion) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What is set aside now and was not, or not for these reasons; and what no longer is."""
    was, now = changes.reasons(before.rejects), changes.reasons(after.rejects)
    new = {name: found for name, found in sorted(now.items()) if was.get(name, {}).keys() != found.keys()}
    return new, sorted(was.keys() - now.keys())


def _tasks_changed(before: DataVersion, after: DataVersion) -> list[str]:
    one, other = ({task.name: replace(task, title="").to_json() for task in side.tasks} for side in (before, after))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
