"""The steps of an ingestion, without Prefect."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.core.paths import ADDED_DIR, Paths
from auscult.core.storage import write_text
from auscult.curation.additions import Rejected, add_all, count_rejected, message
from auscult.curation.additions.delivery import printable
from auscult.publishing import push
from auscult.publishing.journal import Entry, Journal
from auscult.retraining.steps import destination, make_worktree, newest
from auscult.versioning import graph, worktree
from auscult.versioning.commands import CommandError, git, succeeds

#: Branch on which additions wait to be merged.
BRANCH = "ingest"
#: The watched folder by default, with a folder per data set.
INBOX = Path("data/inbox")


@dataclass(frozen=True)
class Ingested:
    """The result of an ingestion."""

    #: Names of the additions; empty if nothing was added.
    batches: list[str]
    #: Commit message: counts, without names.
    message: str
    #: One line.
    summary: str


def begin(root: Path, journal: Journal, entry: Entry) -> tuple[Entry, Path]:
    """Make the worktree of a run on the waiting additions and the newest merged revision, and fill it."""
    revision = newest(root)  # not the checkout, whose commits may be unpublished
    entry, workspace = make_worktree(root, journal, entry, base(root, revision))
    catch_up(root, workspace, revision)
    worktree.fill(workspace)
    return entry, workspace


def base(root: Path, revision: str) -> str:
    """Return the commit to add to: the branch of the waiting additions; *revision* if there are none."""
    remote = push.git_remote(root)
    for waiting in ([f"{remote}/{BRANCH}"] if remote else []) + [BRANCH]:
        if succeeds(root, "git", "rev-parse", "--verify", "--quiet", waiting):
            merged = succeeds(root, "git", "merge-base", "--is-ancestor", waiting, revision)
            return revision if merged else waiting
    return revision


def catch_up(root: Path, workspace: Path, revision: str) -> None:
    """Merge the later changes of *revision* into the worktree.

    Raises
    ------
    AuscultError
        There is a merge conflict.
    """
    commit = git(root, "rev-parse", revision)
    try:
        git(workspace, *push.identity(workspace), "merge", "--no-edit", commit)
    except CommandError as error:
        raise AuscultError(
            f"the branch {BRANCH!r} and {revision} have a merge conflict",
            where=", ".join(error.lines[-3:]),
            next_step=f"merge {BRANCH} manually, and run the same command again",
        ) from error


def ingest(root: Path, workspace: Path, dataset: str, folder: Path, run: str, log: Callable[[str], None]) -> Ingested:
    """Add the valid new recordings of a folder's deliveries to the worktree, and run the stages that check them.

    Rejected recordings are listed with reasons in ``reports/<dataset>/ingest/<run>.csv`` of the repository.

    Raises
    ------
    AuscultError
        The folder holds something else, or the stages refuse what was added.
    """
    _check(workspace, log)
    found = add_all(dataset, folder, workspace)
    reasons = count_rejected(found.rejected)
    summary = f"{len(found.accepted)} recordings added, {len(found.present)} there already, {reasons.total()} left out"
    if found.rejected:
        where = write_rejected(root, dataset, run, found.rejected)
        summary += f" ({', '.join(f'{count} {reason}' for reason, count in sorted(reasons.items()))}; {where})"
    if found.batches:
        _check(workspace, log)
    return Ingested(found.batches, message(*found.deliveries), summary)


def push_additions(workspace: Path, dataset: str, batches: Sequence[str]) -> bool:
    """Push the audio of the additions to DVC's remote; return False if there is no shared remote."""
    return push.push_data(workspace, [f"{Paths(dataset).added / batch}.dvc" for batch in batches])


def commit_additions(root: Path, journal: Journal, entry: Entry, message: str, *, data_pushed: bool) -> Entry:
    """Commit the additions in the worktree, and record in the journal that they are to be published."""
    commit = push.commit(Path(entry.worktree), message, [ADDED_DIR.as_posix()])
    remote = destination(root, data_pushed=data_pushed)
    return journal.write(replace(entry, branch=BRANCH, commit=commit, remote=remote, state="publishing"))


def _check(workspace: Path, log: Callable[[str], None]) -> None:
    """Bring the manifest and the split up to date: these stages check the recordings."""

    def run(node: str, due: bool) -> graph.Outcome:
        return graph.reproduce(workspace, node, log)[0] if due else "unchanged"

    graph.walk(workspace, run, upto=["split"])


def write_rejected(root: Path, dataset: str, run: str, rejected: Sequence[Rejected]) -> Path:
    """Write the list of rejected recordings; return its path relative to the repository.

    Names that are not UTF-8 are written with escaped bytes; recordings of withdrawn patients without their names.
    An unchanged list is not written again, because the inbox is read every hour.
    """
    folder, text = Paths(dataset).reports / "ingest", io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recording_id", "reason", "detail"])
    for each in rejected:
        writer.writerow([each.public_name, each.reason, printable(each.detail)])
    for last in sorted((root / folder).glob("*.csv"))[-1:]:
        if last.read_text(encoding="utf-8") == text.getvalue():
            return folder / last.name
    write_text(root / folder / f"{run}.csv", text.getvalue())
    return folder / f"{run}.csv"
