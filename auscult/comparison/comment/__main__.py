"""``python3 -m auscult.comparison.comment``: post or update the comment on a pull request after its comparison.

``.github/workflows/pr-comment.yml`` runs it on the default branch. It reads GitHub's variables ``GITHUB_EVENT_PATH``,
``GITHUB_API_URL`` and ``GITHUB_TOKEN``.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path

from auscult.comparison import document
from auscult.comparison.comment import artifact, pull_request, text
from auscult.comparison.comment.pull_request import WorkflowRun
from auscult.core.crashes import report
from auscult.core.errors import AuscultError
from auscult.versioning.github import GitHub

_LOG = logging.getLogger(__name__)
#: What the owner of the workflow can do, by HTTP status.
NEXT_STEPS = {
    401: "give the step GITHUB_TOKEN: ${{ github.token }}",
    403: "the job needs actions: read and pull-requests: write, and the repository's settings must allow them "
    "(Settings, Actions, General, Workflow permissions); see docs/ci.md",
    410: "run the comparison again: its artifact has expired",
}


def main() -> None:
    """Comment; exit with 2 and a message where GitHub refuses, with 3 after a crash."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        run = pull_request.read_event(Path(_variable("GITHUB_EVENT_PATH")))
        comment(GitHub(_variable("GITHUB_API_URL"), _variable("GITHUB_TOKEN"), NEXT_STEPS), run)
    except Exception as error:
        raise SystemExit(report(error)) from None


def comment(github: GitHub, run: WorkflowRun) -> None:
    """Put one comment on each open pull request with the run's commit as its head."""
    numbers, reason = pull_request.open_pull_requests(github, run)
    if not numbers:
        _LOG.info("no comment for %s: %s", run.commit[:10], reason)
        return
    body = _body(github, run)
    for number in numbers:
        _LOG.info("#%s: %s", number, pull_request.put_comment(github, run.repository, number, body))


def _body(github: GitHub, run: WorkflowRun) -> str:
    """Return the comment's text; an artifact that is not as expected is refused as a whole."""
    try:
        numbers = artifact.find(github, run)
        if artifact.DATA not in numbers:
            return text.missing(run)
        content = artifact.download(github, run, numbers[artifact.DATA])
    except artifact.RefusedError as error:
        return text.refused(run, error.what)
    try:
        comparison = document.parse(content)
        if comparison.head.commit != run.commit:
            return text.refused(run, "it is the comparison of another commit")
        return text.comparison(run, comparison, numbers.get(artifact.PAGES))
    except document.DocumentError as error:
        return text.refused(run, error.what)
    except Exception as error:
        # The reviewer must learn that the untrusted input could not be handled. The log shows where, but not the
        # error's message, which may contain that input.
        print("".join(traceback.format_tb(error.__traceback__)), type(error).__name__, file=sys.stderr, flush=True)
        return text.refused(run, f"it could not be shown ({type(error).__name__})")


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise AuscultError(
            f"{name} is not set",
            next_step="run this in a workflow on workflow_run, as .github/workflows/pr-comment.yml",
        )
    return value


if __name__ == "__main__":
    main()
