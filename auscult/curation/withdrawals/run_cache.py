"""What DVC notes beside its objects: which run made what, and which file it has seen with which checksum."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.paths import ADDED_DIR, WITHDRAWN_DIR
from auscult.curation.withdrawals.local_artifacts import Removal
from auscult.versioning.lockfile import parse

if TYPE_CHECKING:
    from dvc.repo import Repo

#: Where outputs lie; additions and withdrawals are dependencies that no run makes.
_OUTPUTS = ("data/", "models/", "reports/")
_NO_OUTPUTS = (ADDED_DIR.as_posix(), WITHDRAWN_DIR.as_posix())


@dataclass(frozen=True)
class Runs:
    """Entries of a run cache that go, in DVC's cache or on a remote."""

    fs: Any
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def remove(self) -> None:
        """Remove them."""
        if self.paths:
            self.fs.remove(list(self.paths))


def runs(fs: Any, folder: str, *, gone: Collection[str], keep: Collection[str] | None = None) -> Runs:
    """The entries that name an object which goes, or, where *keep* is given, one that is not kept; damaged ones too."""
    found = []
    for path in fs.find(folder) if fs.exists(folder) else ():
        named = _named(fs, path)
        if named is None or any(md5 in gone or (keep is not None and md5 not in keep) for md5 in named):
            found.append(str(path))
    return Runs(fs, tuple(sorted(found)))


def _named(fs: Any, path: str) -> set[str] | None:
    """The objects that an entry names: outputs, and dependencies that are another stage's outputs."""
    with suppress(Exception):
        with fs.open(path, "rb") as file:
            entry = parse(file.read())
        deps = [dep for dep in entry.get("deps") or () if str(dep["path"]).startswith(_OUTPUTS)]
        deps = [dep for dep in deps if not str(dep["path"]).startswith(_NO_OUTPUTS)]
        outs = [out for out in entry.get("outs") or () if out.get("cache", True)]
        return {str(each["md5"]) for each in (*outs, *deps)}
    return None


def old_listings(cache: Path, keep: Collection[str] | None, theirs: Callable[[Path], bool]) -> Removal:
    """Listings of folders where DVC 2 kept its objects, which DVC 3 writes there and never reads.

    It does so for outputs that ``dvc.lock`` does not have yet, as when the data set was changed: without an entry it
    takes them for version 2's. No file of theirs lies beside them.

    Parameters
    ----------
    keep
        Objects that stay, where the cache is the repository's own; ``None`` where it is shared.
    theirs
        Whether a listing names one of the patients' files.
    """
    found = []
    for path in sorted(cache.glob("[0-9a-f][0-9a-f]/*.dir")):
        if f"{path.parent.name}{path.name}" not in keep if keep is not None else theirs(path) and _alone(path):
            found.append(path)
    return Removal("listings of folders that DVC wrote in the way of its version 2", tuple(found))


def _alone(listing: Path) -> bool:
    """Whether none of the files that it lists is where DVC 2 would have put it."""
    with suppress(Exception):
        md5s = [entry["md5"] for entry in json.loads(listing.read_bytes())]
        return not any((listing.parents[1] / md5[:2] / md5[2:]).exists() for md5 in md5s)
    return False


def folders(repo: Repo, root: Path) -> Removal:
    """DVC's databases of file names and checksums, for this repository and the flows' worktrees below it.

    They lie outside the repository, in a folder for each path that DVC has worked in; which is whose only the paths in
    them tell. DVC makes them again, which costs one look at every file.
    """
    wanted = {Path(repo.site_cache_dir)}
    needle = f"{root}/".encode()
    for folder in _siblings(Path(repo.site_cache_dir)):
        if any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file()):
            wanted.add(folder)
    return Removal("", tuple(sorted(path for path in wanted if path.exists())))


def _siblings(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (path for path in folder.parent.iterdir() if path.is_dir())
