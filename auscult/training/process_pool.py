"""A process pool for trainings: a process of its own for each, with one torch thread.

``concurrent.futures`` does not fit: it would pickle the training data for every job, run several trainings in
one process, and not tell which job a killed process had.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing.context import ForkProcess

from auscult.core.crashes import report
from auscult.core.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, AuscultError
from auscult.core.process import die_with_parent, workers


def run_all(jobs: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """Run all jobs in the order given, as many at a time as there are workers.

    Processes are forked, so they share the parent's arrays without a copy. The parent must not have run
    a torch operation before: torch's thread pool does not survive a fork.

    Parameters
    ----------
    jobs
        Pairs of a name for messages and a function; it leaves its result on disk.

    Raises
    ------
    AuscultError
        A job failed; the results of finished jobs are on disk.
    """
    context = multiprocessing.get_context("fork")
    waiting = deque(jobs)
    running: list[ForkProcess] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers():
                name, job = waiting.popleft()
                process = context.Process(target=_child, args=(job,), name=name)
                _flush()
                process.start()
                running.append(process)
            multiprocessing.connection.wait([process.sentinel for process in running])
            for process in [p for p in running if p.exitcode is not None]:
                running.remove(process)
                if process.exitcode:
                    raise _failure(process.name, process.exitcode)
    finally:
        for process in running:
            process.terminate()
            process.join()


def _child(job: Callable[[], None]) -> None:
    die_with_parent(worker=True)
    try:
        job()
        code = 0
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BaseException as error:
        code = report(error)
    _flush()
    os._exit(code)  # do not run the parent's exit handlers


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _failure(name: str, code: int) -> AuscultError:
    if code == EXIT_USER_ERROR:
        why = "for the reason above"
    elif code == -9:
        why = "killed by signal 9, probably as memory ran out"
    else:
        why = f"by signal {-code}" if code < 0 else "by the fault above"
    return AuscultError(
        f"the training process of {name} ended: {why}",
        where=name,
        next_step="run the same command again: finished trials are kept"
        + (" (AUSCULT_WORKERS=1 needs less memory)" if code == -9 else ""),
    )
