"""Prefect's server and worker as children: started, kept alive, ended; and found again after a kill."""

from __future__ import annotations

import signal
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

#: The processes of the last start.
NOTES = "processes.json"
#: A child that ends sooner after its start than this, so many times in a row, is given up.
_SHORT_S, _ATTEMPTS = 20.0, 3


class Children:
    """The processes that ``make flows`` keeps alive.

    Parameters
    ----------
    home
        Folder for their logs and for the note of who they are.
    api
        Address of the server that they serve or ask.
    """

    def __init__(self, home: Path, api: str) -> None:
        self._home, self._api = home, api
        self._commands: dict[str, Sequence[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._short: dict[str, int] = {}

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start ``prefect <arguments>``, its output in ``<name>.log``."""
        self._commands[name] = arguments
        with (self._home / f"{name}.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches this process only, which ends the others in order.
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = time.monotonic()
        self._note()

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        return self._running[name].poll() is None

    def ended(self) -> list[str]:
        """Names of those that have ended by themselves."""
        return [name for name in self._running if not self.alive(name)]

    def revive(self, name: str) -> None:
        """Start again what has ended.

        Raises
        ------
        AuscultError
            It ends again and again.
        """
        lived = time.monotonic() - self._started[name]
        self._short[name] = self._short.get(name, 0) + 1 if lived < _SHORT_S else 0
        if self._short[name] >= _ATTEMPTS:
            raise AuscultError(
                f"Prefect's {name} ends again and again",
                where=str(self._home / f"{name}.log"),
                next_step="read that file, then make flows again",
            )
        self.start(name, self._commands[name])

    def end(self) -> None:
        """End them, the last one first, and forget them."""
        for name in reversed(list(self._running)):
            _end(self._running[name])
        (self._home / NOTES).unlink(missing_ok=True)

    def _note(self) -> None:
        known = {
            name: {"pid": child.pid, "started": psutil.Process(child.pid).create_time()}
            for name, child in self._running.items()
            if child.poll() is None
        }
        write_json(self._home / NOTES, {"api": self._api, "processes": known})


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child, first of all the flows that it runs: they take back what they have begun."""
    if child.poll() is None:
        below: list[psutil.Process] = []
        with suppress(psutil.Error):
            below = psutil.Process(child.pid).children(recursive=True)
        runs = [each for each in below if _is_a_run(each)]
        for each in runs:
            with suppress(psutil.Error):
                each.terminate()
        psutil.wait_procs(runs, timeout=30)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _is_a_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it may have ended just now
        return "prefect.engine" in process.cmdline()
    return False


def end_left_over(home: Path) -> None:
    """End the server and worker of a ``make flows`` that was killed.

    Raises
    ------
    AuscultError
        They belong to one that is still running.
    """
    try:
        left: dict[str, Any] = read_json(home / NOTES)["processes"]
    except (AuscultError, KeyError, TypeError):
        return
    for each in left.values():
        try:
            process = psutil.Process(each["pid"])
            if abs(process.create_time() - each["started"]) > 1.0:
                continue  # the id was given to another process meanwhile
            parent = process.parent()
            if parent is not None and "serve" in parent.cmdline()[:5]:
                raise AuscultError(
                    f"make flows runs here already: process {parent.pid}",
                    where=str(home / NOTES),
                    next_step="open its page, or stop it",
                )
            process.terminate()
            process.wait(timeout=20)
        except psutil.TimeoutExpired:
            process.kill()
        except (psutil.Error, KeyError, TypeError):
            continue
