"""Trainings side by side, each in a process of its own with one torch thread."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from auscult.core.errors import EXIT_USER_ERROR, AuscultError
from auscult.core.process import die_with_parent, workers

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess


def run_all(jobs: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """Run every job to its end, as many at a time as there are workers, in the order given.

    The children are forks: they share the parent's arrays without a copy. The
    parent must not have run a torch operation before (its thread pool would not
    survive the fork).

    Parameters
    ----------
    jobs
        Pairs of a name for messages and what to do; a job leaves its result on disk.

    Raises
    ------
    AuscultError
        A job failed; what others finished is on disk.
    """
    context = multiprocessing.get_context("fork")
    waiting = list(jobs)[::-1]
    running: dict[ForkProcess, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers():
                name, job = waiting.pop()
                process = context.Process(target=_child, args=(job,), name=name)
                _flush()
                process.start()
                running[process] = name
            multiprocessing.connection.wait([process.sentinel for process in running])
            for process in [p for p in running if p.exitcode is not None]:
                process.join()
                name = running.pop(process)
                if process.exitcode:
                    raise _failure(name, int(process.exitcode))
    finally:
        for process in running:
            process.terminate()
            process.join()


def _child(job: Callable[[], None]) -> None:
    die_with_parent(worker=True)
    try:
        job()
        code = 0
    except AuscultError as error:
        print(f"\nERROR: {error}", file=sys.stderr)
        code = EXIT_USER_ERROR
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    _flush()
    os._exit(code)  # the parent's exit handlers are not this process's to run


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _failure(name: str, code: int) -> AuscultError:
    if code == EXIT_USER_ERROR:
        why = "for the reason above"
    elif code == -9:
        why = "killed from outside; if nobody did, memory ran out"
    else:
        why = f"by signal {-code}" if code < 0 else "with the traceback above"
    return AuscultError(
        f"the training process of {name} ended: {why}",
        where=name,
        next_step="run the same command again: finished trials are kept"
        + (" (AUSCULT_WORKERS=1 needs less memory)" if code == -9 else ""),
    )
