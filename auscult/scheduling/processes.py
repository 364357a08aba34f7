"""Prefect's server and worker as child processes: start, restart and end them, and find them again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from auscult.core.errors import AuscultError
from auscult.core.storage import write_json

#: File with the address of the server that runs.
RUNNING = "processes.json"
#: Environment variable with the home of the service that a process belongs to; whatever it starts inherits it.
SERVICE = "AUSCULT_SERVICE"
_TAG = "process-"
#: A child that ends within this time after its start, so many times in a row, is not started again.
_SHORT_S, _ATTEMPTS = 20.0, 3


class Stop:
    """SIGTERM and SIGINT as one :class:`KeyboardInterrupt`, but never in the middle of a start of a child.

    Interrupted there, a child would run that nobody knows of.
    """

    def __init__(self) -> None:
        self._asked = self._held = False

    def listen(self) -> None:
        """Install the handlers; a shell lets background processes ignore Ctrl-C."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._handle)

    def _handle(self, *_: object) -> None:
        first, self._asked = not self._asked, True
        if first and not self._held:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raise what arrives meanwhile at the end of the block."""
        asked_before, self._held = self._asked, True
        try:
            yield
        finally:
            self._held = False
        if self._asked and not asked_before:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Let no signal raise any more: the children are being ended."""
        self._asked = True


class Children:
    """The child processes of ``auscult serve-flows``.

    Parameters
    ----------
    home
        Folder for their logs and for the file that holds the address.
    api
        Address of the server's API.
    stop
        What ends them.
    """

    def __init__(self, home: Path, api: str, stop: Stop) -> None:
        self._home, self._api, self._stop = home, api, stop
        self._commands: dict[str, Sequence[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._short: dict[str, int] = {}

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start ``prefect <arguments>`` with its output in ``<name>.log``."""
        self._commands[name] = arguments
        marked = {SERVICE: str(self._home), "PYTHONIOENCODING": "utf-8:replace"}
        with (self._home / f"{name}.log").open("ab") as log, self._stop.held():
            # In a session of its own: Ctrl-C reaches the parent only, which ends the children in order.
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                env=os.environ | marked,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = time.monotonic()
        write_json(self._home / RUNNING, {"api": self._api})

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
        """End all children, the last one first, and whatever they have started."""
        self._stop.ignore()
        for name in reversed(list(self._running)):
            _end(self._running[name])
        _end_all(_marked(self._home))
        (self._home / RUNNING).unlink(missing_ok=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child; before it the flow runs that it has started, so that they can undo their changes."""
    if child.poll() is None:
        with suppress(psutil.Error):
            _end_flow_runs(psutil.Process(child.pid).children(recursive=True))
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_flow_runs(processes: Iterable[psutil.Process]) -> None:
    _terminate([each for each in processes if is_flow_run(each)], timeout_s=30)


def _end_all(processes: Sequence[psutil.Process]) -> None:
    """End processes, flow runs first, so that they can undo their changes."""
    _end_flow_runs(processes)
    for each in _terminate(processes, timeout_s=20):
        with suppress(psutil.Error):
            each.kill()


def _terminate(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Ask processes to end; return those that have not within the time."""
    for each in processes:
        with suppress(psutil.Error):
            each.terminate()
    return psutil.wait_procs(processes, timeout=timeout_s)[1]


def _marked(home: Path) -> list[psutil.Process]:
    """Return the living processes that the service of *home* started, directly or not, with or without a parent."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(SERVICE) == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


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
    """End everything that a killed ``auscult serve-flows`` left: server, worker, flow runs.

    Raises
    ------
    AuscultError
        It still runs.
    """
    left = _marked(home)
    for process in left:
        with suppress(psutil.Error):
            for parent in process.parents():
                if is_command(parent, "serve-flows"):
                    raise AuscultError(
                        f"the flows are served here already: process {parent.pid}",
                        where=str(home / RUNNING),
                        next_step="open its page, or stop it",
                    )
    _end_all(left)


def tag_of(pid: int) -> str:
    """Return the tag of the flow runs that a person's command, the process *pid*, makes in Prefect.

    It holds the time of the process's start in ticks since the system's start: the clock may be set, and process ids
    are given again.
    """
    try:
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):  # it has ended, or the system has no /proc
        started = "" if psutil.pid_exists(pid) else "ended"
    return f"{_TAG}{pid}-{started}"


def is_alive(tags: Iterable[str]) -> bool | None:
    """Return whether the process that made a flow run with these tags still runs; ``None`` without :func:`tag_of`."""
    for tag in tags:
        pid, _, started = tag.removeprefix(_TAG).partition("-")
        if tag.startswith(_TAG) and pid.isdigit() and started != "":
            return tag == tag_of(int(pid))
    return None
