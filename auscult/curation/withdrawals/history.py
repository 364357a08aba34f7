"""The versions of the data that git knows: every state of ``dvc.lock`` and of the ``.dvc`` files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from auscult.core.errors import DataError
from auscult.versioning.commands import git
from auscult.versioning.git_objects import Objects
from auscult.versioning.lockfile import LOCK, parse


@dataclass(frozen=True)
class Out:
    """An output or an addition as a version records it; *md5* ends with ``.dir`` for a folder."""

    path: str
    md5: str

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


@dataclass(frozen=True)
class Made:
    """What a stage or an addition recorded: its outputs, and of what they were made.

    A lock may be of half a run: what a stage used is in its own entry, not in that of the stage before.
    """

    outs: tuple[Out, ...]
    deps: tuple[Out, ...] = ()


@dataclass(frozen=True)
class Version:
    """One state of everything that DVC tracks, and the commits that have it, the newest first."""

    made: tuple[Made, ...]
    commits: tuple[str, ...] = ()


def versions(root: Path) -> list[Version]:
    """Of every commit that a branch, tag, remote-tracking branch, stash, experiment or reflog leads to.

    What a reflog alone remembers counts as well: an amended commit's data may have been pushed before.
    """
    commits = git(root, "rev-list", "--all", "--reflog").splitlines()
    by_files: dict[frozenset[tuple[str, str]], list[str]] = {}
    with Objects(root) as objects:
        trees = _Trees(objects)
        for commit in commits:
            by_files.setdefault(trees.tracking(commit), []).append(commit)
        contents = {blob: objects.read(blob) for files in by_files for _, blob in files}
    return [
        Version(tuple(made for path, blob in sorted(files) for made in _made(path, contents[blob])), tuple(commits))
        for files, commits in by_files.items()
    ]


def present(root: Path) -> Version:
    """What the stages and additions that there are have made, as it is recorded here, committed or not.

    Entries of ``dvc.lock`` that no stage of ``dvc.yaml`` has any more are left out: DVC keeps those of an experiment
    that was dropped, and what it once made may hold somebody.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        outs = [out for out in repo.index.outs if out.is_in_repo and out.hash_info]
        return Version((Made(tuple(Out(_place(root, out.fs_path), str(out.hash_info.value)) for out in outs)),))


def _place(root: Path, path: str) -> str:
    return Path(path).resolve().parent.relative_to(root.resolve()).joinpath(Path(path).name).as_posix()


def recorded(place: str, path: Path) -> list[Made]:
    """What a lock or a ``.dvc`` file records; *place* is where it lies in the repository, for its relative paths.

    Raises
    ------
    DataError
        It is damaged.
    """
    return list(_made(place, path.read_bytes(), strict=True))


def newest_first(root: Path, commits: Iterable[str]) -> list[str]:
    """The same commits in the order of git's log."""
    wanted = set(commits)
    return [commit for commit in git(root, "rev-list", "--all", "--reflog").splitlines() if commit in wanted]


def refs_of(root: Path, commits: Iterable[str]) -> list[str]:
    """Branches and tags whose newest commit is one of these."""
    tips = (
        line.split(" ", 1) for line in git(root, "for-each-ref", "--format=%(objectname) %(refname:short)").splitlines()
    )
    wanted = set(commits)
    return sorted(name for commit, name in tips if commit in wanted)


def _made(place: str, content: bytes, *, strict: bool = False) -> Iterator[Made]:
    try:
        said = _parsed(content) or {}
        entries = list((said.get("stages") or {}).values()) if posixpath.basename(place) == str(LOCK) else [said]
        for entry in entries:
            yield Made(_outs(place, entry.get("outs")), _outs(place, entry.get("deps")))
    except Exception as error:  # a parser's own, or what a file of another shape does to the lines above
        if strict:
            raise DataError(f"{place} cannot be read", where=place, next_step=f"git checkout {place}") from error


def _outs(place: str, entries: Iterable[Mapping[str, Any]] | None) -> tuple[Out, ...]:
    folder = posixpath.dirname(place)
    return tuple(
        Out(posixpath.normpath(posixpath.join(folder, each["path"])), str(each["md5"]))
        for each in entries or ()
        if each.get("md5")
    )


@cache
def _parsed(content: bytes) -> Mapping[str, Any]:
    """Versions share most of their files."""
    said: Mapping[str, Any] = parse(content)
    return said


class _Trees:
    """The files with which DVC tracks something, commit by commit; trees that commits share are read once."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._trees: dict[str, frozenset[tuple[str, str]]] = {}

    def tracking(self, commit: str) -> frozenset[tuple[str, str]]:
        """(path, blob) of each file with which DVC tracks something in a commit."""
        tree = self._objects.read(commit).partition(b"\n")[0].split()
        return self._below(tree[1].decode()) if len(tree) == 2 else frozenset()

    def _below(self, tree: str) -> frozenset[tuple[str, str]]:
        """The same of a tree."""
        if tree not in self._trees:
            found: set[tuple[str, str]] = set()
            for mode, name, blob in _entries(self._objects.read(tree), len(tree) // 2):
                if mode == b"40000":
                    found |= {(f"{name}/{path}", inner) for path, inner in self._below(blob)}
                elif name == str(LOCK) or (name.endswith(".dvc") and name != ".dvc"):
                    found.add((name, blob))
            self._trees[tree] = frozenset(found)
        return self._trees[tree]


def _entries(content: bytes, size: int) -> Iterator[tuple[bytes, str, str]]:
    """(mode, name, object) of a tree object, whose hashes have *size* bytes."""
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        yield mode, name.decode(errors="surrogateescape"), content[end + 1 : end + 1 + size].hex()
        at = end + 1 + size
