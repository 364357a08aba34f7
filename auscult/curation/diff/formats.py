"""The difference between two versions of a data set as text, as Markdown, and as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auscult.curation.diff.difference import RECORDING_CHANGES, SEGMENT_CHANGES, Difference, Summary
from auscult.reporting.markdown import escape, table

#: Number of names that a list shows; the JSON has all of them.
SHOWN = 20
#: Name, value before, value after.
Row = tuple[str, float | None, float | None]


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


def markdown(difference: Difference) -> str:
    """Return tables for a pull request. The page is public: recordings and patients are not named."""
    before, after = difference.before, difference.after
    title = f"### Data: `{before.name}` → `{after.name}`"
    if difference.same:
        return f"{title}\n\nThe same recordings, labels and parts."
    blocks = [
        title,
        table(("", before.revision, after.revision, "difference"), map(_cells, _sizes(difference))),
        "\n".join(f"- {escape(name)}: {_number(count)}" for name, _, count in _changes(difference)),
    ]
    if labels := _labels(difference):
        blocks.append(table(("labels", "before", "after", "difference"), map(_cells, labels)))
    if balance := _balance(difference):
        head = ("task", "part", "class", "before", "after", "difference")
        rows = ((*names, *_cells(("", one, other))[1:]) for names, one, other in balance)
        details = "<details><summary>Class balance, where it differs</summary>\n\n{}\n\n</details>"
        blocks.append(details.format(table(head, rows, words=3)))
    return "\n\n".join(block for block in blocks if block)


def text(difference: Difference) -> str:
    """Return lines for a terminal."""
    before, after = difference.before, difference.after
    lines = [f"{before.revision} ({before.name}) → {after.revision} ({after.name})"]
    if difference.same:
        return "\n".join([*lines, "the same recordings, labels and parts"])
    lines += ["", *_aligned("", _sizes(difference))]
    lines += ["", *(f"{name}: {_number(count)}" for name, _, count in _changes(difference))]
    balance: list[Row] = [(" ".join(names), one, other) for names, one, other in _balance(difference)]
    for title, rows in (("labels", _labels(difference)), ("class balance", balance)):
        lines += ["", *_aligned(title, rows)] if rows else []
    for title, entries in _lists(difference).items():
        more = [f"  … and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
        lines += ["", f"{title} ({len(entries)})", *(f"  {entry}" for entry in entries[:SHOWN]), *more]
    return "\n".join(lines)


def _sizes(difference: Difference) -> list[Row]:
    """Return the sizes of both versions; those of a part only if they differ."""

    def of(version: Summary) -> dict[str, float]:
        whole = version.parts["all"] | {"segments": version.segments, "rejected": version.rejected}
        parts = {name: sizes for name, sizes in version.parts.items() if name != "all"}
        return whole | {f"{name} {what}": value for name, sizes in parts.items() for what, value in sizes.items()}

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
    """Return the labels whose number of recordings or segments differs."""
    one, other = difference.before, difference.after
    pairs = {
        "recordings": (one.recording_labels, other.recording_labels),
        "segments": (one.segment_labels, other.segment_labels),
    }
    return [
        (f"{what}: {label}", before.get(label, 0), after.get(label, 0))
        for what, (before, after) in pairs.items()
        for label in sorted(before.keys() | after.keys())
        if before.get(label) != after.get(label)
    ]


def _balance(difference: Difference) -> list[tuple[tuple[str, str, str], int, int]]:
    """Return (task, part, class), before, after, where the two differ."""

    def flat(classes: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[tuple[str, str, str], int]:
        parts = ((task, part, counts) for task, each in classes.items() for part, counts in each.items())
        return {(task, part, name): count for task, part, counts in parts for name, count in counts.items()}

    before, after = flat(difference.before.classes), flat(difference.after.classes)
    rows = ((names, before.get(names, 0), after.get(names, 0)) for names in dict.fromkeys((*before, *after)))
    return [row for row in rows if row[1] != row[2]]


def _lists(difference: Difference) -> dict[str, Sequence[str]]:
    """Return title → entries of each list that is not empty."""

    def place(part: str, fold: int) -> str:
        return part if fold < 0 else f"{part} (fold {fold})"

    accepted = set(difference.were_accepted)
    lists: dict[str, Sequence[str]] = {
        "Recordings added": difference.recordings_added,
        "Recordings removed": difference.recordings_removed,
        "Recordings changed": [f"{name}: {', '.join(what)}" for name, what in difference.recordings_changed.items()],
        "Segments by label": [
            f"{label}: {n} {change}" for change, found in difference.segments.items() for label, n in found.items()
        ],
        "Patients added": difference.patients_added,
        "Patients removed": difference.patients_removed,
        "Moved": [
            f"{m.recording_id}: {place(m.part_before, m.fold_before)} → {place(m.part_after, m.fold_after)}"
            for m in difference.moves
        ],
        "Newly rejected": [
            f"{name}: {'; '.join(f'{reason}, {detail}' for reason, detail in found.items())}"
            + (" (accepted before)" if name in accepted else "")
            for name, found in difference.rejected.items()
        ],
        "Accepted again": difference.accepted_again,
        "Tasks with another definition": difference.tasks_changed,
    }
    return {title: entries for title, entries in lists.items() if entries}


def _cells(row: Row) -> tuple[str, str, str, str]:
    name, before, after = row
    change = "" if before is None or after is None or before == after else _number(after - before, sign="+")
    return name, _number(before), _number(after), change


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:{sign},}"
    return f"{value:{sign},.{2 if abs(value) >= 1 else 4}f}"  # hours: of a small change the seconds matter


def _aligned(title: str, rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table with a header; numbers are aligned right."""
    table = [(title, "before", "after", ""), *map(_cells, rows)]
    first, *others = (max(map(len, column)) for column in zip(*table, strict=True))
    lines = ([name.ljust(first), *map(str.rjust, numbers, others)] for name, *numbers in table)
    return ["  ".join(line).rstrip() for line in lines]
