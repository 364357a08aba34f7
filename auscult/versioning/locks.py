"""One run at a time: ``make repro``'s own lock, and DVC's lock file, cleared of owners that are dead.

DVC holds its lock only while a stage is being looked at; between two stages the file names
nobody for moments. The own lock lasts from the first look at ``params.yaml`` to the table.

DVC drops an owner whose process id is gone. Three cases remain, each of which would stop
the next run: the id was given to another process meanwhile, the owner is a zombie that
nobody reaped, and the file was cut in the middle of a write.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError

FOLDER = Path(".dvc/tmp")


@contextmanager
def only_run(folder: Path = FOLDER) -> Iterator[None]:
    """Hold this repository's lock of ``make repro``; the kernel lets go of it when the process dies.

    Raises
    ------
    AuscultError
        Another ``make repro`` is in progress; the message names its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "make-repro.lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise _in_progress(f"process {file.read().strip() or 'unknown'}, make repro", path) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def clear_dead(folder: Path = FOLDER) -> list[int]:
    """Remove dead owners from DVC's lock file.

    Returns
    -------
    list of int
        Process ids of the owners that were removed.

    Raises
    ------
    AuscultError
        A living DVC holds the outputs; the message names it.
    """
    lock = folder / "rwlock"
    if not lock.exists():
        return []
    with (folder / "rwlock.lock").open("a+") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            content = json.loads(lock.read_text(encoding="utf-8"))
        except ValueError:  # cut in the middle of a write: nobody holds the guard, so nobody is writing
            lock.unlink()
            return []
        dead = sorted({owner["pid"] for owner in _owners(content) if not _lives(owner)})
        alive = [owner for owner in _owners(content) if owner["pid"] not in dead]
        if dead:
            lock.write_text(json.dumps(_without(content, set(dead))), encoding="utf-8")
    if dead:
        time.sleep(0.6)  # a stage that lost its dvc ends itself within a fraction of a second
    if alive:
        raise _in_progress(f"process {alive[0]['pid']}, {alive[0]['cmd']}", lock)
    return dead


def _in_progress(who: str, lock: Path) -> AuscultError:
    return AuscultError(
        f"another run is in progress: {who}",
        where=str(lock),
        next_step="wait for it, or end it, then run the same command again",
    )


def _owners(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Every owner of a read or write lock."""
    writers = [owner for owner in content.get("write", {}).values() if owner]
    readers = [owner for owners in content.get("read", {}).values() for owner in owners]
    return writers + readers


def _without(content: dict[str, Any], dead: set[int]) -> dict[str, Any]:
    write = {path: owner for path, owner in content.get("write", {}).items() if owner and owner["pid"] not in dead}
    read = {path: [o for o in owners if o["pid"] not in dead] for path, owners in content.get("read", {}).items()}
    return {"write": write, "read": {path: owners for path, owners in read.items() if owners}}


def _lives(owner: dict[str, Any]) -> bool:
    """Whether an owner's process is there and is still the one that took the lock.

    It is ``dvc …``, ``python …/bin/dvc …`` or ``python -m dvc …``, or a program that calls DVC as a library: its
    command line ends as the lock has it. Not any that mentions DVC: `vim dvc.yaml` may have a dead owner's id.
    """
    try:
        words = psutil.Process(owner["pid"]).cmdline()  # a zombie has none
    except psutil.Error:
        return False
    if any(Path(word).name == "dvc" for word in words[:3]) or ("-m", "dvc") in pairwise(words[:8]):
        return True
    said = str(owner.get("cmd", "")).split()  # its sys.argv
    if not said or Path(said[0]).name == "dvc":
        return False
    mine = " ".join(words).split()
    return Path(said[0]).stem in {Path(word).stem for word in mine} and mine[len(mine) - len(said) + 1 :] == said[1:]
