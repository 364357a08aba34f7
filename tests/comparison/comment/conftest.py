"""The fixture of the comment's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.comparison.comment.server import REPOSITORY, FakeGitHub, serving
from tests.comparison.comment.workflow_run import HEAD, RUN_PAGE, Scenario, comparison, packed


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """Yield pull request 7 at HEAD; its run succeeded and uploaded a comparison."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    run = {
        "id": 55,
        "run_started_at": "2026-11-20T10:00:00Z",
        "conclusion": "success",
        "html_url": RUN_PAGE,
        "head_sha": HEAD,
        "head_branch": "deeper",
        "head_repository": {"full_name": REPOSITORY},
        "pull_requests": [],
    }
    with serving(FakeGitHub()) as github:
        github.pull(7, HEAD)
        github.upload("comparison-data", packed(comparison()))
        github.upload("comparison", b"a page for readers")
        yield Scenario(github, tmp_path, run)
