"""Which two revisions are compared: what is checked out, and where it left the base branch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.comparison.document import Side
from auscult.core.errors import AuscultError
from auscult.versioning import worktree
from auscult.versioning.commands import CommandError, git

#: Begin of the names of throw-away worktrees; whoever holds the lock of the repository may remove them.
PREFIX = "compare-"


def head_of(root: Path) -> Side:
    """What is checked out.

    Raises
    ------
    AuscultError
        It is no git repository with a commit.
    """
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD")
    except CommandError as error:
        raise AuscultError(
            "there is no commit here to compare",
            where=str(root),
            next_step="run it in a clone of the repository, after a first git commit",
        ) from error
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    return Side(branch[:120], commit, bool(_changes(root)), "")


def _changes(root: Path) -> str:
    """What differs from the commit and is somebody's work: what the pipeline itself writes into git is not."""
    written = (":(exclude)dvc.lock", ":(exclude)reports", ":(exclude)data/*/README.md", ":(exclude)data/*/version.json")
    return git(root, "status", "--porcelain", "--", ".", *written)


def base_of(root: Path, revision: str, head: Side) -> Side:
    """The commit at which the checkout left *revision*; its ``fault`` says why there is none.

    Raises
    ------
    AuscultError
        There is no such revision, and that is not because nothing came before.
    """
    first = not git(root, "rev-list", "--max-count=1", "--min-parents=1", head.commit, "--")
    shallow = git(root, "rev-parse", "--is-shallow-repository") == "true"
    try:
        asked = worktree.resolve(root, revision)
    except AuscultError:
        if not first or shallow:
            raise
        return Side(revision[:120], "", False, "this is the first commit: there is nothing before it")
    try:
        commit = git(root, "merge-base", asked, head.commit)
    except CommandError:
        why = f"{revision} and what is checked out have no commit in common"
        more = "; this clone is shallow: git fetch --unshallow" if shallow else ""
        return Side(revision[:120], "", False, why + more)
    if commit == head.commit and first and not shallow and not head.dirty:
        return Side(revision[:120], "", False, "this is the first commit: there is nothing before it")
    return Side(revision[:120], commit, False, "")


def sweep(root: Path) -> None:
    """Remove worktrees that a killed comparison left; the lock of the repository must be held."""
    for left in sorted((root / worktree.FOLDER).glob(f"{PREFIX}*")):
        worktree.remove(root, left)


@contextmanager
def checked_out(root: Path, commit: str) -> Iterator[Path]:
    """A throw-away worktree of a commit, removed at the end."""
    place = worktree.create(root, f"{PREFIX}{commit[:10]}", commit)
    try:
        yield place
    finally:
        worktree.remove(root, place)
