"""Open a pull request on GitHub, if the remote is on GitHub and a token is set.

REST API: https://docs.github.com/rest/pulls/pulls#create-a-pull-request. The token is read from ``GITHUB_TOKEN``
or ``GH_TOKEN``. Pushes and pull requests made with the token of a GitHub workflow start no workflow.
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
    """Return (host, owner, name) of the git remote; ``None`` if it is not on GitHub."""
    remote = git_remote(root)
    address = _ADDRESS.fullmatch(git(root, "remote", "get-url", remote)) if remote is not None else None
    if address is None or "github" not in address["host"]:
        return None
    return address["host"], address["owner"], address["name"]


def open_pull_request(root: Path, branch: str, base: str, title: str, body: str) -> str:
    """Open a pull request; return its address, or a line that says why there is none.

    A missing pull request is no failure: anybody can open one from the published branch.
    """
    found = repository(root)
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
    if found is None:
        return "no pull request: the git remote is not on GitHub"
    if not token:
        return "no pull request: neither GITHUB_TOKEN nor GH_TOKEN is set"
    import requests  # slow to import, and most repositories have no token

    host, owner, name = found
    # Send a token to its own host only: a GitHub Enterprise server has its API below /api/v3.
    default = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    api = os.environ.get("GITHUB_API_URL", default).rstrip("/")
    try:
        response = requests.post(
            f"{api}/repos/{owner}/{name}/pulls",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
            json={"title": title, "head": branch, "base": base, "body": body},
            timeout=_TIMEOUT_S,
        )
        content = response.json()
    except (requests.RequestException, ValueError) as error:
        return f"no pull request: {api} did not respond as expected ({type(error).__name__})"
    if response.status_code == 201:
        return str(content["html_url"])
    if response.status_code == 422 and "already exists" in response.text:
        return f"a pull request for {branch} is open already"
    return f"no pull request: {api} responded {response.status_code}, {content.get('message', '')}"
