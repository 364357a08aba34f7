"""How a stage starts, fails and dies.

``run(main)`` is the last line of every stage's ``__main__``: it caps the maths
libraries at one thread per worker, keeps telemetry off, prints a user's error
without a traceback, and ends the process when the one that started it is gone.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from auscult.core.errors import EXIT_USER_ERROR, AuscultError

_ENVIRONMENT = {
    # One thread inside each worker: the stages parallelise over recordings and trials themselves,
    # and a reduction over a varying number of threads gives varying floats.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
#: Names the process of a flow, for what it starts.
OWNER = "AUSCULT_OWNER"
#: glibc's malloc.h: no block is mapped by itself, none is given back, the heap grows in large steps.
_MALLOC = {-4: 0, -1: 2**31 - 1, -2: 64 << 20}


def run(main: Callable[[], None], *, at_once: bool = True) -> None:
    """Run a stage's main function as a process that a user can trust.

    Where not *at_once*, the libraries get to tidy up at the end.

    Exit codes: 0 done, 2 an :class:`AuscultError` (printed, no traceback), 130
    interrupted, 1 a fault of the project (traceback).
    """
    prepare()
    try:
        main()
    except AuscultError as error:
        print(f"\nERROR: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USER_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if at_once:
        _leave()


def _leave() -> None:
    """End this process now: all is on disk, and to take torch and its like apart takes one to two seconds."""
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(0)


def prepare() -> None:
    """Set the environment of a stage and bind its life to its parent's."""
    os.environ.update(_ENVIRONMENT)
    log_to_stdout()
    die_with_parent()


def log_to_stdout() -> None:
    """Write the library's log messages to standard output, one plain line each."""
    logger = logging.getLogger("auscult")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stdout))
        logger.setLevel(logging.INFO)


def keep_freed_memory() -> None:
    """Let the C library keep the memory of large arrays for the next ones of the same size.

    By default it returns each to the system and is given empty pages again, recording after recording.
    (Training gains nothing from it and needs half as much memory again.) Elsewhere than under glibc
    this does nothing.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in _MALLOC.items():
            libc.mallopt(option, value)


def workers() -> int:
    """How many workers a stage uses: the processors this process may run on (AUSCULT_WORKERS overrides)."""
    configured = os.environ.get("AUSCULT_WORKERS", "")
    if configured.isdigit() and int(configured) > 0:
        return int(configured)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def die_with_parent(*, worker: bool = False) -> None:
    """End this process when the ``dvc`` that started it dies.

    DVC starts a stage through a shell, and ``kill -9`` of DVC leaves both alive: a
    stage that went on alone would write outputs that nobody recorded. A thread
    watches the parents that were there at the start, and the flow, where one started
    them. A stage that a person started by hand is not bound to the shell.

    Parameters
    ----------
    worker
        True in a worker process of a stage: it dies with the stage, whoever started that.
    """
    ancestors = _ancestors(worker) + _owner()
    if ancestors:
        threading.Thread(target=_watch, args=(ancestors,), name="die-with-parent", daemon=True).start()


def _ancestors(worker: bool) -> list[tuple[int, float]]:
    """(pid, start time) of the parents as far as the first ``dvc``; a worker's stage at least."""
    import psutil

    chain: list[tuple[int, float]] = []
    try:
        for parent in psutil.Process().parents()[:8]:
            chain.append((parent.pid, parent.create_time()))
            if any(Path(word).name == "dvc" for word in parent.cmdline()[:3]):
                return chain
    except psutil.Error:
        pass
    return chain[:1] if worker else []


def _owner() -> list[tuple[int, float]]:
    """(pid, start time) of the flow that this run belongs to, if any."""
    import psutil

    owner = os.environ.get(OWNER, "")
    try:
        return [(int(owner), psutil.Process(int(owner)).create_time())] if owner.isdigit() else []
    except psutil.Error:
        os._exit(1)  # it is gone already


def _watch(ancestors: list[tuple[int, float]]) -> None:
    import psutil

    while True:
        for pid, started in ancestors:
            try:
                alive = psutil.Process(pid).create_time() == started and psutil.Process(pid).status() != "zombie"
            except psutil.Error:
                alive = False
            if not alive:
                os._exit(1)
        time.sleep(0.2)
