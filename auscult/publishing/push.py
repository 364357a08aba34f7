"""Handing results over: data to DVC's remote, then a branch to git's, then a pull request. In that order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.versioning.commands import CommandError, dvc, git, succeeds
from auscult.versioning.dvc_objects import default_remote

_NOBODY = ("-c", "user.name=auscult", "-c", "user.email=auscult@localhost")


def free_branch(root: Path, wanted: str) -> str:
    """*wanted*, or with a number behind it where such a branch is here or on the remote already.

    Where a branch is named as the part before the slash, git allows none below it: then it is a dash.
    """
    taken = set(git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())
    remote = git_remote(root)
    if remote is not None:
        try:
            listed = git(root, "ls-remote", "--heads", remote).splitlines()
        except CommandError:
            listed = []  # it cannot be reached; pushing will say so
        taken |= {line.partition("refs/heads/")[2] for line in listed}
    if wanted.partition("/")[0] in taken:
        wanted = wanted.replace("/", "-")
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def git_remote(root: Path) -> str | None:
    """``origin``, or the only remote there is; ``None`` without one."""
    remotes = git(root, "remote").splitlines()
    return "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else None


def identity(place: Path) -> tuple[str, ...]:
    """What git must be told to commit: nothing where it knows the user, else the project's own name."""
    return () if succeeds(place, "git", "config", "user.email") else _NOBODY


def commit(place: Path, message: str, paths: Sequence[str]) -> str:
    """Commit what changed in or below *paths* of a worktree, on no branch: a branch is made when it is handed over.

    Returns
    -------
    str
        The commit. Where nothing changed it is the one that is there.
    """
    for path in paths:
        if (place / path).exists():
            git(place, "add", "--", path)
    if not succeeds(place, "git", "diff", "--cached", "--quiet"):
        git(place, *identity(place), "commit", "--quiet", "--message", message)
    return git(place, "rev-parse", "HEAD")


def push_data(place: Path, targets: Sequence[str] = ()) -> bool:
    """Push what the lock and the ``.dvc`` files name; False where DVC has no remote that others reach.

    Raises
    ------
    AuscultError
        Something did not arrive.
    """
    remote = default_remote(place)
    if remote is None or not remote.shared:
        return False
    dvc(place, "push", "--quiet", *targets)
    if not targets:
        said = json.loads(dvc(place, "data", "status", "--json", "--not-in-remote") or "{}")
        lost = [*said.get("not_in_remote", []), *said.get("not_in_cache", [])]
        if lost:
            raise AuscultError(
                f"{len(lost)} outputs did not reach DVC's remote, such as {lost[0]}",
                where=str(place),
                next_step="dvc push says more; then run the same command again",
            )
    return True


def hand_over(root: Path, remote: str, branch: str, commit: str) -> None:
    """Push a commit as a branch, or make the branch here where *remote* is empty.

    What a branch holds and the commit does not build on is never overwritten.
    """
    if remote:
        git(root, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}")
    else:
        git(root, "fetch", "--quiet", ".", f"{commit}:refs/heads/{branch}")


def is_there(root: Path, remote: str, branch: str, commit: str) -> bool:
    """Whether a commit has arrived as *branch* on *remote*, or here where that is empty.

    Raises
    ------
    CommandError
        The remote cannot be asked.
    """
    if not remote:
        return git(root, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") == commit
    listed = git(root, "ls-remote", "--heads", remote, f"refs/heads/{branch}")
    return listed.partition("\t")[0] == commit
