"""Commit results, push their data to DVC's remote and their branch to git's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.versioning.commands import CommandError, dvc, git, succeeds
from auscult.versioning.dvc_objects import default_remote

_PROJECT = ("-c", "user.name=auscult", "-c", "user.email=auscult@localhost")


def free_branch(root: Path, wanted: str) -> str:
    """Return *wanted*, with a number appended if the repository or the remote has such a branch already.

    If a branch has the name before the slash, git allows no branch below it, and a dash replaces the slash.
    """
    taken = set(git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())
    remote = git_remote(root)
    if remote is not None:
        try:
            listed = git(root, "ls-remote", "--heads", remote).splitlines()
        except CommandError:
            listed = []  # the remote does not respond; the push will report it
        taken |= {line.partition("refs/heads/")[2] for line in listed}
    if wanted.partition("/")[0] in taken:
        wanted = wanted.replace("/", "-")
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def git_remote(root: Path) -> str | None:
    """Return ``origin``, or the only remote; ``None`` if there is none or several others."""
    remotes = git(root, "remote").splitlines()
    return "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else None


def identity(workspace: Path) -> tuple[str, ...]:
    """Return git's options for the author of a commit: none if git knows the user, else the project's name."""
    known = all(succeeds(workspace, "git", "config", name) for name in ("user.name", "user.email"))
    return () if known else _PROJECT


def commit(workspace: Path, message: str, paths: Sequence[str]) -> str:
    """Commit the changes in or below *paths* of a worktree; return the commit, the present one if nothing changed.

    The commit is on no branch: :func:`publish` makes the branch.
    """
    for path in paths:
        if (workspace / path).exists():
            git(workspace, "add", "--", path)
    if not succeeds(workspace, "git", "diff", "--cached", "--quiet"):
        git(workspace, *identity(workspace), "commit", "--quiet", "--message", message)
    return git(workspace, "rev-parse", "HEAD")


def push_data(workspace: Path, targets: Sequence[str] = ()) -> bool:
    """Push the outputs that the lock and the ``.dvc`` files name; return False if DVC has no shared remote.

    Parameters
    ----------
    targets
        Only the outputs of these stages and ``.dvc`` files, and of the stages that they need; by default all.

    Raises
    ------
    AuscultError
        An output is not on the remote after the push.
    """
    remote = default_remote(workspace)
    if remote is None or not remote.shared:
        return False
    dvc(workspace, "push", "--quiet", *(["--with-deps", *targets] if targets else []))
    if not targets:
        status = json.loads(dvc(workspace, "data", "status", "--json", "--not-in-remote") or "{}")
        lost = [*status.get("not_in_remote", []), *status.get("not_in_cache", [])]
        if lost:
            raise AuscultError(
                f"{len(lost)} outputs did not reach DVC's remote, such as {lost[0]}",
                where=str(workspace),
                next_step="see what dvc push reports, then run the same command again",
            )
    return True


def publish(root: Path, remote: str, branch: str, commit: str) -> None:
    """Push a commit as a branch; make the branch in this repository if *remote* is empty.

    An existing branch is moved forward only, never overwritten.
    """
    if remote:
        git(root, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}")
    else:
        git(root, "fetch", "--quiet", ".", f"{commit}:refs/heads/{branch}")


def is_published(root: Path, remote: str, branch: str, commit: str) -> bool:
    """Return whether *branch* on *remote* (in this repository if empty) is at *commit*.

    Raises
    ------
    CommandError
        The remote does not respond.
    """
    if not remote:
        return git(root, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") == commit
    listed = git(root, "ls-remote", "--heads", remote, f"refs/heads/{branch}")
    return listed.partition("\t")[0] == commit
