"""DVC's default remote, and whether others can reach it.

A fresh clone has one inside its own folder (``.dvc/config``), so that ``dvc push`` and ``dvc pull`` work at once.
It keeps data safe from ``dvc gc`` and from a cache that is removed, but nobody else gets anything from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auscult.versioning.commands import git


@dataclass(frozen=True)
class Remote:
    """Where ``dvc push`` puts things.

    Attributes
    ----------
    shared
        Whether others may reach it: false where its folder lies inside the repository.
    """

    name: str
    url: str
    shared: bool


def default(place: Path) -> Remote | None:
    """DVC's default remote of a repository or of a worktree of it; ``None`` without one, however many it knows."""
    from dvc.fs import get_fs_config
    from dvc.repo import Repo

    with Repo(str(place)) as repo:
        name = str(repo.config["core"].get("remote") or "")
        if not name:
            return None
        url = str(get_fs_config(repo.config, name=name)["url"])
    return Remote(name, url, shared=not _inside(place, url))


def _inside(place: Path, url: str) -> bool:
    """Whether an address is a folder of the repository that *place* is, or is a worktree of."""
    path = url.removeprefix("file://")
    if "://" in path:
        return False
    folder = Path(place, path).resolve()  # a link to a shared disk leads outside
    common = Path(place, git(place, "rev-parse", "--git-common-dir")).resolve()
    return any(folder.is_relative_to(top) for top in (place.resolve(), common.parent))
