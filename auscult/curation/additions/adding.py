"""``data add``: a delivery of recordings looked at, and added where it is not only a rehearsal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.curation.additions import Delivery, Rejected, add_all, left_out, message

#: Names that a list shows.
SHOWN = 20


def add(folder: Path, dataset_name: str | None, *, dry_run: bool) -> str:
    """Examine a folder's delivery, or those of its folders, and put in what can join.

    Parameters
    ----------
    folder
        In a layout of the data set, or with ``recordings.csv`` and ``segments.csv``.
    dataset_name
        By default the one that ``params.yaml`` names.
    dry_run
        Write nothing. Of several deliveries each is then held against what is present without the others.

    Returns
    -------
    str
        What joins, what was there, what stays out and why, who stands where, and the next commands.

    Raises
    ------
    DataError
        Nothing can join and nothing is there already; the reasons are in the message.
    AuscultError
        As :func:`auscult.curation.additions.add_all`.
    """
    root, dataset = Path.cwd(), dataset_name or parameters.load().dataset
    deliveries, rejected = add_all(dataset, folder, root, dry_run=dry_run)
    accepted = [item.recording.recording_id for each in deliveries for item in each.accepted]
    there = [name for each in deliveries for name in each.already_there]
    words = "\n\n".join(
        block
        for block in (
            _listed("would join" if dry_run else "added", accepted),
            _listed("there already", there),
            _left_out(rejected),
            _sides(deliveries),
        )
        if block
    )
    if not accepted and not there:
        raise DataError(
            f"nothing of {folder} can join {dataset}\n{words}",
            where=str(folder),
            next_step="mend what the reasons say, and run the same command again",
        )
    return f"{words}\n\n{_next(deliveries, folder, dataset, dry_run=dry_run)}"


def _listed(what: str, names: Sequence[str]) -> str:
    lines = [f"{what}: {len(names)}", *(f"  {name}" for name in names[:SHOWN])]
    return "\n".join([*lines, *_more(len(names))]) if names else ""


def _left_out(rejected: Sequence[Rejected]) -> str:
    """Every one with all its reasons, as somebody has to mend them; counted once."""
    if not rejected:
        return ""
    counts = left_out(rejected)
    lines = [f"left out: {counts.total()} ({', '.join(f'{count} {reason}' for reason, count in counts.items())})"]
    return "\n".join([*lines, *(f"  {entry.recording_id}: {entry.reason}, {entry.detail}" for entry in rejected)])


def _more(total: int) -> list[str]:
    return [f"  … and {total - SHOWN} more"] if total > SHOWN else []


def _sides(deliveries: Sequence[Delivery]) -> str:
    """Patients of what joins; who is new in a first delivery is known in the next, and new here."""
    sides_of = {patient: part for each in deliveries for patient, part in each.sides.items()}
    strangers = {patient for each in deliveries for patient in each.new}
    known = {patient: part for patient, part in sides_of.items() if patient not in strangers}
    new = {patient: part for patient, part in sides_of.items() if patient in strangers}
    lines = []
    for what, sides in (("known patients, who keep their side", known), ("new patients", new)):
        if sides:
            lines.append(f"{what}: {len(sides)}")
            lines += [f"  {patient}: {part}" for patient, part in sorted(sides.items())[:SHOWN]] + _more(len(sides))
    return "\n".join(lines)


def _next(deliveries: Sequence[Delivery], folder: Path, dataset: str, *, dry_run: bool) -> str:
    batches = [each.batch for each in deliveries if each.accepted]
    if not batches:
        return "What can join is there already: nothing was added."
    if dry_run:
        return f"Nothing was written. To add them: python -m auscult.cli data add {shlex.quote(str(folder))}"
    paths = Paths(dataset)
    return "\n".join(
        [
            "Next:",
            "  dvc repro" if parameters.load().dataset == dataset else f"  make repro DATASET={dataset}",
            f"  git add {paths.added} {paths.data} {paths.reports / 'metrics'} dvc.lock",
            f"  git commit -F - <<'END'\n{message(*deliveries).rstrip()}\nEND",
            "  dvc push",
            "  git push",
        ]
    )
