"""What git's history records of DVC's outputs: versions of the data by their objects, ``dvc.lock`` commit by commit.

A lock has hundreds of kilobytes, and a history many of them: one git process reads all, and only the stages that are
asked for are parsed.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.versioning import clone, lockfile
from auscult.versioning.commands import git
from auscult.versioning.dvc_internals import Repository
from auscult.versioning.dvc_objects import FOLDER
from auscult.versioning.git_objects import GitObjects
from auscult.versioning.lockfile import LOCK, DamagedError

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Out:
    """An output or an addition as a version records it; *md5* ends with ``.dir`` for a folder."""

    path: str
    md5: str

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(FOLDER)


@dataclass(frozen=True)
class Entry:
    """What a stage or a ``.dvc`` file recorded: its outputs and its dependencies.

    A lock may be of an unfinished run, so that the dependencies need not be the outputs of the stage before.
    """

    outs: tuple[Out, ...]
    deps: tuple[Out, ...] = ()


@dataclass(frozen=True)
class Version:
    """One state of everything that DVC tracks, and the commits that have it, the newest first."""

    entries: tuple[Entry, ...]
    commits: tuple[str, ...] = ()


def versions(root: Path) -> list[Version]:
    """Return the versions of every commit that a branch, tag, remote branch, stash, experiment or reflog leads to.

    A commit that only a reflog remembers counts as well: the data of an amended commit may have been pushed before.

    Raises
    ------
    AuscultError
        The clone is shallow, or has some branches only; or an object of git is missing.
    """
    clone.check_whole(root)
    commits = git(root, "rev-list", "--all", "--reflog").splitlines()
    by_files: dict[frozenset[tuple[str, str]], list[str]] = {}
    with GitObjects(root) as objects:
        trees = _Trees(objects)
        for commit in commits:
            by_files.setdefault(trees.tracking_files(commit), []).append(commit)
        contents = {blob: objects.read_known(blob) for files in by_files for _, blob in files}
    return [
        Version(tuple(e for path, blob in sorted(files) for e in _entries(path, contents[blob])), tuple(commits))
        for files, commits in by_files.items()
    ]


def in_workspace(root: Path) -> Version:
    """Return what the present stages and additions have recorded in the workspace, committed or not.

    Entries of ``dvc.lock`` that no stage of ``dvc.yaml`` has any more are left out: DVC keeps those of an experiment
    that was dropped, and its outputs may hold a patient who has withdrawn.
    """
    with Repository(root) as repository:
        return Version((Entry(tuple(Out(path, md5) for path, md5 in repository.outs())),))


def in_copy(path: Path) -> Version:
    """Return what a copy of ``dvc.lock`` records.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        return Version(tuple(_entries(str(LOCK), path.read_bytes(), strict=True)))
    except Exception as error:  # any error that content of another shape causes
        raise DataError(
            f"{path} cannot be read",
            where=str(path),
            next_step=f"auscult run --dataset {path.stem}, which writes it again; then the same command again",
        ) from error


def newest_first(root: Path, commits: Iterable[str]) -> list[str]:
    """Return the same commits in the order of git's log."""
    wanted = set(commits)
    return [commit for commit in git(root, "rev-list", "--all", "--reflog").splitlines() if commit in wanted]


