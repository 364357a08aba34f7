"""Temporary git worktrees, in which a pipeline runs beside the checkout that people work in.

A worktree shares DVC's cache, the project's own cache, and MLflow's store with the repository. It has its own files,
``dvc.lock`` and outputs. Nothing that happens in it changes the repository's files.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.core.paths import ARTIFACTS, CACHE_DIR, DATABASE
from auscult.versioning import clone
from auscult.versioning.commands import CommandError, dvc, git, succeeds
from auscult.versioning.dvc_internals import Repository
from auscult.versioning.dvc_objects import default_remote

#: Below ``.dvc``, where neither git nor DVC looks for files of the project.
FOLDER = Path(".dvc/tmp/worktrees")
#: Shared with the repository by a link.
_SHARED = (CACHE_DIR, DATABASE, ARTIFACTS)


def create(root: Path, name: str, revision: str) -> Path:
    """Create a worktree of *revision* and return its folder.

    Raises
    ------
    AuscultError
        There is no such revision, or the project is not the top of its repository.
    """
    root = root.resolve()
    if above := git(root, "rev-parse", "--show-prefix"):
        raise AuscultError(
            f"the project is the folder {above} of a git repository; flows need the project to be the repository",
            where=str(root),
            next_step="move the project to the top of a repository, or use it with auscult run only",
        )
    commit = resolve(root, revision)
    place = root / FOLDER / name
    place.parent.mkdir(parents=True, exist_ok=True)
    (root / CACHE_DIR).mkdir(exist_ok=True)
    _allow_worktrees(root)
    try:
        git(root, "worktree", "add", "--quiet", "--detach", str(place), commit)
        for shared in _SHARED:
            (place / shared).symlink_to(root / shared)
        _share_cache(root, place)
    except BaseException:
        remove(root, place)
        raise
    return place


def _allow_worktrees(root: Path) -> None:
    """Move a submodule's ``core.worktree`` into the configuration of its own checkout, as git-worktree(1) asks for.

    git ignores the setting in other worktrees; DVC's git library does not, and takes another folder for the worktree.
    """
    common = Path(root, git(root, "rev-parse", "--git-common-dir"))
    shared, own = (("config", "--file", str(common / name)) for name in ("config", "config.worktree"))
    if succeeds(root, "git", *shared, "core.worktree"):
        git(root, "config", "extensions.worktreeConfig", "true")
        git(root, *own, "core.worktree", git(root, *shared, "core.worktree"))
        git(root, *shared, "--unset", "core.worktree")


def resolve(root: Path, revision: str) -> str:
    """Return the commit that a revision names, here or as a branch of a remote.

    Raises
    ------
    AuscultError
        There is no such revision.
    """
    for name in (revision, *(f"{remote}/{revision}" for remote in git(root, "remote").splitlines())):
        with suppress(CommandError):
            return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    raise AuscultError(
        f"there is no revision {revision!r} here",
        where=str(root),
        next_step="name a branch, tag or commit of this repository; "
        + (f"this clone lacks some: {missing}" if (missing := clone.completion(root)) else "git fetch brings new ones"),
    )


def remove(root: Path, place: Path) -> None:
    """Remove a worktree in any state; the content of the shared caches stays."""
    for shared in _SHARED:  # first: git must not follow them
        if (place / shared).is_symlink():
            (place / shared).unlink()
    succeeds(root, "git", "worktree", "remove", "--force", "--force", str(place))
    shutil.rmtree(place, ignore_errors=True)
    succeeds(root, "git", "worktree", "prune")


def fill(place: Path) -> None:
    """Check out the outputs and additions that the revision records, from the cache or else from the default remote.

    Outputs that neither has are made again by the stages. Additions cannot be made again.

    Raises
    ------
    AuscultError
        Neither has an addition's recordings.
    """
    if succeeds(place, "dvc", "checkout", "--quiet"):
        return
    succeeds(place, "dvc", "checkout", "--quiet", "--allow-missing")
    remote = default_remote(place)
    if remote is not None and remote.shared and (lost := _lost_additions(place)):
        dvc(place, "pull", "--quiet", *lost)  # raises DVC's own message if it cannot be reached
    if remote is not None:
        succeeds(place, "dvc", "pull", "--quiet", "--allow-missing")
    if lost := _lost_additions(place):
        raise AuscultError(
            f"neither DVC's cache nor a remote has the recordings of these additions: {', '.join(lost)}",
            where=str(place),
            next_step="name the remote that has them (docs/remotes.md), then the same command again",
        )


def _lost_additions(place: Path) -> list[str]:
    additions = sorted(str(file.relative_to(place)) for file in (place / "data").rglob("*.dvc"))
    return [file for file in additions if not (place / file).with_suffix("").exists()]


def _share_cache(root: Path, place: Path) -> None:
    """Give the worktree the repository's local settings, its cache, and the paths of its remotes as absolute paths.

    DVC reads a relative path as relative to the configuration file, which lies elsewhere in a worktree.
    """
    from configobj import ConfigObj  # DVC's parser

    local = root / ".dvc" / "config.local"
    settings = ConfigObj(str(local) if local.exists() else None, encoding="utf-8")
    with Repository(root) as repository:
        settings.setdefault("cache", {})["dir"] = str(repository.cache_folder)
        for name, paths in repository.remote_paths().items():
            settings.setdefault(f'remote "{name}"', {}).update(paths)
    settings.filename = str(place / ".dvc" / "config.local")
    settings.write()
