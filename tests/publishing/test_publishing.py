"""Publishing: a branch is never overwritten, and is pushed only after its data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from auscult.core.errors import AuscultError
from auscult.publishing import push
from auscult.publishing.pull_request import open_pull_request, repository
from auscult.retraining.steps import default_branch, destination, newest
from auscult.versioning import worktree
from auscult.versioning.commands import CommandError
from tests.flows.repositories import git, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "my data ü")


def dvc(place: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=place, check=True, capture_output=True)


def test_a_commit_holds_the_named_paths_and_is_on_no_branch_before_it_is_published(root: Path) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / "params.yaml").write_text("seed: 2\n")
    (place / "dvc.lock").write_text("schema: '2.0'\n")
    commit = push.commit(place, "retrain: one\n\nBecause.", ["dvc.lock", "data/added"])
    assert git(root, "show", "--name-only", "--format=%s", commit).split() == ["retrain:", "one", "dvc.lock"]
    assert git(root, "for-each-ref", "--contains", commit) == ""
    push.publish(root, "origin", "retrain/2026-01-01", commit)
    assert push.is_published(root, "origin", "retrain/2026-01-01", commit)
    assert git(root, "for-each-ref", "--contains", commit, "refs/heads") == ""


def test_without_a_remote_the_branch_is_local(root: Path) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / "dvc.lock").write_text("schema: '2.0'\n")
    commit = push.commit(place, "retrain", ["dvc.lock"])
    assert not push.is_published(root, "", "retrain/2026-01-01", commit)
    push.publish(root, "", "retrain/2026-01-01", commit)
    assert push.is_published(root, "", "retrain/2026-01-01", commit)
    assert git(root, "rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_an_existing_branch_is_never_overwritten(root: Path) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / "dvc.lock").write_text("mine\n")
    mine = push.commit(place, "mine", ["dvc.lock"])
    (root / "dvc.lock").write_text("theirs\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "theirs")
    git(root, "push", "-q", "origin", "HEAD:refs/heads/ingest")
    git(root, "branch", "ingest")
    for remote in ("origin", ""):
        with pytest.raises(CommandError):
            push.publish(root, remote, "ingest", mine)
        assert not push.is_published(root, remote, "ingest", mine)


def test_a_second_run_of_a_day_gets_another_branch(root: Path) -> None:
    assert push.free_branch(root, "retrain/2026-01-01") == "retrain/2026-01-01"
    git(root, "push", "-q", "origin", "HEAD:refs/heads/retrain/2026-01-01")
    git(root, "branch", "retrain/2026-01-01-2")
    assert push.free_branch(root, "retrain/2026-01-01") == "retrain/2026-01-01-3"


def test_a_branch_with_the_name_before_the_slash_replaces_it_by_a_dash(root: Path) -> None:
    git(root, "branch", "retrain")
    assert push.free_branch(root, "retrain/2026-01-01") == "retrain-2026-01-01"


def test_a_branch_name_is_found_without_the_remote(root: Path) -> None:
    bare = Path(git(root, "remote", "get-url", "origin"))
    bare.rename(bare.with_name("away"))
    assert push.free_branch(root, "retrain/2026-01-01") == "retrain/2026-01-01"


def test_several_remotes_without_origin_count_as_none(root: Path) -> None:
    git(root, "remote", "rename", "origin", "mine")
    assert push.git_remote(root) == "mine"
    git(root, "remote", "add", "theirs", str(root))
    assert push.git_remote(root) is None


def test_a_scheduled_retraining_takes_the_merged_revision_and_not_the_checkout(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "wip")
    assert newest(root) == "origin/main"
    git(root, "remote", "rename", "origin", "mine")
    assert newest(root) == "mine/main"
    git(root, "remote", "remove", "mine")
    assert newest(root) == "HEAD"


def test_the_default_branch_is_the_one_of_the_remote(root: Path) -> None:
    bare = Path(git(root, "remote", "get-url", "origin"))
    git(bare, "branch", "-m", "main", "trunk")
    assert default_branch(root) == "trunk"
    git(root, "fetch", "-q", "--prune")
    assert newest(root) == "origin/trunk"


def test_the_author_is_the_user_or_the_project_if_git_knows_none(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    head = git(place, "rev-parse", "HEAD")
    assert push.commit(place, "nothing", ["params.yaml"]) == head
    (place / "params.yaml").write_text("seed: 2\n")
    assert git(root, "log", "-1", "--format=%an", push.commit(place, "two", ["params.yaml"])) == "Test"
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("user.name", "user.email"):
        git(root, "config", "--unset", name)
    (place / "params.yaml").write_text("seed: 3\n")
    assert git(root, "log", "-1", "--format=%an", push.commit(place, "three", ["params.yaml"])) == "auscult"


def test_a_branch_is_pushed_only_with_its_data(root: Path) -> None:
    assert destination(root, data_pushed=True) == "origin"
    assert destination(root, data_pushed=False) == ""


@pytest.mark.parametrize("where", ["repository", "worktree"])
def test_a_remote_inside_the_repository_is_not_shared(root: Path, tmp_path: Path, where: str) -> None:
    (root / ".dvc/config").write_text("[core]\n    remote = local\n['remote \"local\"']\n    url = remote\n")
    git(root, "commit", "-q", "-am", "a remote of its own")
    place = root if where == "repository" else worktree.create(root, "retrain-1", "HEAD")
    (place / "data.txt").write_text("recordings")
    dvc(place, "add", "data.txt")
    assert push.push_data(place) is False
    assert not (root / ".dvc/remote").exists()
    (tmp_path / "shared disk").mkdir()
    (root / ".dvc/remote").symlink_to(tmp_path / "shared disk")
    assert push.push_data(place) is True
    assert [path for path in (tmp_path / "shared disk").rglob("*") if path.is_file()]


def test_data_missing_on_the_remote_stop_the_run(root: Path, tmp_path: Path) -> None:
    assert push.push_data(root) is False  # DVC has no remote
    dvc(root, "remote", "add", "-d", "store", str(tmp_path / "store"))
    (root / "data.txt").write_text("recordings")
    dvc(root, "add", "data.txt")
    assert push.push_data(root) is True
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 1
    (root / "more.txt").write_text("more recordings")
    (root / "other.txt").write_text("other recordings")
    dvc(root, "add", "more.txt", "other.txt")
    assert push.push_data(root, ["other.txt.dvc"]) is True
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 2
    for path in (root / ".dvc/cache").rglob("*"):
        if path.is_file():
            path.unlink()  # what should be pushed is gone: DVC warns, and ends with 0
    with pytest.raises(AuscultError):
        push.push_data(root)


class GitHub(BaseHTTPRequestHandler):
    """Respond as GitHub's API: 201 with an address, or what a test sets."""

    requests: list[dict[str, Any]]
    response: tuple[int, dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).requests.append({"path": self.path, "token": self.headers["Authorization"], **body})
        status, content = type(self).response
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GitHub]]:
    GitHub.requests, GitHub.response = [], (201, {"html_url": "https://github.com/hospital/lungs/pull/7"})
    server = HTTPServer(("127.0.0.1", 0), GitHub)
    Thread(target=server.serve_forever, daemon=True).start()
    git(root, "remote", "set-url", "origin", "git@github.com:hospital/lungs.git")
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    yield GitHub
    server.shutdown()


