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
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import CACHE_DIR
from auscult.scheduling.processes import NOTES, Children, end_left_over

HOME = CACHE_DIR / "prefect"
POOL = "auscult"
#: Which prefect.yaml was deployed.
DEPLOYED = "deployed.txt"
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
        url = str(json.loads((home / NOTES).read_text(encoding="utf-8"))["api"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if answers(url) else None


def answers(url: str, path: str = "health") -> bool:
    """Whether a Prefect server answers there, and knows the path."""
    try:
        with urlopen(f"{url}/{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False


def serve(port: int, root: Path = Path()) -> None:
    """Start server, worker and deployments, and keep them alive until somebody stops it.

    Raises
    ------
    AuscultError
        It runs already, the port is taken, or server or worker end again and again.
    """
    root = root.resolve()
    home = (root / HOME).resolve()
    os.environ["PREFECT_API_URL"] = url = f"http://{HOST}:{port}/api"
    settle(root)
    end_left_over(home)
    _refuse_taken(port)
    for stop in (signal.SIGTERM, signal.SIGINT):  # also where a shell started it in the background, deaf to Ctrl-C
        signal.signal(stop, lambda *_: _interrupt())
    children = Children(home, url)
    try:
        children.start("server", ["server", "start", "--host", HOST, "--port", str(port)])
        _wait_for(url, children, home)
        _reap(root)
        deploy(root, home)
        children.start("worker", ["worker", "start", "--pool", POOL, "--type", "process"])
        print(f"\nPrefect's page: http://{HOST}:{port}\nCtrl-C stops it; runs and schedules are kept.", flush=True)
        while True:
            time.sleep(0.5)
            for name in children.ended():
                if name == "worker":  # before there is another one, whose runs would be taken for its
                    _reap(root)
                children.revive(name)
                print(f"flows: Prefect's {name} had ended and was started again", flush=True)
    except KeyboardInterrupt:
        print("\nflows: stopping", flush=True)
    finally:
        children.end()


def _reap(root: Path) -> None:
    from auscult.scheduling.reaping import reap

    for line in reap(root):
        print(f"flows: {line}", flush=True)


def deploy(root: Path, home: Path) -> None:
    """Make the deployments of ``prefect.yaml``, where that has changed since they were made, or they are gone.

    Where it has not, what somebody changed on the page (a schedule paused, a parameter set) stays.
    """
    key = digest(file_sha256(root / "prefect.yaml"), str(root))
    marker = home / DEPLOYED
    there = answers(os.environ["PREFECT_API_URL"], "deployments/name/retrain/nightly")
    if there and marker.exists() and marker.read_text(encoding="utf-8").strip() == key:
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


def _wait_for(url: str, children: Children, home: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not answers(url):
        if not children.alive("server") or time.monotonic() > deadline:
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


def _interrupt() -> None:
    raise KeyboardInterrupt
