"""``dvc.lock`` through git's history: which commit has which model and which data.

A lock has hundreds of kilobytes, and a history many of them. Each is read once, all by one git process, and of each
only the stages that are asked for are parsed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.workspace.commands import environment, git
from stages.paths import Paths

LOCK = "dvc.lock"
_AT_A_TIME = 64
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
    names, version = tuple(stages), (Paths(dataset).data / "version.json").as_posix()
    separator = "\x1f"
    told = git(
        root, "log", "--full-history", f"--format=%H{separator}%cI{separator}%s", *revisions, "--", LOCK, version
    )
    lines = [line.split(separator, 2) for line in told.splitlines()]
    blobs = _blobs(root, [f"{sha}:{path}" for sha, *_ in lines for path in (LOCK, version)])
    locks = _contents(root, {blobs[f"{sha}:{LOCK}"] for sha, *_ in lines}, lambda text: entries(text, names))
    versions = _contents(root, {blobs[f"{sha}:{version}"] for sha, *_ in lines}, _json)
    found = [
        Commit(sha, date, subject, locks[blobs[f"{sha}:{LOCK}"]], versions[blobs[f"{sha}:{version}"]])
        for sha, date, subject in lines
    ]
    return [*found, *_workspace(root, names, root / version)]


def at_revision(root: Path, sha: str) -> Commit | None:
    """The lock, with all its stages, as it is at a commit, whoever changed it last; ``None`` where there is none."""
    blobs = _blobs(root, [f"{sha}:{LOCK}"])
    if not any(blobs.values()):
        return None
    (stages,) = (read for blob, read in _contents(root, set(blobs.values()), entries).items() if blob)
    place = f"{sha}:{(Paths(dataset_of(stages)).data / 'version.json').as_posix()}"
    about = _blobs(root, [place])
    version = _contents(root, set(about.values()), _json)[about[place]]
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
    about = _json(version.read_text(encoding="utf-8")) if version.exists() else {}
    return [Commit("", "", "", entries(lock.read_text(encoding="utf-8"), names), about)]


def entries(lock: str, names: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The entries of stages in the text of a lock; those that are not there are left out.

    DVC writes a stage's name with two spaces before it and its entry with more, so that one stage can be cut out
    and parsed alone: 1 ms instead of 30 for all.
    """
    import yaml

    if names is None:
        return dict((yaml.load(lock, yaml.CSafeLoader) or {}).get("stages", {}))
    found = {}
    for name in names:
        begin = lock.find(f"\n  {name}:\n")
        if begin < 0:
            continue
        body = lock.index("\n", begin + 1) + 1
        end = _NEXT_STAGE.search(lock, body)
        found[name] = _entry(lock[body : end.start() if end else None])
    return found


def _entry(text: str) -> dict[str, Any]:
    import yaml

    parsed: dict[str, Any] = yaml.load(text, yaml.CSafeLoader) or {}
    return parsed


def _json(text: str) -> dict[str, Any]:
    """A file of git that anybody may have edited: what is no object counts as not there."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _blobs(root: Path, places: list[str]) -> dict[str, str]:
    """``<commit>:<path>`` → blob; empty where there is no such file."""
    asked = _cat_file(root, "--batch-check=%(objectname) %(objecttype)", places)
    answers = [line.split(" ") for line in asked.decode().splitlines()]
    return {place: answer[0] if answer[-1] == "blob" else "" for place, answer in zip(places, answers, strict=True)}


def _contents(root: Path, blobs: set[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Blob → what *read* makes of its text; an empty mapping for none."""
    found: dict[str, Any] = {"": {}}
    wanted = sorted(blobs - {""})
    for first in range(0, len(wanted), _AT_A_TIME):
        for name, content in _split(_cat_file(root, "--batch", wanted[first : first + _AT_A_TIME])):
            found[name] = read(content.decode(errors="replace"))
    return found


def _split(answer: bytes) -> Iterator[tuple[str, bytes]]:
    """The objects in what ``git cat-file --batch`` prints: a line ``<name> <type> <size>``, then the bytes."""
    place = 0
    while place < len(answer):
        end = answer.index(b"\n", place)
        name, _, size = answer[place:end].decode().split(" ")
        yield name, answer[end + 1 : end + 1 + int(size)]
        place = end + 1 + int(size) + 1


def _cat_file(root: Path, option: str, wanted: list[str]) -> bytes:
    if not wanted:
        return b""
    command = ["git", "cat-file", option]
    asked = "".join(f"{line}\n" for line in wanted).encode()
    return subprocess.run(command, cwd=root, env=environment(), input=asked, capture_output=True, check=True).stdout
