"""The run that ended, as GitHub's event tells of it.

The event is GitHub's own: https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run. What stands in it
decides where the comment goes; the artifact never does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import AuscultError


@dataclass(frozen=True)
class Run:
    """A run of the workflow that compares.

    Attributes
    ----------
    repository
        ``owner/name`` of the repository that the pull request is made to, where the run took place.
    number
        GitHub's number of the run.
    started
        When this attempt began, in ISO 8601, UTC; what was uploaded before is of an earlier attempt.
    conclusion
        ``success``, ``failure``, ``cancelled``, …
    address
        Of its page.
    commit
        Head of the pull request that it was made for.
    branch
        The head's branch, in the head's repository.
    fork
        ``owner/name`` of the head's repository, be it a fork or not; empty where it was deleted.
    """

    repository: str
    number: int
    started: str
    conclusion: str
    address: str
    commit: str
    branch: str
    fork: str


def read(path: Path) -> Run:
    """The run in the file that GitHub names in ``GITHUB_EVENT_PATH``."""
    try:
        event: Any = json.loads(path.read_text(encoding="utf-8"))
        run = event["workflow_run"]
        head = run["head_repository"]
        return Run(
            repository=str(event["repository"]["full_name"]),
            number=int(run["id"]),
            started=str(run["run_started_at"]),
            conclusion=str(run["conclusion"]),
            address=str(run["html_url"]),
            commit=str(run["head_sha"]),
            branch=str(run["head_branch"]),
            fork=str(head["full_name"]) if head else "",
        )
    except OSError as error:
        raise AuscultError(f"the event cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise AuscultError(
            "the event tells of no run that ended",
            where=f"{path} ({type(error).__name__}: {error})",
            next_step="start it by workflow_run, as .github/workflows/pr-comment.yml does",
        ) from error
