"""A pull request on GitHub, where the remote is there and a token allows it.

REST API: https://docs.github.com/rest/pulls/pulls#create-a-pull-request. The token is read from ``GITHUB_TOKEN``
or ``GH_TOKEN``. Pushes and pull requests made with the token of GitHub's own workflows start no workflow.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from auscult.publishing.push import git_remote
from auscult.versioning.commands import git

_ADDRESS = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://git@|git@)(?P<host>[^/:]+)[/:](?P<owner>[^/]+)/(?P<name>.+?)(?:\.git)?/?"
)
_TIMEOUT_S = 30


def repository(root: Path) -> tuple[str, str, str] | None:
    """(host, owner, name) of the remote, where it is on GitHub."""
    remote = git_remote(root)
    address = _ADDRESS.fullmatch(git(root, "remote", "get-url", remote)) if remote is not None else None
    if address is None or "github" not in address["host"]:
        return None
    return address["host"], address["owner"], address["name"]


def open_pull_request(root: Path, branch: str, base: str, title: str, body: str) -> str:
    """Ask for a pull request; returns its address, or in words why there is none.

    Not having one is no failure: the branch is there, and anybody can open one from it.
    """
    found = repository(root)
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
    if found is None:
        return "no pull request: the git remote is not on GitHub"
    if not token:
        return "no pull request: neither GITHUB_TOKEN nor GH_TOKEN is set"
    import requests

    host, owner, name = found
    # A token goes to nobody but the host that it is for: an enterprise's server has its API below /api/v3.
    usual = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    api = os.environ.get("GITHUB_API_URL", usual).rstrip("/")
    try:
        answer = requests.post(
            f"{api}/repos/{owner}/{name}/pulls",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
            json={"title": title, "head": branch, "base": base, "body": body},
            timeout=_TIMEOUT_S,
        )
        said = answer.json()
    except (requests.RequestException, ValueError) as error:
        return f"no pull request: {api} did not answer as expected ({type(error).__name__})"
    if answer.status_code == 201:
        return str(said["html_url"])
    if answer.status_code == 422 and "already exists" in answer.text:
        return f"a pull request for {branch} is open already"
    return f"no pull request: {api} says {answer.status_code}, {said.get('message', '')}"
