"""``dvc.lock`` through git's history: which commit has which model and which data.

A lock has hundreds of kilobytes, and a history many of them: all are read by one git process, and of each only the
stages that are asked for are parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.versioning.commands import git
from auscult.versioning.git_objects import Objects
from auscult.versioning.lockfile import LOCK, DamagedError, parse
from auscult.versioning.lockfile import stages as all_stages

_NEXT_STAGE = re.compile(r"^ {0,2}[^ \n]", re.MULTILINE)


@dataclass(frozen=True)
class Commit:
    """A commit that changed ``dvc.lock`` or a data set's ``version.json``; or the workspace, with an empty *sha*.

    Attributes
    ----------
    date
        When it was committed, ISO 8601.
    stages
        Entries of ``dvc.lock``, of the stages that were asked for.
    version
        ``data/<dataset>/version.json`` there; empty where there was none.
    """

    sha: str
    date: str
    subject: str
    stages: Mapping[str, Mapping[str, Any]]
    version: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.sha[:10]} {self.date[:10]} {self.subject}" if self.sha else "the workspace, not committed"


def commits(root: Path, dataset: str, stages: Iterable[str], revisions: tuple[str, ...] = ("--all",)) -> list[Commit]:
    """Every commit on any branch, tag or DVC experiment that changed the lock, the newest first; then the workspace.

    Parameters
    ----------
    stages
        Names in ``dvc.lock``, such as ``train@sounds_logmel_cnn2d``.
    revisions
        What git is to look through, as ``git log`` takes it.
    """
    names, version = tuple(stages), Paths(dataset).version.as_posix()
    separator = "\x1f"
    told = git(
        root, "log", "--full-history", f"--format=%H{separator}%cI{separator}%s", *revisions, "--", str(LOCK), version
    )
    lines = [line.split(separator, 2) for line in told.splitlines()]
    with Objects(root) as objects:
        found = [
            Commit(
                sha,
                date,
                subject,
                entries(objects.read(f"{sha}:{LOCK}").decode(errors="replace"), names),
                _json(objects.read(f"{sha}:{version}")),
            )
            for sha, date, subject in lines
        ]
    return [*found, *_workspace(root, names, root / version)]


def at_revision(root: Path, sha: str) -> Commit | None:
    """The lock, with all its stages, as it is at a commit, whoever changed it last; ``None`` where there is none.

    Raises
    ------
    DataError
        It is damaged.
    """
    with Objects(root) as objects:
        lock = objects.read(f"{sha}:{LOCK}")
        if not lock:
            return None
        try:
            stages = all_stages(lock)
        except DamagedError as error:
            where = f"{sha[:10]}:{LOCK}"
            raise DataError(f"{where} is damaged: {error}", where=where, next_step="name another commit") from error
        version = _json(objects.read(f"{sha}:{Paths(dataset_of(stages)).version.as_posix()}"))
    date, _, subject = git(root, "log", "-1", "--format=%cI %s", sha).partition(" ")
    return Commit(sha, date, subject, stages, version)


def dataset_of(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """The data set that a lock is about: a lock has one entry per stage, so there is one; empty where none tells."""
    for out in stages.get("validate", {}).get("outs", []):
        folder, _, rest = str(out["path"]).partition("/")
        if folder == "data":
            return rest.partition("/")[0]
    return ""


def _workspace(root: Path, names: tuple[str, ...], version: Path) -> list[Commit]:
    lock = root / LOCK
    if not lock.exists():
        return []
    about = _json(version.read_bytes()) if version.exists() else {}
    return [Commit("", "", "", entries(lock.read_text(encoding="utf-8"), names), about)]


def entries(lock: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The entries of stages in the text of a lock; those that are not there are left out.

    DVC writes a stage's name with two spaces before it and its entry with more, so that one stage can be cut out
    and parsed alone: 1 ms instead of 30 for all.
    """
    found = {}
    for name in names:
        begin = lock.find(f"\n  {name}:\n")
        if begin < 0:
            continue
        body = lock.index("\n", begin + 1) + 1
        end = _NEXT_STAGE.search(lock, body)
        with suppress(DamagedError):  # as of a merge that somebody committed in the middle
            found[name] = parse(lock[body : end.start() if end else None]) or {}
    return found


def _json(text: bytes) -> dict[str, Any]:
    """A file of git that anybody may have edited: what is no object counts as not there."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
