"""``auscult data diff``: the difference between two versions as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from auscult.curation.diff.difference import RECORDING_CHANGES, SEGMENT_CHANGES, Difference, Summary, difference
from auscult.curation.diff.version import at_folder, at_revision
from auscult.reporting.markdown import escape, table

#: Number of names that a list shows; the JSON has all of them.
SHOWN = 20
Row = tuple[str, float | None, float | None]


def diff(
    before: str, after: str | None, form: Literal["text", "markdown", "json"], root: Path | None = None
) -> tuple[str, bool]:
    """Compare the data of two revisions; without a second one, of a revision and the outputs in the workspace.

    Returns
    -------
    text : str
        The difference in the form that was asked for. Markdown names no recordings or patients.
    same : bool
        Whether the two are the same.

    Raises
    ------
    AuscultError
        As :func:`auscult.curation.diff.version.at_revision` and :func:`auscult.curation.diff.version.at_folder`.
    """
    root = root or Path.cwd()
    old = at_revision(root, before)
    found = difference(old, at_folder(root) if after is None else at_revision(root, after))
    if form == "json":
        return json.dumps(found.to_json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False), found.same
    return markdown(found).rstrip("\n") if form == "markdown" else text(found), found.same


def summary(difference: Difference) -> dict[str, Any]:
    """Return counts alone, without names of recordings or patients, for a page that others read.

    Returns
    -------
    dict
        ``before`` and ``after``: names of the versions. ``changed``: bool. ``counts``: a list of
        ``{"name": str, "before": int | float | None, "after": int | float | None}``: sizes of both versions, then
        what was added, removed, changed or moved (``after`` alone, only if it is not zero), then the labels whose
        number differs.
    """
    rows = (*_sizes(difference), *_changes(difference), *_labels(difference))
    counts = [{"name": name, "before": before, "after": after} for name, before, after in rows]
    names = {"before": difference.before.name, "after": difference.after.name}
    return {**names, "changed": not difference.same, "counts": counts}


def markdown(difference: Difference, *, names: bool = False) -> str:
    """Return tables for a pull request; recordings and patients are named only if *names*, as the page is public."""
    before, after = difference.before, difference.after
    title = f"### Data: `{before.name}` → `{after.name}`"
    if difference.same:
        return f"{title}\n\nThe same recordings, labels and parts.\n"
    blocks = [
        title,
        table(("", before.revision, after.revision, "difference"), map(_cells, _sizes(difference))),
        "\n".join(f"- {escape(name)}: {_number(count)}" for name, _, count in _changes(difference)),
    ]
    if labels := _labels(difference):
        blocks.append(table(("labels", "before", "after", "difference"), map(_cells, labels)))
    if balance := _balance(difference):
        head = ("task", "part", "class", "before", "after", "difference")
        rows = ((*row[0], *_cells(("", *row[1:]))[1:]) for row in balance)
        blocks.append(_details("Class balance, where it differs", table(head, rows, words=3)))
    if names:
        lists = ((what, list(each)) for what, each in _lists(difference))
        blocks += [_details(f"{what} ({len(each)})", _shortened(map(escape, each), "- ")) for what, each in lists]
    return "\n\n".join(block for block in blocks if block) + "\n"


def text(difference: Difference, *, names: bool = True) -> str:
    """Return lines for a terminal."""
    before, after = difference.before, difference.after
    lines = [f"{before.revision} ({before.name}) → {after.revision} ({after.name})"]
    if difference.same:
        return "\n".join([*lines, "the same recordings, labels and parts"])
    lines += ["", *_aligned([("", "before", "after", ""), *map(_cells, _sizes(difference))])]
    lines += ["", *(f"{name}: {_number(count)}" for name, _, count in _changes(difference))]
    if labels := _labels(difference):
        lines += ["", *_aligned([("labels", "before", "after", ""), *map(_cells, labels)])]
    if balance := _balance(difference):
        rows = [(" ".join(row[0]), *row[1:]) for row in balance]
        lines += ["", *_aligned([("class balance", "before", "after", ""), *map(_cells, rows)])]
    for what, each in _lists(difference) if names else ():
        listed = list(each)
        lines += ["", f"{what} ({len(listed)})", _shortened(listed, "  ")]
    return "\n".join(lines)


def _sizes(difference: Difference) -> list[Row]:
    """Return the sizes of both versions; those of a part only if they differ."""

    def of(version: Summary) -> dict[str, float]:
        parts = {
            f"{name} {what}": value
            for name, sizes in version.parts.items()
            for what, value in sizes.items()
            if name != "all"
        }
        return {**version.parts["all"], "segments": version.segments, "rejected": version.rejected, **parts}

    before, after = of(difference.before), of(difference.after)
    whole = {*difference.before.parts["all"], "segments", "rejected"}
    return [(name, before[name], after[name]) for name in before if name in whole or before[name] != after[name]]


def _changes(difference: Difference) -> list[Row]:
    """Return what was added, removed, changed, moved, rejected: counts that are not zero."""
    changed = Counter(what for each in difference.recordings_changed.values() for what in each)
    moved = Counter((move.part_before, move.part_after) for move in difference.moves)
    folds = sum(count for (one, other), count in moved.items() if one == other)
    rejected = Counter(reason for each in difference.rejected.values() for reason in each)
    found = [
        ("recordings added", len(difference.recordings_added)),
        ("recordings removed", len(difference.recordings_removed)),
        ("recordings changed", len(difference.recordings_changed)),
        *((f"recordings with another {what}", changed[what]) for what in RECORDING_CHANGES),
        ("recordings with other segments", changed["segments"]),
        ("patients added", len(difference.patients_added)),
        ("patients removed", len(difference.patients_removed)),
        *((f"segments {change}", sum(difference.segments[change].values())) for change in SEGMENT_CHANGES),
        *((f"recordings moved from {a} to {b}", count) for (a, b), count in sorted(moved.items()) if a != b),
        ("recordings moved to another fold", folds),
        ("recordings newly rejected", len(difference.rejected)),
        *((f"newly rejected: {reason}", count) for reason, count in sorted(rejected.items())),
        ("of these accepted before", len(difference.were_accepted)),
        ("recordings accepted again", len(difference.accepted_again)),
        ("tasks with another definition", len(difference.tasks_changed)),
    ]
    return [(name, None, count) for name, count in found if count]


def _labels(difference: Difference) -> list[Row]:
    rows: list[Row] = []
    for what in ("recording", "segment"):
        before: Mapping[str, int] = getattr(difference.before, f"{what}_labels")
        after: Mapping[str, int] = getattr(difference.after, f"{what}_labels")
        for label in sorted(before.keys() | after.keys()):
            rows.append((f"{what}s: {label}", before.get(label, 0), after.get(label, 0)))
    return [row for row in rows if row[1] != row[2]]


def _balance(difference: Difference) -> list[tuple[tuple[str, str, str], int, int]]:
    """Return (task, part, class), before, after, where the two differ."""
    rows = []
    before, after = difference.before.classes, difference.after.classes
    for task in dict.fromkeys((*before, *after)):
        one, other = before.get(task, {}), after.get(task, {})
        for part in dict.fromkeys((*one, *other)):
            for name in dict.fromkeys((*one.get(part, {}), *other.get(part, {}))):
                row = ((task, part, name), one.get(part, {}).get(name, 0), other.get(part, {}).get(name, 0))
                rows += [row] if row[1] != row[2] else []
    return rows


def _lists(difference: Difference) -> list[tuple[str, Iterable[str]]]:
    """Return the title and the entries of each list that is not empty."""
    changed = (f"{name}: {', '.join(what)}" for name, what in difference.recordings_changed.items())
    moved = (
        f"{move.recording_id}: {_place(move.part_before, move.fold_before)} →"
        f" {_place(move.part_after, move.fold_after)}"
        for move in difference.moves
    )
    accepted = set(difference.were_accepted)
    rejected = (
        f"{name}: {'; '.join(f'{reason}, {detail}' for reason, detail in found.items())}"
        + (" (accepted before)" if name in accepted else "")
        for name, found in difference.rejected.items()
    )
    segments = (
        f"{label}: {count} {change}" for change, found in difference.segments.items() for label, count in found.items()
    )
    lists = [
        ("Recordings added", difference.recordings_added),
        ("Recordings removed", difference.recordings_removed),
        ("Recordings changed", list(changed)),
        ("Segments by label", list(segments)),
        ("Patients added", difference.patients_added),
        ("Patients removed", difference.patients_removed),
        ("Moved", list(moved)),
        ("Newly rejected", list(rejected)),
        ("Accepted again", difference.accepted_again),
        ("Tasks with another definition", difference.tasks_changed),
    ]
    return [(what, each) for what, each in lists if each]


def _place(part: str, fold: int) -> str:
    return part if fold < 0 else f"{part} (fold {fold})"


def _cells(row: tuple[str, float | None, float | None]) -> tuple[str, str, str, str]:
    name, before, after = row
    change = "" if before is None or after is None or before == after else _number(after - before, sign="+")
    return name, _number(before), _number(after), change


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:{sign},}"
    return f"{value:{sign},.{2 if abs(value) >= 1 else 4}f}"  # hours: of a small change the seconds matter


def _shortened(entries: Iterable[str], bullet: str) -> str:
    listed = list(entries)
    more = [f"{bullet}… and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    return "\n".join([*(f"{bullet}{entry}" for entry in listed[:SHOWN]), *more])


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()
        for row in rows
    ]


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
