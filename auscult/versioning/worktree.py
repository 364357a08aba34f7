"""A throw-away git worktree in which a pipeline runs beside the one that people work in.

It shares DVC's cache, the project's own cache, and MLflow's store with the repository; it has files,
``dvc.lock`` and outputs of its own. Nothing that happens in it changes the repository's files.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from auscult.core.errors import AuscultError
from auscult.core.paths import ARTIFACTS, CACHE_DIR, DATABASE
from auscult.versioning import remotes
from auscult.versioning.commands import DVC, CommandError, dvc, git, succeeds

#: Below ``.dvc``, where neither git nor DVC looks for files of the project.
FOLDER = Path(".dvc/tmp/worktrees")
#: Shared with the repository by a link.
_SHARED = (CACHE_DIR, DATABASE, ARTIFACTS)


def create(root: Path, name: str, revision: str) -> Path:
    """Make a worktree of *revision* and return its folder.

    Raises
    ------
    AuscultError
        There is no such revision, or the project is not the top of its repository.
    """
    root = root.resolve()
    if above := git(root, "rev-parse", "--show-prefix"):
        raise AuscultError(
            f"the project is the folder {above} of a git repository, and the flows need one of its own",
            where=str(root),
            next_step="move the project to the top of a repository, or use it with make repro alone",
        )
    commit = resolve(root, revision)
    place = root / FOLDER / name
    place.parent.mkdir(parents=True, exist_ok=True)
    (root / CACHE_DIR).mkdir(exist_ok=True)
    try:
        git(root, "worktree", "add", "--quiet", "--detach", str(place), commit)
        for shared in _SHARED:
            (place / shared).symlink_to(root / shared)
        _share_cache(root, place)
    except BaseException:
        remove(root, place)
        raise
    return place


def resolve(root: Path, revision: str) -> str:
    """The commit that a revision names: here, or as a branch of a remote.

    Raises
    ------
    AuscultError
        It names none.
    """
    for name in (revision, *(f"{remote}/{revision}" for remote in git(root, "remote").splitlines())):
        with suppress(CommandError):
            return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    raise AuscultError(
        f"there is no revision {revision!r} here",
        where=str(root),
        next_step="name a branch, tag or commit of this repository; git fetch brings new ones",
    )


def remove(root: Path, place: Path) -> None:
    """Remove a worktree, whatever state it is in; what lies in the shared caches stays."""
    for shared in _SHARED:  # first of all: git must not follow them
        if (place / shared).is_symlink():
            (place / shared).unlink()
    succeeds(root, "git", "worktree", "remove", "--force", "--force", str(place))
    shutil.rmtree(place, ignore_errors=True)
    succeeds(root, "git", "worktree", "prune")


def fill(place: Path) -> None:
    """Bring the outputs and additions that the revision records: from the cache, then from the remote if there is one.

    What is in neither is made again by the stages. Additions cannot be made again.

    Raises
    ------
    AuscultError
        An addition's recordings are nowhere.
    """
    if succeeds(place, *DVC, "checkout", "--quiet"):
        return
    succeeds(place, *DVC, "checkout", "--quiet", "--allow-missing")
    remote = remotes.default(place)
    if remote is not None and remote.shared and (lost := _lost_additions(place)):
        dvc(place, "pull", "--quiet", *lost)  # in its own words where it cannot be reached
    if remote is not None:
        succeeds(place, *DVC, "pull", "--quiet", "--allow-missing")
    if lost := _lost_additions(place):
        raise AuscultError(
            f"recordings that were added are neither in DVC's cache nor on a remote: {', '.join(lost)}",
            where=str(place),
            next_step="name the remote that has them (docs/remotes.md), then the same command again",
        )


def _lost_additions(place: Path) -> list[str]:
    additions = sorted(str(file.relative_to(place)) for file in (place / "data").rglob("*.dvc"))
    return [file for file in additions if not (place / file).with_suffix("").exists()]


def _share_cache(root: Path, place: Path) -> None:
    """Give the worktree the repository's local settings, its cache, and the paths of its remotes as absolute ones.

    DVC reads a relative path from where its settings lie, which is another place here.
    """
    from configobj import ConfigObj
    from dvc.config_schema import RelPath
    from dvc.repo import Repo

    local = root / ".dvc" / "config.local"
    settings = ConfigObj(str(local) if local.exists() else None, encoding="utf-8")
    with Repo(str(root)) as repo:
        settings.setdefault("cache", {})["dir"] = repo.cache.local_cache_dir
        for name, remote in repo.config["remote"].items():
            paths = {key: str(value) for key, value in remote.items() if isinstance(value, RelPath)}
            settings.setdefault(f'remote "{name}"', {}).update(paths)
    settings.filename = str(place / ".dvc" / "config.local")
    settings.write()
