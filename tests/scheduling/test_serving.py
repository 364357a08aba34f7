"""Prefect's environment, without a server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.scheduling.processes import RUNNING
from auscult.scheduling.serving import HOME, api_of_running, configure_prefect, responds
from tests.waiting import HANGS_AFTER_S

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.mark.usefixtures("without_prefect")
def test_variables_are_set_unless_the_user_has_set_them(tmp_path: Path) -> None:
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "true"
    configure_prefect(tmp_path)
    assert os.environ["PREFECT_HOME"] == str(tmp_path / HOME)
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
    assert float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]) > 60
    assert "PREFECT_API_URL" not in os.environ


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", json.dumps({"api": "http://127.0.0.1:9/api"})])
def test_a_server_that_does_not_respond_or_a_damaged_file_counts_as_no_server(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / RUNNING).write_text(content)
    assert api_of_running(tmp_path) is None


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.usefixtures("without_prefect")
@pytest.mark.parametrize("already", ["", "example.org"])
def test_a_proxy_is_not_asked_for_this_machine(tmp_path: Path, already: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        os.environ[name] = "http://127.0.0.1:9"  # nothing listens there
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = already
    configure_prefect(tmp_path)
    assert already in os.environ["NO_PROXY"].split(",") or not already
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for host in ("127.0.0.1", "localhost"):
            assert responds(f"http://{host}:{server.server_port}/api")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.usefixtures("without_prefect")
def test_a_socks_proxy_is_named(tmp_path: Path) -> None:
    os.environ.update(dict.fromkeys(("ALL_PROXY", "all_proxy"), "socks5://127.0.0.1:9"))
    with pytest.raises(AuscultError, match="socks5://127") as raised:
        configure_prefect(tmp_path)
    assert "all_proxy" in raised.value.where


@pytest.mark.parametrize("command", [["models", "retrain"], ["data", "ingest"]], ids=" ".join)
def test_an_address_of_prefect_where_nothing_responds_is_one_message(tmp_path: Path, command: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    (tmp_path / "dvc.yaml").touch()
    done = subprocess.run(
        [sys.executable, "-m", "auscult", *command],
        cwd=tmp_path,
        env=os.environ | {"PREFECT_API_URL": url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    assert done.returncode == 2
    assert url in done.stderr and "PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr
