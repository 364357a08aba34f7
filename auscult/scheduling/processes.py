"""Prefect's server and worker as child processes: start, restart and end them, and find them again after a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from auscult.core.errors import AuscultError
from auscult.core.storage import read_json, write_json

#: File that names the processes of the last start.
RUNNING = "processes.json"
#: A child that ends within this time after its start, so many times in a row, is not started again.
_SHORT_S, _ATTEMPTS = 20.0, 3


class Children:
    """The child processes of ``auscult serve-flows``.

    Parameters
    ----------
    home
        Folder for their logs and for the file that names them.
    api
        Address of the server's API.
    """

    def __init__(self, home: Path, api: str) -> None:
        self._home, self._api = home, api
        self._commands: dict[str, Sequence[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._short: dict[str, int] = {}

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start ``prefect <arguments>`` with its output in ``<name>.log``."""
        self._commands[name] = arguments
        with (self._home / f"{name}.log").open("ab") as log:
            # In a session of its own: Ctrl-C reaches the parent only, which ends the children in order.
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = time.monotonic()
        alive = {
            name: {"pid": child.pid, "started": psutil.Process(child.pid).create_time()}
            for name, child in self._running.items()
            if child.poll() is None
        }
        write_json(self._home / RUNNING, {"api": self._api, "processes": alive})

    def alive(self, name: str) -> bool:
        """Return whether a child runs."""
        return self._running[name].poll() is None

    def ended(self) -> list[str]:
        """Return the names of the children that have ended."""
        return [name for name in self._running if not self.alive(name)]

    def restart(self, name: str) -> None:
        """Start a child that has ended again, with the same arguments.

        Raises
        ------
        AuscultError
            It has ended shortly after each of several starts.
        """
        lived = time.monotonic() - self._started[name]
        self._short[name] = self._short.get(name, 0) + 1 if lived < _SHORT_S else 0
        if self._short[name] >= _ATTEMPTS:
            raise AuscultError(
                f"Prefect's {name} ends shortly after each start",
                where=str(self._home / f"{name}.log"),
                next_step="read that file, then run make flows again",
            )
        self.start(name, self._commands[name])

    def end(self) -> None:
        """End all children, the last one first."""
        for name in reversed(list(self._running)):
            _end(self._running[name])
        (self._home / RUNNING).unlink(missing_ok=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child; before it the flow runs that it has started, so that they can undo their changes."""
    if child.poll() is None:
        runs: list[psutil.Process] = []
        with suppress(psutil.Error):
            runs = [each for each in psutil.Process(child.pid).children(recursive=True) if is_flow_run(each)]
        for each in runs:
            with suppress(psutil.Error):
                each.terminate()
        psutil.wait_procs(runs, timeout=30)
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def is_flow_run(process: psutil.Process) -> bool:
    """Return whether a living process is a flow run that a worker has started."""
    with suppress(psutil.Error):  # it may just have ended
        return "prefect.engine" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False


def is_command(process: psutil.Process, *names: str) -> bool:
    """Return whether a process is ``auscult … NAME …`` or ``python -m auscult… … NAME …`` for one of *names*.

    Raises
    ------
    psutil.Error
        The process has ended or belongs to another user.
    """
    words = process.cmdline()[:6]
    return any(Path(word).name.split(".")[0] == "auscult" for word in words[:4]) and not {*names}.isdisjoint(words)


def end_orphaned(home: Path) -> None:
    """End the server and worker of a killed ``auscult serve-flows``.

    Raises
    ------
    AuscultError
        Their parent still runs.
    """
    try:
        left: dict[str, Any] = read_json(home / RUNNING)["processes"]
    except (AuscultError, KeyError, TypeError):
        return
    for each in left.values():
        try:
            process = psutil.Process(each["pid"])
            if abs(process.create_time() - each["started"]) > 1.0:
                continue  # another process has the id now
            parent = process.parent()
            if parent is not None and is_command(parent, "serve", "serve-flows"):
                raise AuscultError(
                    f"the flows are served here already: process {parent.pid}",
                    where=str(home / RUNNING),
                    next_step="open its page, or stop it",
                )
            process.terminate()
            process.wait(timeout=20)
        except psutil.TimeoutExpired:
            process.kill()
        except (psutil.Error, KeyError, TypeError):
            continue
