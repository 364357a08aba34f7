"""Prefect on one machine: its environment, and the server, worker and deployments of ``auscult serve-flows``.

Its database (SQLite) and logs lie in ``.cache/prefect``: runs and schedules survive a restart.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import getproxies, urlopen

from auscult.core.digests import digest, file_sha256
from auscult.core.errors import AuscultError, refused_by_machine
from auscult.core.paths import CACHE_DIR
from auscult.core.storage import read_json
from auscult.scheduling.crashed_runs import clean_up, mark_crashed
from auscult.scheduling.processes import RUNNING, Children, Stop, end_orphaned
from auscult.versioning.commands import follow

HOME = CACHE_DIR / "prefect"
POOL = "auscult"
#: File with the digest of the ``prefect.yaml`` that was deployed.
DEPLOYED = "deployed.txt"
HOST = "127.0.0.1"
_START_S = 120.0
#: How often runs of killed commands are looked for.
_LOOK_S = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger(__name__)


def configure_prefect(root: Path = Path()) -> None:
    """Set Prefect's environment variables; call it before Prefect is imported.

    Flows report to the server of ``auscult serve-flows`` if it runs, else to a temporary server on the same database.
    Variables that are set already are kept. A proxy of the environment is not used to talk to this machine.

    Raises
    ------
    AuscultError
        The environment names a SOCKS proxy, which Prefect's client cannot use, or the folder cannot be written.
    """
    _pass_by_proxies()
    home = (root / HOME).resolve()
    try:  # Prefect would look for its server for minutes
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise refused_by_machine(error, home) or error from error
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
    return _status(url, path, timeout_s=2) == 200


def need_server() -> None:
    """Look for the server that the user's environment or profile names, before a flow runs into it for minutes.

    Raises
    ------
    AuscultError
        Nothing responds there.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if url and _status(url, "health", timeout_s=10) is None:
        raise AuscultError(
            f"no Prefect server responds at {url}",
            where="PREFECT_API_URL",
            next_step="start that server, or unset PREFECT_API_URL: then flows use this project's own",
        )


def _status(url: str, path: str, timeout_s: float) -> int | None:
    """Return the status of the response to a request; ``None`` if there is none."""
    try:
        with urlopen(f"{url.rstrip('/')}/{path}", timeout=timeout_s) as response:
            return int(response.status)
    except HTTPError as error:  # such as 401 of Prefect Cloud: the client has the key
        return error.code
    except (OSError, ValueError, HTTPException):  # URLError is an OSError
        return None


def _pass_by_proxies() -> None:
    proxies = getproxies()
    if find_spec("socksio") is None:
        for scheme in ("http", "https", "all"):
            if proxies.get(scheme, "").startswith("socks"):
                raise AuscultError(
                    f"Prefect's client cannot use a SOCKS proxy: {proxies[scheme]}",
                    where=f"{scheme.upper()}_PROXY or {scheme}_proxy",
                    next_step="unset it for this command (git has a setting of its own: git config http.proxy), "
                    "or: python -m pip install socksio",
                )
    known = [host.strip() for host in proxies.get("no", "").split(",") if host.strip()]
    spared = ",".join([*known, *(host for host in _LOOPBACK if host not in known)])
    os.environ.update({"NO_PROXY": spared, "no_proxy": spared})


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
    stop = Stop()
    children = Children(home, url, stop)
    stop.listen()
    try:
        children.start("server", ["server", "start", "--host", HOST, "--port", str(port)])
        _wait_for(url, children, home)
        _clean_up(root)
        deploy(root, home)
        children.start("worker", ["worker", "start", "--pool", POOL, "--type", "process"])
        _log.info("\nPrefect's page: http://%s:%d\nCtrl-C stops it; runs and schedules are kept.", HOST, port)
        looked = time.monotonic()
        while True:
            time.sleep(0.5)
            if time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                _tell_of_killed_commands()
            for name in children.ended():
                if name == "worker":  # before the next worker starts runs of its own
                    _clean_up(root)
                children.restart(name)
                _log.info("flows: Prefect's %s had ended and was started again", name)
    except KeyboardInterrupt:
        _log.info("\nflows: stopping")
    finally:
        try:
            stop.ignore()
        finally:
            children.end()


def _tell_of_killed_commands() -> None:
    with suppress(Exception):  # the server is busy, or was just killed: the next look, or the loop, finds it
        for line in mark_crashed():
            _log.info("flows: %s", line)


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
