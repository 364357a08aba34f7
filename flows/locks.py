"""DVC's lock file, cleared of owners that are dead.

DVC drops an owner whose process id is gone. Three cases remain, each of which would stop
the next run: the id was given to another process meanwhile, the owner is a zombie that
nobody reaped, and the file was cut in the middle of a write.
"""

from __future__ import annotations

import fcntl
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from stages.errors import AuscultError

FOLDER = Path(".dvc/tmp")


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
        dead = sorted({owner["pid"] for owner in _owners(content) if not _is_dvc(owner["pid"])})
        alive = [owner for owner in _owners(content) if owner["pid"] not in dead]
        if dead:
            lock.write_text(json.dumps(_without(content, set(dead))), encoding="utf-8")
    if dead:
        time.sleep(0.6)  # a stage that lost its dvc ends itself within a fraction of a second
    if alive:
        raise AuscultError(
            f"another run is in progress: process {alive[0]['pid']}, {alive[0]['cmd']}",
            where=str(lock),
            next_step="wait for it, or end it, then run the same command again",
        )
    return dead


def _owners(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Every owner of a read or write lock."""
    writers = [owner for owner in content.get("write", {}).values() if owner]
    readers = [owner for owners in content.get("read", {}).values() for owner in owners]
    return writers + readers


def _without(content: dict[str, Any], dead: set[int]) -> dict[str, Any]:
    write = {path: owner for path, owner in content.get("write", {}).items() if owner and owner["pid"] not in dead}
    read = {path: [o for o in owners if o["pid"] not in dead] for path, owners in content.get("read", {}).items()}
    return {"write": write, "read": {path: owners for path, owners in read.items() if owners}}


def _is_dvc(pid: int) -> bool:
    """Whether a process is a living ``dvc …``, ``python …/bin/dvc …`` or ``python -m dvc …``.

    Not whether it mentions DVC somewhere: `vim dvc.yaml` may have been given a dead owner's id.
    """
    try:
        words = psutil.Process(pid).cmdline()  # a zombie has none
        return any(Path(word).name == "dvc" for word in words[:3]) or ("-m", "dvc") in pairwise(words[:8])
    except psutil.Error:
        return False
