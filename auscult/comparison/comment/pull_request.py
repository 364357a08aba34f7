"""The pull request that a workflow run belongs to, and the comment on it.

GitHub's event and API decide where the comment goes; the uploaded artifact never does.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import AuscultError
from auscult.versioning.github import GitHub, UnclearError

_LOG = logging.getLogger(__name__)
#: First line of the comment; invisible when it is rendered.
MARKER = "<!-- auscult: base and head compared -->"
#: Author of comments that a workflow's token posts. The marker alone proves nothing: everybody can write it.
_AUTHOR = "github-actions[bot]"
_TRIES = 3


@dataclass(frozen=True)
class WorkflowRun:
    """A run of the workflow ``pr-metrics``.

    Attributes
    ----------
    repository
        ``owner/name`` of the repository of the pull request, where the run took place.
    number, address
        GitHub's number of the run, and its page.
    started
        Start of this attempt, ISO 8601 in UTC; earlier artifacts belong to an earlier attempt.
    conclusion
        ``success``, ``failure``, ``cancelled``, …
    commit, branch
        Head of the pull request that it was made for, and its branch.
    head_repository
        ``owner/name`` of the head's repository, which may be a fork; empty where it was deleted.
    """

    repository: str
    number: int
    address: str
    started: str
    conclusion: str
    commit: str
    branch: str
    head_repository: str


def read_event(path: Path) -> WorkflowRun:
    """Return the run in the file that ``GITHUB_EVENT_PATH`` names.

    https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run
    """
    try:
        event: Any = json.loads(path.read_text(encoding="utf-8"))
        run = event["workflow_run"]
        head = run["head_repository"]
        return WorkflowRun(
            repository=str(event["repository"]["full_name"]),
            number=int(run["id"]),
            started=str(run["run_started_at"]),
            conclusion=str(run["conclusion"]),
            address=str(run["html_url"]),
            commit=str(run["head_sha"]),
            branch=str(run["head_branch"]),
            head_repository=str(head["full_name"]) if head else "",
        )
    except OSError as error:
        raise AuscultError(f"the event cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise AuscultError(
            "the event has no completed workflow run",
            where=f"{path} ({type(error).__name__}: {error})",
            next_step="start it by workflow_run, as .github/workflows/pr-comment.yml does",
        ) from error


def open_pull_requests(github: GitHub, run: WorkflowRun) -> tuple[list[int], str]:
    """Return the numbers of the open pull requests whose head is the run's commit; else why there is none.

    They are looked up by branch and commit, because ``workflow_run.pull_requests`` is empty for forks.
    """
    if not run.head_repository:
        return [], "the repository of the pull request was deleted"
    head = f"{run.head_repository.partition('/')[0]}:{run.branch}"
    numbers, newer = [], ""
    for each in github.pages(f"repos/{run.repository}/pulls", state="open", head=head):
        repository = each["head"]["repo"]
        if repository is None or repository["full_name"] != run.head_repository:
            continue
        if each["head"]["sha"] == run.commit:
            numbers.append(int(each["number"]))
        else:
            newer = str(each["head"]["sha"])
    if numbers:
        return numbers, ""
    return [], f"its head is now {newer[:7]}, which has its own run" if newer else "the pull request is not open"


def put_comment(github: GitHub, repository: str, number: int, text: str) -> str:
    """Update the comment on a pull request, or post it if there is none; return its address.

    Parameters
    ----------
    text
        Without the marker.
    """
    content = {"body": f"{MARKER}\n{text}"}
    comments = f"repos/{repository}/issues/{number}/comments"
    for attempt in range(_TRIES):
        present = _find_comment(github, comments)
        if present is not None:
            return _address(github.patch(f"repos/{repository}/issues/comments/{present}", content))
        try:
            return _address(github.post(comments, content))
        except UnclearError as error:  # the comment may exist: search again before it is posted again
            if attempt == _TRIES - 1:
                raise
            _LOG.info("%s; checking whether the comment exists", error.what)
            github.pause(2.0**attempt)
    raise AssertionError("the last try returns or raises")


def _find_comment(github: GitHub, comments: str) -> int | None:
    for each in github.pages(comments):
        author = each["user"] or {}  # null where the account was deleted
        ours = author.get("login") == _AUTHOR and author.get("type") == "Bot"
        if ours and str(each["body"] or "").startswith(MARKER):
            return int(each["id"])
    return None


def _address(comment: object) -> str:
    return str(comment.get("html_url", "")) if isinstance(comment, dict) else ""
