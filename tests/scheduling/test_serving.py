"""Prefect's environment, without a server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from auscult.scheduling.processes import RUNNING
from auscult.scheduling.serving import HOME, api_of_running, configure_prefect


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
