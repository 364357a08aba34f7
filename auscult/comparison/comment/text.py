"""The text of the comment: the comparison, or why there is none."""

from __future__ import annotations

from auscult.comparison import markdown
from auscult.comparison.comment.pull_request import MARKER, WorkflowRun
from auscult.comparison.document import Comparison

#: https://docs.github.com/rest/checks/runs lists the conclusions.
_CONCLUSIONS = {
    "success": "succeeded",
    "failure": "failed",
    "cancelled": "was cancelled",
    "timed_out": "timed out",
    "action_required": "needs the approval of a maintainer",
    "startup_failure": "could not start",
    "stale": "was abandoned by GitHub",
}


def comparison(run: WorkflowRun, document: Comparison, pages: int | None) -> str:
    """Return the comparison, with a notice where the run failed after it.

    Parameters
    ----------
    pages
        Number of the artifact with the full report; None where there is none.
    """
    link = f"{run.address}/artifacts/{pages}" if pages is not None else run.address
    notice = ""
    if run.conclusion != "success":
        notice = f"**{_conclusion(run)} after this comparison was made.** See its log.\n\n"
    limit = markdown.LIMIT - len(notice.encode()) - len(f"{MARKER}\n".encode())
    return notice + markdown.render(document, limit=limit, link=link)


def missing(run: WorkflowRun) -> str:
    """Return the text for a run that uploaded no comparison."""
    command = f"git fetch origin {run.commit} && git checkout {run.commit} && make pr-report"
    return (
        f"**No metrics for `{run.commit[:10]}`.** {_conclusion(run)} and uploaded no comparison; see its log. "
        f"To reproduce:\n\n    {command}\n"
    )


def refused(run: WorkflowRun, reason: str) -> str:
    """Return the text for an upload that is not used; *reason* should quote nothing of it."""
    return (
        f"**No metrics for `{run.commit[:10]}`: the uploaded comparison was refused.** Reason:"
        f" {markdown.code(reason, 300)}. {_conclusion(run)}. Treat its artifact as untrusted.\n"
    )


def _conclusion(run: WorkflowRun) -> str:
    return f"[The run](<{run.address}>) {_CONCLUSIONS.get(run.conclusion, 'has ended')}"
