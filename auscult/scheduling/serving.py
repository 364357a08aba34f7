"""Prefect on one machine: its environment, and the server, worker and deployments of ``auscult serve-flows``.

Its database (SQLite) and logs lie in ``.cache/prefect``: runs and schedules survive a restart.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import read_json
from auscult.scheduling.crashed_runs import clean_up
from auscult.scheduling.processes import RUNNING, Children, end_orphaned
from auscult.versioning.commands import follow

HOME = CACHE_DIR / "prefect"
POOL = "auscult"
#: File with the digest of the ``prefect.yaml`` that was deployed.
DEPLOYED = "deployed.txt"
HOST = "127.0.0.1"
_START_S = 120.0
_log = logging.getLogger(__name__)


def configure_prefect(root: Path = Path()) -> None:
    """Set Prefect's environment variables; call it before Prefect is imported.

    Flows report to the server of ``auscult serve-flows`` if it runs, else to a temporary server on the same database.
    Variables that are set already are kept.
    """
    home = (root / HOME).resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(home))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
    # By default 20 s, too short where a training uses all processors.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", f"{_START_S:.0f}")
    os.environ.setdefault("PREFECT_API_SERVICES_CANCELLATION_CLEANUP_ENABLED", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if "PREFECT_API_URL" not in os.environ and (running := api_of_running(home)):
        os.environ["PREFECT_API_URL"] = running


def api_of_running(home: Path) -> str | None:
    """Return the address of the server that ``auscult serve-flows`` started here; ``None`` if none responds."""
    try:
        url = str(read_json(home / RUNNING)["api"])
    except (AuscultError, KeyError, TypeError):
        return None
    return url if responds(url) else None


def responds(url: str, path: str = "health") -> bool:
    """Return whether a Prefect server responds at an address, and knows the path."""
    try:
        with urlopen(f"{url}/{path}", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):  # URLError is an OSError
        return False


def serve(port: int, root: Path = Path()) -> None:
    """Start server, worker and deployments, and keep them running until the process is stopped.

    Raises
    ------
    AuscultError
        It runs already, the port is taken, or the server or worker ends shortly after each start.
    """
    root = root.resolve()
    home = (root / HOME).resolve()
    os.environ["PREFECT_API_URL"] = url = f"http://{HOST}:{port}/api"
    configure_prefect(root)
    end_orphaned(home)
    _refuse_taken(port)
    for stop in (signal.SIGTERM, signal.SIGINT):  # a shell lets background processes ignore Ctrl-C
        signal.signal(stop, signal.default_int_handler)
    children = Children(home, url)
    try:
        children.start("server", ["server", "start", "--host", HOST, "--port", str(port)])
        _wait_for(url, children, home)
        _clean_up(root)
        deploy(root, home)
        children.start("worker", ["worker", "start", "--pool", POOL, "--type", "process"])
        _log.info("\nPrefect's page: http://%s:%d\nCtrl-C stops it; runs and schedules are kept.", HOST, port)
        while True:
            time.sleep(0.5)
            for name in children.ended():
                if name == "worker":  # before the next worker starts runs of its own
                    _clean_up(root)
                children.restart(name)
                _log.info("flows: Prefect's %s had ended and was started again", name)
    except KeyboardInterrupt:
        _log.info("\nflows: stopping")
    finally:
        children.end()


def _clean_up(root: Path) -> None:
    for line in clean_up(root):
        _log.info("flows: %s", line)


def deploy(root: Path, home: Path) -> None:
    """Make the deployments of ``prefect.yaml`` if it has changed since they were made, or they are gone.

    Otherwise changes made on Prefect's page, such as a paused schedule, stay.
    """
    key = digest(file_sha256(root / "prefect.yaml"), str(root))
    marker = home / DEPLOYED
    exists = responds(os.environ["PREFECT_API_URL"], "deployments/name/retrain/nightly")
    if exists and marker.exists() and marker.read_text(encoding="utf-8").strip() == key:
        return
    _prefect(root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(root, "--no-prompt", "deploy", "--all")
    marker.write_text(key + "\n", encoding="utf-8")
    _log.info("flows: deployments made from prefect.yaml")


def _prefect(root: Path, *arguments: str) -> None:
    follow(root, [sys.executable, "-m", "prefect", *arguments], _log.debug)


def _wait_for(url: str, children: Children, home: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not responds(url):
        if not children.alive("server") or time.monotonic() > deadline:
            raise AuscultError(
                "Prefect's server does not start",
                where=str(home / "server.log"),
                next_step="read that file, then run make flows again",
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
                next_step=f"make flows PORT={port + 1}, or stop the process that uses it",
            ) from error
