"""Whether a clone has all commits: not if it is shallow, of a single branch, or older than a branch of its remote."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.versioning.commands import CommandError, git, git_bytes

#: Refs that can lead to data: branches, tags, and the experiments of ``dvc exp push``.
_REFS = ("refs/heads/*", "refs/tags/*", "refs/exps/*")
_AGAIN = ", then the same command again"


def check_whole(root: Path) -> None:
    """Check that the clone is neither shallow nor limited to some branches. No remote is asked.

    Raises
    ------
    AuscultError
        It is; the next step is the command that fetches the rest.
    """
    if found := _limits(root):
        raise AuscultError(
            f"this clone has only a part of git's history ({' and '.join(found)}): what older commits and other"
            " branches record is unknown here",
            where=str(root.resolve()),
            next_step=completion(root) + _AGAIN,
        )


def completion(root: Path) -> str:
    """Return the git commands that fetch what a shallow or single-branch clone lacks; empty if it lacks nothing."""
    widened = [f"git remote set-branches {remote} '*'" for remote in _narrow(root)]
    fetches = [f"git fetch --tags {remote}" for remote in _narrow(root)]
    if is_shallow(root):
        remotes = _narrow(root) or _remotes(root)
        name = "origin" if "origin" in remotes or not remotes else remotes[0]
        fetches = [f"git fetch --unshallow --tags {name}", *(e for e in fetches if e != f"git fetch --tags {name}")]
    return " && ".join([*widened, *fetches])


def check_fetched(root: Path) -> list[str]:
    """Ask every remote of git whether it has a branch, tag or DVC experiment that this clone lacks.

    Returns
    -------
    list of str
        The remotes that did not answer, as text.

    Raises
    ------
    AuscultError
        A remote has commits that this clone lacks; the next step is the command that fetches them.
    """
    unasked, known = [], set(git(root, "rev-list", "--all", "--reflog").splitlines())
    for remote in _remotes(root):
        try:
            listed = git(root, "ls-remote", "--quiet", remote, *_REFS)
        except CommandError as error:
            unasked.append(f"branches of git's remote {remote} that this clone may lack ({' '.join(error.lines[-1:])})")
            continue
        if missing := sorted(ref for ref, sha in _tips(listed) if sha not in known and not _no_commit(root, sha)):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise AuscultError(
                f"git's remote {remote} has commits that this clone lacks: {', '.join(missing[:5])}{more}",
                where=str(root.resolve()),
                next_step=f"git fetch {remote} {' '.join(_refspecs(remote, missing))}{_AGAIN}",
            )
    return unasked


def is_shallow(root: Path) -> bool:
    """Return whether older commits are cut off."""
    return git(root, "rev-parse", "--is-shallow-repository") == "true"


def _limits(root: Path) -> list[str]:
    shallow = ["shallow"] if is_shallow(root) else []
    return [*shallow, *(f"some branches of {remote} only" for remote in _narrow(root))]


def _remotes(root: Path) -> list[str]:
    return git(root, "remote").splitlines()


def _narrow(root: Path) -> list[str]:
    """Return the remotes of which only some branches are fetched; one that is only pushed to has no such rule."""
    found = []
    for remote in _remotes(root):
        rules = git_bytes(root, "config", "--get-all", f"remote.{remote}.fetch").decode().split()
        whole = any(re.match(r"\+?refs/(heads/)?\*:", rule) for rule in rules)
        if rules and (not whole or any(rule.startswith("^refs/heads/") for rule in rules)):
            found.append(remote)
    return found


def _tips(listed: str) -> Iterator[tuple[str, str]]:
    """Yield (ref, commit) of the lines of ``git ls-remote``; of an annotated tag the commit, not the tag."""
    found = {ref: sha for sha, ref in (line.split("\t", 1) for line in listed.splitlines())}
    for ref, sha in found.items():
        if not ref.endswith("^{}"):
            yield ref, found.get(f"{ref}^{{}}", sha)


def _no_commit(root: Path, sha: str) -> bool:
    """Return whether an object is here and is a file or a folder, which a tag can name."""
    return git_bytes(root, "cat-file", "-t", sha).strip() in (b"blob", b"tree")


def _refspecs(remote: str, refs: Collection[str]) -> Iterator[str]:
    """Yield what to fetch so that all branches, tags or experiments are here, whatever the remote's configuration."""
    for folder, target in (("heads", f"remotes/{remote}"), ("tags", "tags"), ("exps", "exps")):
        if any(ref.startswith(f"refs/{folder}/") for ref in refs):
            yield f"'+refs/{folder}/*:refs/{target}/*'"
