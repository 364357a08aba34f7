"""The steps of an ingestion, without Prefect: what :mod:`flows.ingest` orders and a test can call."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.storage import write_text
from auscult.publishing import push
from auscult.versioning import graph
from auscult.versioning.commands import CommandError, git, succeeds

if TYPE_CHECKING:
    from auscult.curation.additions import Rejected

#: Branch on which additions wait for somebody to merge them.
BRANCH = "ingest"
#: The watched folder, where none is named: a folder per data set.
INBOX = Path("data/inbox")


@dataclass(frozen=True)
class Taken:
    """What became of a delivery.

    Attributes
    ----------
    batches
        Names of the additions; none where nothing could join.
    message
        For the commit: counts, nobody's name.
    words
        One line.
    """

    batches: list[str]
    message: str
    words: str


def base(root: Path, revision: str) -> str:
    """Where the next addition goes on top of: the branch of those that wait, else *revision*."""
    remote = push.git_remote(root)
    for waiting in ([f"{remote}/{BRANCH}"] if remote else []) + [BRANCH]:
        if succeeds(root, "git", "rev-parse", "--verify", "--quiet", waiting):
            merged = succeeds(root, "git", "merge-base", "--is-ancestor", waiting, revision)
            return revision if merged else waiting
    return revision


def catch_up(root: Path, place: Path, revision: str) -> None:
    """Merge what has happened on *revision* since into the worktree.

    Raises
    ------
    AuscultError
        The two contradict each other.
    """
    commit = git(root, "rev-parse", revision)
    try:
        git(place, *push.identity(place), "merge", "--no-edit", commit)
    except CommandError as error:
        raise AuscultError(
            f"the branch {BRANCH!r} and {revision} contradict each other",
            where=", ".join(error.lines[-3:]),
            next_step=f"merge {BRANCH} by hand, and run the same command again",
        ) from error


def take_in(root: Path, place: Path, dataset: str, folder: Path, run: str, tell: Callable[[str], None]) -> Taken:
    """Add what can join of a folder's deliveries to the worktree, and let the stages that check it accept it.

    What stays out is listed, with reasons, in ``reports/<dataset>/ingest/<run>.csv`` of the repository.

    Raises
    ------
    AuscultError
        The delivery is something else, or the stages refuse what was added.
    """
    from auscult.curation.additions import add_all, left_out, message

    _check(place, tell)
    deliveries, rejected = add_all(dataset, folder, place)
    added = sum(len(delivery.accepted) for delivery in deliveries)
    there = sum(len(delivery.already_there) for delivery in deliveries)
    reasons = left_out(rejected)
    words = f"{added} recordings added, {there} there already, {reasons.total()} left out"
    if rejected:
        where = write_rejected(root, dataset, run, rejected)
        words += f" ({', '.join(f'{count} {reason}' for reason, count in sorted(reasons.items()))}; {where})"
    batches = [delivery.batch for delivery in deliveries if delivery.accepted]
    if batches:
        _check(place, tell)
    return Taken(batches, message(*deliveries), words)


def _check(place: Path, tell: Callable[[str], None]) -> None:
    """Bring the manifest and the split up to date: the stages that say whether recordings fit in."""

    def run(node: str, due: bool) -> graph.Did:
        return graph.reproduce(place, node, tell)[0] if due else "unchanged"

    graph.walk(place, run, upto="split")


def write_rejected(root: Path, dataset: str, run: str, rejected: Sequence[Rejected]) -> Path:
    """List what stayed out, names that are no text with their bytes; the path, relative to the repository.

    Recordings of patients who have withdrawn are listed without their names.
    The list of the last run stands where nothing has changed: an inbox is looked into every hour.
    """
    folder, text = Paths(dataset).reports / "ingest", io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recording_id", "reason", "detail"])
    for each in rejected:
        name = "" if each.reason == "withdrawn" else each.recording_id
        cells = (name, each.reason, each.detail)
        writer.writerow([os.fsencode(cell).decode("utf-8", "backslashreplace") for cell in cells])
    for last in sorted((root / folder).glob("*.csv"))[-1:]:
        if last.read_text(encoding="utf-8") == text.getvalue():
            return folder / last.name
    write_text(root / folder / f"{run}.csv", text.getvalue())
    return folder / f"{run}.csv"
