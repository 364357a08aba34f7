"""What a killed flow leaves running: a ``git push`` goes on alone and would arrive after the run was taken back."""

from __future__ import annotations

from contextlib import suppress

import psutil

from auscult.core.process import OWNER

_PATIENCE_S = 10.0


def end_orphans() -> int:
    """End the commands of flows that are dead, in whichever clone; returns how many there were.

    They are known by :data:`auscult.core.process.OWNER` in their environment, which their own children inherit.
    """
    orphans = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            owner = process.environ().get(OWNER, "")
            if owner.isdigit() and not _lives(int(owner), process):
                orphans.append(process)
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=_PATIENCE_S)
    return len(orphans)


def _lives(owner: int, child: psutil.Process) -> bool:
    """Whether the flow that started *child* is there; a younger process with its number is another one."""
    try:
        process = psutil.Process(owner)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= child.create_time()
    except psutil.NoSuchProcess:
        return False
