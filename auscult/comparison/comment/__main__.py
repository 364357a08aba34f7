"""``python3 -m auscult.comparison.comment``: post or update the comment on the pull request whose comparison has just ended.

Called by ``.github/workflows/pr-comment.yml`` on the default branch, with Python's standard library alone. All that it
needs is in GitHub's variables: ``GITHUB_EVENT_PATH``, ``GITHUB_API_URL`` and ``GITHUB_TOKEN``.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from auscult.comparison import document
from auscult.comparison.comment import artifact, event, pull, sticky, words
from auscult.comparison.comment.event import Run
from auscult.comparison.comment.github import GitHub
from auscult.core.errors import EXIT_USER_ERROR, AuscultError


def main() -> None:
    """Tell the pull request; exit code 2 where GitHub did not let us, and in words why."""
    try:
        run = event.read(Path(_variable("GITHUB_EVENT_PATH")))
        tell(GitHub(_variable("GITHUB_API_URL"), _variable("GITHUB_TOKEN")), run)
    except AuscultError as error:
        print(f"\nERROR: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USER_ERROR) from None


def tell(github: GitHub, run: Run) -> None:
    """One comment on each open pull request with this head."""
    found = pull.requests(github, run)
    if not found.numbers:
        print(f"no comment for {run.commit[:10]}: {found.why_none}")
        return
    text = said(github, run)
    for number in found.numbers:
        print(f"#{number}: {sticky.put(github, run.repository, number, text)}")


def said(github: GitHub, run: Run) -> str:
    """The comment's text; an artifact that is not as it should be is said, never half used."""
    try:
        uploaded = artifact.uploaded(github, run)
        if uploaded.data is None:
            return words.nothing(run)
        content = artifact.content(github, run, uploaded.data)
    except artifact.Refusal as refusal:
        return words.refused(run, refusal.what)
    return shown(content, run, uploaded.pages)


def shown(content: bytes, run: Run, pages: int | None) -> str:
    """The comparison in *content*, which a stranger wrote, as text; else why not."""
    try:
        comparison = document.parse(content)
        if comparison.head.commit != run.commit:
            return words.refused(run, "it is the comparison of another commit")
        return words.compared(run, comparison, pages)
    except document.DocumentError as refusal:
        return words.refused(run, refusal.what)
    except Exception as error:
        # Whatever such a file makes go wrong, the reviewer learns that it did. The log keeps where; not the error's
        # own words, which may be the stranger's.
        print("".join(traceback.format_tb(error.__traceback__)), type(error).__name__, file=sys.stderr, flush=True)
        return words.refused(run, f"it could not be shown ({type(error).__name__})")


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
