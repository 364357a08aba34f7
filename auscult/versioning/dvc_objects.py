"""Read DVC's objects: by MD5 from the cache or a remote, and the outputs that a revision records."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from auscult.core import withdrawals
from auscult.core.errors import DataError
from auscult.versioning.commands import CommandError, git
from auscult.versioning.dvc_internals import ObjectStore, Repository
from auscult.versioning.lockfile import LOCK, DamagedError, at_commit

#: End of the MD5 of a folder's listing.
FOLDER = ".dir"
_OTHER_REVISION = "compare another revision"


@dataclass(frozen=True)
class Remote:
    """A remote of DVC.

    Attributes
    ----------
    shared
        Whether others may reach it: false if its folder lies inside the repository, as in a fresh clone. Such a remote
        protects data from ``dvc gc`` and from a cache that is removed, but nobody else can pull from it.
    """

    name: str
    url: str
    shared: bool


def default_remote(place: Path) -> Remote | None:
    """Return DVC's default remote of a repository or of a worktree of it; ``None`` if no remote is the default."""
    with Repository(place) as repository:
        name = repository.default_remote
        url = repository.remote_url(name) if name else ""
    return Remote(name, url, shared=not _inside(place, url)) if name else None


def _inside(place: Path, url: str) -> bool:
    """Return whether an address is a folder of the repository that *place* is, or is a worktree of."""
    path = url.removeprefix("file://")
    if "://" in path:
        return False
    folder = Path(place, path).resolve()  # a link to a shared disk leads outside
    common = Path(place, git(place, "rev-parse", "--git-common-dir")).resolve()
    tops = [place.resolve(), common.parent]
    for name in ("config", "config.worktree"):  # of a submodule: its git folder lies in another repository
        tops += [(common / checkout).resolve() for checkout in _checkout_of(place, common / name)]
    return any(folder.is_relative_to(top) for top in tops)


def _checkout_of(place: Path, config: Path) -> list[str]:
    """Return the ``core.worktree`` that a configuration file of git states, if any."""
    with suppress(CommandError):
        return [git(place, "config", "--file", str(config), "core.worktree")]
    return []


def reachable_remotes(
    repository: Repository, root: Path, names: Iterable[str]
) -> tuple[dict[str, ObjectStore], list[str]]:
    """Return the remotes that can be reached, by name, and a line of text for each that cannot."""
    reached: dict[str, ObjectStore] = {}
    problems: list[str] = []
    for name in names:
        try:
            store = repository.remote(name)
            inside = store.is_local and store.folder.is_relative_to(root.resolve())
            if inside and not store.folder.exists():  # this clone's own, to which nothing was ever pushed
                continue
            store.check_reachable()
            reached[name] = store
        except Exception as error:  # each kind of remote has errors of its own
            problems.append(f"the remote {name} ({type(error).__name__}: {error})")
    return reached, problems


class ObjectReader:
    """Read small objects from the first store that has them; listings and table columns are read once.

    Parameters
    ----------
    stores
        The cache first, then remotes.
    """

    def __init__(self, stores: Iterable[ObjectStore]) -> None:
        self._stores = list(stores)
        self._listings: dict[str, list[tuple[str, str]] | None] = {}
        self._columns: dict[tuple[str, str], frozenset[str] | None] = {}

    def read(self, md5: str) -> bytes | None:
        """Return an object's content; ``None`` if no store has it or can be reached."""
        for store in self._stores:
            with suppress(Exception):  # each kind of remote has errors of its own
                return store.read(md5)
        return None

    def listing(self, md5: str) -> list[tuple[str, str]] | None:
        """Return (path in the folder, MD5) of a folder's files; ``None`` if the listing is unavailable."""
        if md5 not in self._listings:
            content = self.read(md5)
            entries = json.loads(content) if content is not None else None
            self._listings[md5] = [(e["relpath"], e["md5"]) for e in entries] if entries is not None else None
        return self._listings[md5]

    def column(self, md5: str, column: str) -> frozenset[str] | None:
        """Return the distinct values in a column of a Parquet table; ``None`` if it is unavailable or no table."""
        if (key := (md5, column)) not in self._columns:
            import pandas as pd

            self._columns[key] = None
            content = self.read(md5)
            if content is not None:
                with suppress(Exception):
                    table = pd.read_parquet(io.BytesIO(content), columns=[column])
                    self._columns[key] = frozenset(str(value) for value in table[column].dropna().unique())
        return self._columns[key]


