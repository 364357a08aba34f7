"""Prefect on one machine: where it keeps its things, and the server, worker and deployments of ``make flows``.

Everything lies in ``.cache/prefect`` (SQLite), so that stopping and starting keeps runs and schedules.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from flows.commands import git
from stages.digests import digest, file_sha256
from stages.errors import AuscultError
from stages.paths import CACHE_DIR
from stages.store import read_json, write_json

HOME = CACHE_DIR / "prefect"
POOL = "auscult"
#: The processes of the last start, and what was deployed.
PROCESSES, DEPLOYED = "processes.json", "deployed.txt"
HOST = "127.0.0.1"
_START_S = 120.0


def settle(root: Path = Path()) -> None:
    """Set Prefect's environment, to be called before Prefect is imported.

    Flows report to the server of ``make flows`` where it runs, and to a server of their own, on the same
    database, where it does not. What the environment says already is left alone.
    """
    home = (root / HOME).resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(home))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
    os.environ.setdefault("PREFECT_API_SERVICES_CANCELLATION_CLEANUP_ENABLED", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if "PREFECT_API_URL" not in os.environ and (running := api_of_running(home)):
        os.environ["PREFECT_API_URL"] = running


def api_of_running(home: Path) -> str | None:
    """Address of the server that ``make flows`` started here, if it answers."""
    try:
        url = str(json.loads((home / PROCESSES).read_text(encoding="utf-8"))["api"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if answers(url) else None


def answers(url: str) -> bool:
    """Whether a Prefect server answers there."""
    try:
        with urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False


def serve(port: int, root: Path = Path()) -> None:
    """Start server, worker and deployments, and wait until somebody stops it.

    Raises
    ------
    AuscultError
        The port is taken, or the server or the worker ended.
    """
    root = root.resolve()
    home = (root / HOME).resolve()
    os.environ["PREFECT_API_URL"] = url = f"http://{HOST}:{port}/api"
    settle(root)
    end_left_over(home)
    _refuse_taken(port)
    for stop in (signal.SIGTERM, signal.SIGINT):  # also where a shell started it in the background, deaf to Ctrl-C
        signal.signal(stop, lambda *_: _interrupt())
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        children["server"] = _start(home, "server", ["server", "start", "--host", HOST, "--port", str(port)])
        _note(home, url, children)
        _wait_for(url, children["server"], home)
        from flows.reaping import reap

        for line in reap(root):
            print(f"flows: {line}", flush=True)
        deploy(root, home)
        children["worker"] = _start(home, "worker", ["worker", "start", "--pool", POOL, "--type", "process"])
        _note(home, url, children)
        print(f"\nPrefect's page: http://{HOST}:{port}\nCtrl-C stops it; runs and schedules are kept.", flush=True)
        while all(child.poll() is None for child in children.values()):
            time.sleep(0.5)
        ended = next(name for name, child in children.items() if child.poll() is not None)
        raise AuscultError(
            f"Prefect's {ended} ended by itself",
            where=str(home / f"{ended}.log"),
            next_step="read that file; make flows",
        )
    except KeyboardInterrupt:
        print("\nflows: stopping", flush=True)
    finally:
        for name in ("worker", "server"):
            if name in children:
                _stop(children[name])
        (home / PROCESSES).unlink(missing_ok=True)


def deploy(root: Path, home: Path) -> None:
    """Make the deployments of ``prefect.yaml``, where that has changed since they were made.

    Where it has not, what somebody changed on the page (a schedule paused, a parameter set) stays.
    """
    key = digest(file_sha256(root / "prefect.yaml"), str(root))
    marker = home / DEPLOYED
    if marker.exists() and marker.read_text(encoding="utf-8").strip() == key:
        return
    _prefect(root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(root, "--no-prompt", "deploy", "--all")
    marker.write_text(key + "\n", encoding="utf-8")
    print("flows: deployments made from prefect.yaml", flush=True)


def _prefect(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise AuscultError(
            f"prefect {' '.join(arguments)} failed:\n" + "\n".join(f"    {line}" for line in words[-15:]),
            where="prefect.yaml",
            next_step="mend it and run the same command again",
        )


def _start(home: Path, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    with (home / f"{name}.log").open("ab") as log:
        # A session of its own: Ctrl-C reaches this process only, which stops the others in order.
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(url: str, server: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise AuscultError(
                "Prefect's server does not start",
                where=str(home / "server.log"),
                next_step="read that file; make flows",
            )
        time.sleep(0.2)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise AuscultError(
                f"port {port} is taken",
                where=f"{HOST}:{port}",
                next_step=f"make flows PORT={port + 1}, or stop what listens there",
            ) from error


def _note(home: Path, url: str, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    known = {
        name: {"pid": child.pid, "started": psutil.Process(child.pid).create_time()} for name, child in children.items()
    }
    write_json(home / PROCESSES, {"api": url, "processes": known})


def end_left_over(home: Path) -> None:
    """End the server and worker of a ``make flows`` that was killed.

    Raises
    ------
    AuscultError
        They belong to one that is still running.
    """
    try:
        left: dict[str, Any] = read_json(home / PROCESSES)["processes"]
    except (AuscultError, KeyError, TypeError):
        return
    for name in ("worker", "server"):
        try:
            process = psutil.Process(left[name]["pid"])
            if abs(process.create_time() - left[name]["started"]) > 1.0:
                continue
            parent = process.parent()
            if parent is not None and any("flows" in word for word in parent.cmdline()[:4]):
                raise AuscultError(
                    f"make flows runs here already: process {parent.pid}",
                    where=str(home / PROCESSES),
                    next_step="open its page, or stop it",
                )
            process.terminate()
            process.wait(timeout=20)
        except (psutil.Error, KeyError, TypeError):
            continue


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a child, first of all the flows that it runs: they take back what they have begun."""
    if child.poll() is None:
        with suppress(psutil.Error):
            below = psutil.Process(child.pid).children(recursive=True)
            runs = [each for each in below if "prefect.engine" in each.cmdline()]
            for each in runs:
                each.terminate()
            psutil.wait_procs(runs, timeout=30)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _interrupt() -> None:
    raise KeyboardInterrupt


def repository_name(root: Path) -> str:
    """Name of the repository for people: the last part of its folder."""
    return Path(git(root, "rev-parse", "--show-toplevel")).name