def refs_of(root: Path, commits: Iterable[str]) -> list[str]:
    """Return the branches and tags whose newest commit is one of these."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname:short)").splitlines()
    wanted = set(commits)
    return sorted(name for commit, name in (line.split(" ", 1) for line in listed) if commit in wanted)


def _entries(place: str, content: bytes, *, strict: bool = False) -> Iterator[Entry]:
    """Yield the entries of a lock or of a ``.dvc`` file at *place* in the repository; what is damaged is skipped."""
    try:
        data = _parsed(content) or {}
        listed = list((data.get("stages") or {}).values()) if posixpath.basename(place) == str(LOCK) else [data]
        for entry in listed:
            yield Entry(_outs(place, entry.get("outs")), _outs(place, entry.get("deps")))
    except Exception:  # of the parser, or of a file of another shape
        if strict:
            raise


def _outs(place: str, entries: Iterable[Mapping[str, Any]] | None) -> tuple[Out, ...]:
    folder = posixpath.dirname(place)
    return tuple(
        Out(posixpath.normpath(posixpath.join(folder, each["path"])), str(each["md5"]))
        for each in entries or ()
        if each.get("md5")
    )


@cache
def _parsed(content: bytes) -> Mapping[str, Any]:
    """Parse a file once: versions share most of their files."""
    data: Mapping[str, Any] = lockfile.parse(content)
    return data


class _Trees:
    """Finder of the files with which DVC tracks data, commit by commit; trees that commits share are read once."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._trees: dict[str, frozenset[tuple[str, str]]] = {}

    def tracking_files(self, commit: str) -> frozenset[tuple[str, str]]:
        """Return (path, blob) of ``dvc.lock`` and every ``.dvc`` file of a commit."""
        tree = self._objects.read_known(commit).partition(b"\n")[0].split()
        return self._below(tree[1].decode()) if len(tree) == 2 else frozenset()

    def _below(self, tree: str) -> frozenset[tuple[str, str]]:
        if tree not in self._trees:
            found: set[tuple[str, str]] = set()
            for mode, name, blob in _tree_entries(self._objects.read_known(tree), len(tree) // 2):
                if mode == b"40000":
                    found |= {(f"{name}/{path}", inner) for path, inner in self._below(blob)}
                elif name == str(LOCK) or (name.endswith(".dvc") and name != ".dvc"):
                    found.add((name, blob))
            self._trees[tree] = frozenset(found)
        return self._trees[tree]


def _tree_entries(content: bytes, size: int) -> Iterator[tuple[bytes, str, str]]:
    """Yield (mode, name, object) of a tree object whose hashes have *size* bytes."""
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        yield mode, name.decode(errors="surrogateescape"), content[end + 1 : end + 1 + size].hex()
        at = end + 1 + size


@dataclass(frozen=True)
class Commit:
    """A commit that changed ``dvc.lock`` or a data set's ``version.json``; or the workspace, with an empty *sha*.

    Attributes
    ----------
    date
        Date of the commit, ISO 8601.
    stages
        Entries of ``dvc.lock`` for the stages that were asked for.
    version
        ``data/<dataset>/version.json`` in this commit; empty if it has none.
    """

    sha: str
    date: str
    subject: str
    stages: Mapping[str, Mapping[str, Any]]
    version: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.sha[:10]} {self.date[:10]} {self.subject}" if self.sha else "the workspace, not committed"


def commits(root: Path, dataset: str, stages: Iterable[str]) -> list[Commit]:
    """Return every commit of a branch, tag or experiment that changed the lock, the newest first; then the workspace.

    Parameters
    ----------
    stages
        Names in ``dvc.lock``, such as ``train@sounds_logmel_cnn2d``.

    Raises
    ------
    AuscultError
        The clone is shallow, or has some branches only.
    """
    clone.check_whole(root)
    names, version = tuple(stages), Paths(dataset).version.as_posix()
    form = f"--format=%H{_SEPARATOR}%cI{_SEPARATOR}%s"
    log = git(root, "log", "--full-history", form, "--all", "--", str(LOCK), version)
    found = []
    with GitObjects(root) as objects:
        for sha, date, subject in (line.split(_SEPARATOR, 2) for line in log.splitlines()):
            lock = objects.read(f"{sha}:{LOCK}").decode(errors="replace")
            about = _json(objects.read(f"{sha}:{version}"))
            found.append(Commit(sha, date, subject, lockfile.chosen_stages(lock, names), about))
    if (root / LOCK).exists():
        lock = (root / LOCK).read_text(encoding="utf-8")
        about = _json((root / version).read_bytes()) if (root / version).exists() else {}
        found.append(Commit("", "", "", lockfile.chosen_stages(lock, names), about))
    return found


def at_revision(root: Path, sha: str) -> Commit | None:
    """Return the lock with all its stages as it is at a commit; ``None`` if the commit has none.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        stages = lockfile.at_commit(root, sha)
    except DamagedError as error:
        where = f"{sha[:10]}:{LOCK}"
        raise DataError(f"{where} is damaged: {error}", where=where, next_step="name another commit") from error
    if stages is None:
        return None
    with GitObjects(root) as objects:
        version = _json(objects.read(f"{sha}:{Paths(dataset_of(stages)).version.as_posix()}"))
    date, _, subject = git(root, "log", "-1", "--format=%cI %s", sha).partition(" ")
    return Commit(sha, date, subject, stages, version)


def dataset_of(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the data set that a lock is about, by the outputs of its stage ``validate``; empty if unknown."""
    for out in stages.get("validate", {}).get("outs", []):
        folder, _, rest = str(out["path"]).partition("/")
        if folder == "data":
            return rest.partition("/")[0]
    return ""


def _json(text: bytes) -> dict[str, Any]:
    """Return a JSON object; empty for anything else, as a file in git can hold anything."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