class RevisionOutputs:
    """The outputs that a commit's ``dvc.lock`` records, read from DVC's cache or default remote; nothing is written.

    Parameters
    ----------
    root
        Root of the repository.
    commit
        The commit.
    revision
        Its name in messages.

    Raises
    ------
    DataError
        The commit has no ``dvc.lock``, or a damaged one.
    AuscultError
        There is no DVC repository at *root*.
    """

    def __init__(self, root: Path, commit: str, revision: str) -> None:
        self._root, self._revision, self._where = root, revision, f"{revision}:{LOCK}"
        try:
            stages = at_commit(root, commit)
            if stages is None:
                raise DataError(
                    f"{revision} was never reproduced: it has no {LOCK}",
                    where=self._where,
                    next_step="compare a revision that has one, or run dvc repro there and commit it",
                )
            outs = [out for stage in stages.values() for out in stage.get("outs", ())]
            self.outs: dict[str, str] = {out["path"]: out["md5"] for out in outs if "md5" in out}
        except (DamagedError, KeyError, TypeError) as error:
            why = str(error) if isinstance(error, DamagedError) else "its stages do not list their outputs"
            raise DataError(f"{self._where} is damaged: {why}", where=self._where, next_step=_OTHER_REVISION) from error
        self._repository = Repository(root)

    def __enter__(self) -> RevisionOutputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._repository.__exit__()

    def read(self, path: Path) -> bytes:
        """Return the content of a file that is an output, or lies in a folder that is one.

        Raises
        ------
        DataError
            The revision does not record the file, or neither the cache nor the remote has it.
        """
        for out in (path, *path.parents):
            if md5 := self.outs.get(out.as_posix()):
                if not md5.endswith(FOLDER):
                    return self._object(md5, path)
                inside = path.relative_to(out).as_posix()
                for entry in json.loads(self._object(md5, out)):
                    if PurePosixPath(entry["relpath"]).as_posix() == inside:
                        return self._object(entry["md5"], path)
        raise DataError(
            f"{path} is not an output that {self._revision} records", where=self._where, next_step=_OTHER_REVISION
        )

    def _object(self, md5: str, path: Path) -> bytes:
        with suppress(FileNotFoundError):
            return self._repository.cache.read(md5)
        remote = self._repository.default_remote
        if not remote:
            why = "is not in DVC's cache, and there is no default remote"
            raise self._missing(path, why, "dvc remote add -d NAME URL, with the remote that it was pushed to")
        try:
            return self._repository.remote(remote).read(md5)
        except FileNotFoundError as error:
            why = f"is neither in DVC's cache nor in the remote {remote!r}"
            pushed = f"git checkout {self._revision} && dvc push, where it was made (--all-commits pushes no older one)"
            raise self._missing(path, why, pushed) from error
        except Exception as error:  # each kind of remote has errors of its own
            raise DataError(
                f"{path} of {self._revision} is not in DVC's cache, and the remote {remote!r} cannot be read: {error}",
                where=self._where,
                next_step="dvc remote list; correct its address or your access, and run the same command again",
            ) from error

    def _missing(self, path: Path, why: str, remedy: str) -> DataError:
        if withdrawals.read(path.parts[1], self._root):  # data/<dataset>/…
            remedy = (
                "auscult data purge may have removed it for good, after a withdrawal (docs/withdrawals.md);"
                f" if not: {remedy}"
            )
        return DataError(
            f"{path} of {self._revision} {why}",
            where=self._where,
            next_step=f"{remedy}; or make it again: git checkout {self._revision} && dvc repro split",
        )
