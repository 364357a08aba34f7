"""Adapter to DVC's Python internals: no other module imports ``dvc``.

DVC documents only its command line and ``dvc.api``. Purging removes files from places that DVC does not document: it
calls :func:`check_version` first, because with another layout it would miss objects, or remove the wrong ones. Reading
does not depend on the version: at worst it fails, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.errors import AuscultError

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB

# DVC takes half a second to import, and most commands never need it: its imports stand inside the functions.

#: The minor version of DVC with which purging is tested.
TESTED = "3.67"


def check_version() -> None:
    """Raise an :class:`AuscultError` if DVC is of a version with which purging is not tested."""
    from dvc import __version__

    if __version__.split(".")[:2] != TESTED.split("."):
        raise AuscultError(
            f"purging relies on DVC's internals and is tested with DVC {TESTED} only; DVC {__version__} is installed."
            " Nothing was removed",
            where="the Python environment",
            next_step=f"pip install 'dvc~={TESTED}.0', then the same command again",
        )


def is_lock(data: Any) -> bool:
    """Return whether parsed YAML is a complete ``dvc.lock`` by DVC's own schema."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(data)
    except Invalid:
        return False
    return True


class ObjectStore:
    """DVC's cache or one of its remotes: objects by MD5, that of a folder's listing ending with ``.dir``.

    Whatever the file system of a remote raises is passed on.
    """

    def __init__(self, name: str, database: HashFileDB, run_cache: str) -> None:
        self.name = name
        self._database = database
        self._run_cache = run_cache

    def read(self, md5: str) -> bytes:
        """Return an object's content. Raise :class:`FileNotFoundError` if it is not stored here."""
        with self._database.fs.open(self._database.oid_to_path(md5), "rb") as file:
            content: bytes = file.read()
        return content

    def all(self) -> set[str]:
        """Return the MD5 of every object; slow on a remote."""
        with suppress(FileNotFoundError):
            return set(self._database.all())
        return set()

    def stored(self, md5s: Collection[str]) -> set[str]:
        """Return those of these objects that are stored here."""
        return set(self._database.list_oids_exists(md5s)) if md5s else set()

    def remove(self, md5s: Iterable[str]) -> None:
        """Remove those of these objects that are stored here."""
        paths = [path for path in map(self._database.oid_to_path, md5s) if self._database.fs.exists(path)]
        if paths:
            self._database.fs.remove(paths)

    def check_reachable(self) -> None:
        """Raise the file system's error if the store cannot be reached."""
        if self._database.fs.protocol == "local" and not (folder := self.folder).exists():
            raise FileNotFoundError(str(folder))
        self._database.fs.exists(self._database.path)

    @property
    def folder(self) -> Path:
        """The top folder of a store on a local disk."""
        return Path(self._database.path).parents[1]

    @property
    def is_local(self) -> bool:
        return bool(self._database.fs.protocol == "local")

    def run_cache(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield path and content of each entry of the run cache; ``None`` for one that cannot be read."""
        fs = self._database.fs
        for path in fs.find(self._run_cache) if fs.exists(self._run_cache) else ():
            content: bytes | None = None
            with suppress(Exception), fs.open(path, "rb") as file:
                content = file.read()
            yield str(path), content

    def remove_run_cache(self, paths: Iterable[str]) -> None:
        """Remove entries of the run cache by their paths."""
        if listed := list(paths):
            self._database.fs.remove(listed)


class Repository:
    """A DVC repository, opened in this process; use it as a context manager.

    Raises
    ------
    AuscultError
        There is no DVC repository at *root*.
    """

    def __init__(self, root: Path) -> None:
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo

        try:
            self._repo = Repo(str(root))
        except NotDvcRepoError as error:
            raise AuscultError(
                "this is not a DVC repository", where=str(root), next_step="name the repository's root"
            ) from error
        self._root = root.resolve()

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def locked(self) -> AbstractContextManager[Any]:
        """Return DVC's repository lock as a context manager."""
        lock: AbstractContextManager[Any] = self._repo.lock
        return lock

    def pipeline(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return (stage, stages whose outputs it reads) in an order in which they can run.

        Where the graph leaves a choice the order is that of ``dvc.yaml``.
        """
        import networkx

        graph = self._repo.index.graph
        position = {stage: number for number, stage in enumerate(self._repo.index.stages)}
        ordered = networkx.lexicographical_topological_sort(graph.reverse(copy=True), key=position.__getitem__)
        return [
            (stage.name, tuple(sorted(need.name for need in graph.successors(stage) if need.cmd)))
            for stage in ordered
            if stage.cmd
        ]

    def outs(self) -> list[tuple[str, str]]:
        """Return (path relative to the root, MD5) of the recorded outputs of present stages and ``.dvc`` files."""
        found = [out for out in self._repo.index.outs if out.is_in_repo and out.hash_info]
        return [(self._relative(out.fs_path), str(out.hash_info.value)) for out in found]

    def paths(self) -> list[Path]:
        """Return the absolute paths of the dependencies and outputs of all stages and ``.dvc`` files."""
        return [Path(each.fs_path) for each in (*self._repo.index.deps, *self._repo.index.outs)]

    def _relative(self, path: str) -> str:
        folder = Path(path).resolve().parent.relative_to(self._root)
        return folder.joinpath(Path(path).name).as_posix()

    @property
    def cache_folder(self) -> Path:
        return Path(self._repo.cache.local_cache_dir)

    @property
    def cache(self) -> ObjectStore:
        return ObjectStore("DVC's cache", self._repo.cache.local, self._repo.stage_cache.cache_dir)

    @property
    def remotes(self) -> list[str]:
        """Names of the configured remotes."""
        return list(self._repo.config["remote"])

    @property
    def default_remote(self) -> str | None:
        return self._repo.config["core"].get("remote") or None

    def remote_url(self, name: str) -> str:
        from dvc.fs import get_fs_config

        return str(get_fs_config(self._repo.config, name=name)["url"])

    def remote(self, name: str) -> ObjectStore:
        """Return a remote's store; raise whatever its file system does if it cannot be opened."""
        database = self._repo.cloud.get_remote_odb(name)
        top = self._repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix").path  # above DVC 3's files/md5
        return ObjectStore(f"the remote {name}", database, database.fs.join(top, "runs"))

    def remote_paths(self) -> dict[str, dict[str, str]]:
        """Return, for each remote, its settings that are relative paths in a configuration file, as absolute paths."""
        from dvc.config_schema import RelPath

        return {
            name: {key: str(value) for key, value in remote.items() if isinstance(value, RelPath)}
            for name, remote in self._repo.config["remote"].items()
        }

    def state_folders(self) -> list[Path]:
        """Return the folders of DVC's databases of file names and checksums, of this repository and worktrees below it.

        They lie outside the repository, one folder for each path that DVC has worked in; only the paths inside them
        tell to which repository they belong. DVC makes them again.
        """
        own = Path(self._repo.site_cache_dir)
        needle = f"{self._root}/".encode()
        wanted = {own}
        with suppress(OSError):
            for folder in own.parent.iterdir():
                files = (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ()
                if any(needle in path.read_bytes() for path in files):
                    wanted.add(folder)
        return sorted(path for path in wanted if path.exists())
