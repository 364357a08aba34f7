"""One run at a time: the lock of ``auscult run``, and DVC's lock file without owners that are dead.

DVC holds its lock only while it looks at a stage; between two stages its file names no owner for moments. The
project's own lock lasts from the first look at ``params.yaml`` to the table of results.

DVC drops an owner whose process id is gone. Three cases remain, each of which would stop the next run: the id was
given to another process, the owner is a zombie, or the file was cut off in the middle of a write.

A killed run can also leave commands running: a ``git push`` goes on alone and would arrive after the run was undone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError
from auscult.core.locks import hold
from auscult.core.process import OWNER

FOLDER = Path(".dvc/tmp")
_PATIENCE_S = 10.0


@contextmanager
def only_run(folder: Path = FOLDER) -> Iterator[None]:
    """Hold this repository's lock of ``auscult run``; the kernel releases it when the process dies.

    Raises
    ------
    AuscultError
        Another run is in progress; the message names its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "make-repro.lock"
    with hold(path, busy=lambda pid: _in_progress(f"process {pid or 'unknown'}, auscult run", path)):
        yield


def clear_dead(folder: Path = FOLDER) -> list[int]:
    """Remove dead owners from DVC's lock file; return the process ids of those that were removed.

    Raises
    ------
    AuscultError
        A DVC process that is alive holds the outputs; the message names it.
    """
    lock = folder / "rwlock"
    if not lock.exists():
        return []
    with hold(folder / "rwlock.lock"):
        try:
            content = json.loads(lock.read_text(encoding="utf-8"))
        except ValueError:  # cut off in the middle of a write: no process holds the guard, so none is writing
            lock.unlink()
            return []
        dead = sorted({owner["pid"] for owner in _owners(content) if not _is_alive(owner)})
        alive = [owner for owner in _owners(content) if owner["pid"] not in dead]
        if dead:
            lock.write_text(json.dumps(_without(content, set(dead))), encoding="utf-8")
    if dead:
        time.sleep(0.6)  # a stage that lost its dvc ends itself within a fraction of a second
    if alive:
        raise _in_progress(f"process {alive[0]['pid']}, {alive[0]['cmd']}", lock)
    return dead


def end_orphans() -> int:
    """End the commands of flows that are dead, in any clone; return how many there were.

    They are known by :data:`auscult.core.process.OWNER` in their environment, which their own children inherit.
    """
    orphans = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            owner = process.environ().get(OWNER, "")
            if owner.isdigit() and not _started(int(owner), process):
                orphans.append(process)
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=_PATIENCE_S)
    return len(orphans)


def _started(owner: int, child: psutil.Process) -> bool:
    """Return whether the process that started *child* is alive; a younger one with its id is another process."""
    try:
        process = psutil.Process(owner)
        # Both times are read now: they change where the clock is set, and process_iter() keeps the earlier one.
        younger = psutil.Process(child.pid).create_time() < process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and not younger
    except psutil.NoSuchProcess:
        return False


def _in_progress(who: str, lock: Path) -> AuscultError:
    return AuscultError(
        f"another run is in progress: {who}",
        where=str(lock),
        next_step="wait for it, or end it, then run the same command again",
    )


def _owners(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every owner of a read or write lock."""
    writers = [owner for owner in content.get("write", {}).values() if owner]
    readers = [owner for owners in content.get("read", {}).values() for owner in owners]
    return writers + readers


def _without(content: dict[str, Any], dead: set[int]) -> dict[str, Any]:
    write = {path: owner for path, owner in content.get("write", {}).items() if owner and owner["pid"] not in dead}
    read = {path: [o for o in owners if o["pid"] not in dead] for path, owners in content.get("read", {}).items()}
    return {"write": write, "read": {path: owners for path, owners in read.items() if owners}}


def _is_alive(owner: dict[str, Any]) -> bool:
    """Return whether an owner's process exists and is still the one that took the lock.

    It is ``dvc …``, ``python …/bin/dvc …`` or ``python -m dvc …``, or a program that calls DVC as a library: then its
    command line ends as the lock records it. A program that only mentions DVC, such as `vim dvc.yaml`, may have been
    given a dead owner's id.
    """
    try:
        words = psutil.Process(owner["pid"]).cmdline()  # a zombie has none
    except psutil.Error:
        return False
    if any(Path(word).name == "dvc" for word in words[:3]) or ("-m", "dvc") in pairwise(words[:8]):
        return True
    recorded = str(owner.get("cmd", "")).split()  # its sys.argv
    if not recorded or Path(recorded[0]).name == "dvc":
        return False
    present = " ".join(words).split()
    same_arguments = present[len(present) - len(recorded) + 1 :] == recorded[1:]
    return Path(recorded[0]).stem in {Path(word).stem for word in present} and same_arguments
