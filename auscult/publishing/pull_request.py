"""Open a pull request, where the git remote is on GitHub and a token allows it.

REST API: https://docs.github.com/rest/pulls/pulls#create-a-pull-request. The token is read from ``GITHUB_TOKEN``
or ``GH_TOKEN``. Pushes and pull requests made with the token of GitHub's own workflows start no workflow.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from auscult.publishing.push import git_remote
from auscult.versioning.commands import git
from auscult.versioning.github import GitHub, GitHubError

_ADDRESS = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://git@|git@)(?:ssh\.(?=github\.com))?(?P<host>[^/:]+)(?::\d+(?=/))?"
    r"[/:](?P<owner>[^/]+)/(?P<name>.+?)(?:\.git)?/?"
)


def repository(root: Path) -> tuple[str, str, str] | None:
    """Return (host, owner, name) of the remote; ``None`` if it is not on GitHub."""
    remote = git_remote(root)
    address = _ADDRESS.fullmatch(git(root, "remote", "get-url", remote)) if remote is not None else None
    if address is None or "github" not in address["host"]:
        return None
    return address["host"], address["owner"], address["name"]


def open_pull_request(root: Path, branch: str, base: str, title: str, body: str) -> str:
    """Open a pull request; return its address, or a line that says why there is none, which is no error."""
    found = repository(root)
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
    if found is None:
        return "no pull request: the git remote is not on GitHub"
    if not token:
        return "no pull request: neither GITHUB_TOKEN nor GH_TOKEN is set"
    host, owner, name = found
    # The token goes only to the host that it is for; GitHub Enterprise Server has its API below /api/v3.
    default = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    api = os.environ.get("GITHUB_API_URL", default)
    try:
        github = GitHub(api, token)
        made = github.post(f"repos/{owner}/{name}/pulls", {"title": title, "head": branch, "base": base, "body": body})
        return str(made["html_url"])
    except GitHubError as error:
        if error.status == 422 and "already exists" in error.what:
            return f"a pull request for {branch} is already open"
        return f"no pull request: {error.what} ({api})"
    except (KeyError, TypeError):
        return f"no pull request: {api} gave an unexpected response"