def test_a_pull_request_is_opened_where_a_token_allows_it(root: Path, github: type[GitHub]) -> None:
    address = open_pull_request(root, "retrain/2026-01-01", "main", "retrain: one", "Because.")
    assert address == "https://github.com/hospital/lungs/pull/7"
    (request,) = github.requests
    assert request["path"] == "/repos/hospital/lungs/pulls"
    assert request["token"] == "Bearer t0ken"
    assert (request["head"], request["base"], request["title"]) == ("retrain/2026-01-01", "main", "retrain: one")


def test_a_token_without_permission_is_no_failure(root: Path, github: type[GitHub]) -> None:
    github.response = (403, {"message": "Resource not accessible by personal access token"})
    reason = open_pull_request(root, "retrain/2026-01-01", "main", "retrain: one", "Because.")
    assert "403" in reason and "Resource not accessible" in reason
    assert "t0ken" not in reason


def test_an_open_pull_request_is_no_failure(root: Path, github: type[GitHub]) -> None:
    message = "A pull request already exists for hospital:retrain/2026-01-01."
    github.response = (422, {"message": "Validation Failed", "errors": [{"message": message}]})
    reason = open_pull_request(root, "retrain/2026-01-01", "main", "retrain: one", "Because.")
    assert "already open" in reason and "retrain/2026-01-01" in reason


def test_without_a_token_no_request_is_sent(root: Path, github: type[GitHub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert "GITHUB_TOKEN" in open_pull_request(root, "b", "main", "t", "b")
    assert github.requests == []


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("git@github.com:hospital/lungs.git", ("github.com", "hospital", "lungs")),
        ("https://github.com/hospital/lungs", ("github.com", "hospital", "lungs")),
        ("https://user:secret@github.com/hospital/lungs.git", ("github.com", "hospital", "lungs")),
        ("ssh://git@github.com/hospital/lungs.git", ("github.com", "hospital", "lungs")),
        ("ssh://git@ssh.github.com:443/hospital/lungs.git", ("github.com", "hospital", "lungs")),
        ("git@github.com:123/lungs.git", ("github.com", "123", "lungs")),
        ("https://github.hospital.example/x/lungs.git", ("github.hospital.example", "x", "lungs")),
        ("https://gitlab.com/hospital/lungs.git", None),
        ("/srv/lungs.git", None),
    ],
)
def test_the_repository_is_read_from_the_remotes_address(
    root: Path, url: str, found: tuple[str, str, str] | None
) -> None:
    git(root, "remote", "set-url", "origin", url)
    assert repository(root) == found
