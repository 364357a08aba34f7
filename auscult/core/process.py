"""Set-up and exit of a process of the pipeline.

``run(main)`` is the last line of every stage: it limits the maths libraries to one thread
per worker and one instruction set, disables telemetry, sends log messages to standard output, prints
errors without a traceback, and ends the process when the process that started it is gone.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from auscult.core import instruction_set
from auscult.core.crashes import report
from auscult.core.errors import EXIT_INTERRUPTED
from auscult.core.paths import CACHE_DIR

_LOG = logging.getLogger(__name__)

#: Where DVC runs temporary and queued experiments.
_EXPERIMENTS = Path(".dvc/tmp/exps")
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
#: Environment variable with the process id of the flow that a process belongs to.
OWNER = "AUSCULT_OWNER"
#: Options of mallopt (glibc's malloc.h): never map a block separately, never trim the heap, grow it in large steps.
_MALLOC = {-4: 0, -1: 2**31 - 1, -2: 64 << 20}
#: Loggers of this project; ``python -m stages.split`` logs as ``__main__``.
_LOGGERS = ("auscult", "stages", "flows", "benchmarks", "__main__")


def run(main: Callable[[], None], *, at_once: bool = True) -> None:
    """Run the main function of a process and exit.

    Exit codes: 0 done, 130 interrupted, and those of :func:`auscult.core.crashes.report`.

    Parameters
    ----------
    main
        The work to do.
    at_once
        End the process without finalisers: everything is on disk, and unloading libraries such as torch takes
        one to two seconds.
    """
    prepare()
    share_cache()
    with log_to_stdout():
        if obstacle := instruction_set.obstacle():
            _LOG.warning("%s: last digits, and so a network's scores, differ from those of other machines", obstacle)
        try:
            main()
        except KeyboardInterrupt:
            raise SystemExit(EXIT_INTERRUPTED) from None
        except Exception as error:
            raise SystemExit(report(error)) from None
    if at_once:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(0)


def prepare() -> None:
    """Limit the maths libraries to one thread and one instruction set, disable telemetry, and end with the parent."""
    os.environ.update(_ENVIRONMENT)
    instruction_set.pin()
    place_compiled_code()
    accept_every_character()
    die_with_parent()


def place_compiled_code() -> None:
    """Let numba keep its compiled code in the project's cache where the installed packages cannot be written.

    By default it keeps it beside the source, or in the user's home; where neither can be written, this project's
    functions and librosa's would raise on import. A folder that the user has set is kept.
    """
    packages = (Path(__file__).parent, Path(sysconfig.get_path("purelib")))
    if not all(os.access(folder, os.W_OK) for folder in packages):
        os.environ.setdefault("NUMBA_CACHE_DIR", str((CACHE_DIR / "numba").absolute()))


def accept_every_character(*, utf8: bool = False) -> None:
    """Print ``?`` for what the terminal's encoding (Latin-1, ASCII) does not have, instead of an error.

    Parameters
    ----------
    utf8
        Standard output is read by a program: JSON and Markdown are UTF-8 everywhere, and nothing in them is replaced.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if utf8 and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # in JSON, these are valid escapes


def share_cache() -> None:
    """Link the cache of the project into a temporary copy of it, as ``dvc exp run --temp`` and ``--queue`` make.

    The remembered source, downloads and finished trials are there. Worktrees of flows have the same link.
    """
    if CACHE_DIR.exists() or CACHE_DIR.is_symlink():
        return
    here = Path.cwd()
    for root in here.parents:
        if here.is_relative_to(root / _EXPERIMENTS):
            (root / CACHE_DIR).mkdir(exist_ok=True)
            CACHE_DIR.symlink_to(root / CACHE_DIR)
            return


@contextmanager
def log_to_stdout() -> Iterator[None]:
    """Write messages of this project, level INFO and above, to standard output as plain lines.

    Messages of other libraries are not affected.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # a library that configures the root logger would print each message again
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed large arrays for the next arrays of the same size.

    By default each is returned to the system and mapped again, recording after recording. Training gains nothing
    from it and needs 50 % more memory. Without glibc this does nothing.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in _MALLOC.items():
            libc.mallopt(option, value)


def workers() -> int:
    """Return the number of workers: AUSCULT_WORKERS, or the number of processors available to this process."""
    configured = os.environ.get("AUSCULT_WORKERS", "")
    if configured.isdigit() and int(configured) > 0:
        return int(configured)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def die_with_parent(*, worker: bool = False) -> None:
    """End this process when the ``dvc`` process that started it dies.

    DVC starts a stage through a shell, and ``kill -9`` of DVC leaves both alive: the stage would
    go on and write outputs that are not recorded. A thread watches the parents up to ``dvc``, and
    the flow if a flow started them. A stage started manually is not bound to its shell.

    Parameters
    ----------
    worker
        True in a worker process of a stage, which then dies with the stage.
    """
    ancestors = [*_ancestors(worker), *_owner()]
    if ancestors:
        threading.Thread(target=_watch, args=(ancestors,), name="die-with-parent", daemon=True).start()


def _ancestors(worker: bool) -> list[psutil.Process]:
    """Return the parents up to ``dvc``; without ``dvc``, a worker's stage alone."""
    chain: list[psutil.Process] = []
    try:
        for parent in psutil.Process().parents()[:8]:
            chain.append(parent)
            if any(Path(word).name == "dvc" for word in parent.cmdline()[:3]):
                return chain
    except psutil.Error:
        pass
    return chain[:1] if worker else []


def _owner() -> list[psutil.Process]:
    """Return the process of the flow that this process belongs to, if any."""
    owner = os.environ.get(OWNER, "")
    try:
        return [psutil.Process(int(owner))] if owner.isdigit() else []
    except psutil.Error:
        os._exit(EXIT_INTERRUPTED)  # it has ended already


def _watch(ancestors: list[psutil.Process]) -> None:
    while True:
        for process in ancestors:
            try:  # is_running() does not depend on the clock, which may be set meanwhile; create_time() does
                alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                alive = False
            if not alive:
                os._exit(EXIT_INTERRUPTED)
        time.sleep(0.2)
