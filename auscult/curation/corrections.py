"""``auscult data correct ITEM LABEL``: add a line to the table of corrections.

The draw of the split looks at the labels of all patients: another label would place patients elsewhere. So the present
folds are fixed first, as before a withdrawal (:mod:`auscult.splitting.pinned`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.core import corrections, withdrawals
from auscult.core import params as parameters
from auscult.core.corrections import DROP, Correction
from auscult.core.errors import DataError, ParameterError, unknown_name
from auscult.core.paths import Paths
from auscult.core.storage import read_table
from auscult.curation.current_split import current_folds
from auscult.datasets import Dataset, load
from auscult.splitting import pinned
from auscult.versioning.commands import CommandError, git

#: To be raised when a key of :meth:`Corrected.to_json` changes its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Corrected:
    """A correction, and the part of the split that its patient is in; None before the first split."""

    dataset: str
    correction: Correction
    part: str | None
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"schema": SCHEMA, **vars(self), "correction": vars(self.correction)}

    def __str__(self) -> str:
        made = self.correction
        lines = [f"{made.item}: {made.old or 'no label'} → {'left out' if made.new == DROP else made.new}"]
        if self.part == "test":
            lines.append(
                "Its patient is in the test part: every later report says that test scores cannot be compared with"
                " those before"
            )
        if self.dry_run:
            return "\n".join([*lines, "Nothing was changed"])
        steps = [
            "auscult run   (labels, models and report are brought up to date)",
            f"git add data dvc.lock reports && git commit -m 'data: correct {made.item}', and dvc push",
        ]
        return "\n".join([*lines, "", "Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))])


def correct(
    item: str, label: str, because: str, by: str | None = None, *, dry_run: bool = False, root: Path = Path()
) -> Corrected:
    """Record that a recording or a segment has another label, or is left out; nothing else changes yet.

    Parameters
    ----------
    item
        ``recording_id`` or ``segment_id``, as in the manifest and the report.
    label
        A label of the data set, as its annotations have it, or ``drop``.
    by
        Who corrects; by default git's ``user.name``.

    Raises
    ------
    DataError
        There is no such item in the manifest, or it has this label already.
    ParameterError
        The data set has no such label, or a reason or name is missing.
    """
    params = parameters.load(root / parameters.FILE)
    dataset = load(params.dataset)
    table = corrections.read(dataset.name, root)
    recordings, segments = _manifest(dataset, root)
    row, known = _find(item, dataset, recordings, segments)
    old = str(row["label"]) if pd.notna(row["label"]) else ""
    for earlier in table:  # those of this table that no validation has applied yet as well
        if earlier.item in (item, row["recording_id"]) and earlier.new == DROP:
            raise DataError(
                f"{earlier.item} is left out by an earlier correction ({earlier.by}, {earlier.on})",
                where=str(Paths(dataset.name).corrections),
                next_step="remove that line, then the same command again",
            )
        old = earlier.new if earlier.item == item else old
    if label != DROP and label not in known:
        raise unknown_name("label", label, sorted(known), where=f"data set {dataset.name}")
    if label == old:
        raise DataError(
            f"{item} is {old!r} already", where=str(Paths(dataset.name).corrections), next_step="name another label"
        )
    made = Correction(item, old, label, _given(by or _git_name(root), "--by"), _given(because, "--because"), _today())
    part = _part(dataset, str(row["patient_id"]), root)
    if not dry_run:
        if part is not None:
            pinned.write(current_folds(params, withdrawals.read(dataset.name, root), root), root)
        corrections.write(dataset.name, [*table, made], root)
    return Corrected(dataset.name, made, part, dry_run)


def _manifest(dataset: Dataset, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = root / Paths(dataset.name).manifest
    if not (folder / "segments.parquet").exists():
        raise DataError(
            f"there is no manifest of the data set {dataset.name}",
            where=str(Paths(dataset.name).manifest),
            next_step="auscult run (or dvc pull), then the same command again",
        )
    return read_table(folder / "recordings.parquet"), read_table(folder / "segments.parquet")


def _find(
    item: str, dataset: Dataset, recordings: pd.DataFrame, segments: pd.DataFrame
) -> tuple[pd.Series, frozenset[str] | set[str]]:
    """Return the row of an item, and the labels that it may have."""
    for table, name, labels in (
        (recordings, "recording_id", dataset.recording_labels),
        (segments, "segment_id", dataset.segment_labels),
    ):
        if (found := table[table[name] == item]).shape[0]:
            return found.iloc[0], set(labels)
    names = [*recordings["recording_id"], *segments["segment_id"]]
    close = difflib.get_close_matches(item, names, n=1, cutoff=0.7)
    raise DataError(
        f"the data set {dataset.name} has no recording or segment {item!r}"
        + (f"; did you mean {close[0]}?" if close else ""),
        where=str(Paths(dataset.name).manifest),
        next_step="write the name as in the report; rejected and withdrawn recordings cannot be corrected",
    )


def _part(dataset: Dataset, patient: str, root: Path) -> str | None:
    file = root / Paths(dataset.name).split / "assignment.parquet"
    if not file.exists():
        return None
    parts = read_table(file).query("patient_id == @patient")["part"]
    return "test" if "test" in set(parts) else next(iter(parts), None)


def _given(text: str, option: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ParameterError(f"{option} is empty", where=option, next_step=f"say it: {option} TEXT")
    return text


def _git_name(root: Path) -> str:
    try:
        return git(root, "config", "user.name")
    except CommandError:
        return ""


def _today() -> str:
    return date.today().isoformat()
