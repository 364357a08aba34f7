"""What the comment says: the comparison, or why there is none."""

from __future__ import annotations

from auscult.comparison import markdown
from auscult.comparison.comment.event import Run
from auscult.comparison.document import Comparison

#: Bytes that are kept for the line which marks the comment as ours.
_MARKER = 100
#: GitHub's conclusions in words; https://docs.github.com/rest/checks/runs names them.
_ENDED = {
    "success": "ended well",
    "failure": "failed",
    "cancelled": "was cancelled",
    "timed_out": "took too long and was stopped",
    "action_required": "waits for the approval of a maintainer",
    "startup_failure": "could not be started",
    "stale": "was given up",
}


def compared(run: Run, comparison: Comparison, pages: int | None) -> str:
    """The comparison, with a first sentence where the run did not end well.

    Parameters
    ----------
    pages
        Number of the artifact that people read; null where there is none.
    """
    link = f"{run.address}/artifacts/{pages}" if pages is not None else run.address
    notice = ""
    if run.conclusion != "success":
        notice = f"**{_the_run(run)} after this comparison was made.** Its log says why.\n\n"
    return notice + markdown.render(comparison, limit=markdown.LIMIT - len(notice.encode()) - _MARKER, link=link)


def nothing(run: Run) -> str:
    """The run uploaded no comparison."""
    command = f"git fetch origin {run.commit} && git checkout {run.commit} && make pr-report"
    return (
        f"**No figures for `{run.commit[:10]}`.** {_the_run(run)} and uploaded no comparison; its log says why. "
        f"The same on your machine:\n\n    {command}\n"
    )


def refused(run: Run, why: str) -> str:
    """What the run uploaded is not used; *why* holds nothing out of it."""
    return (
        f"**No figures for `{run.commit[:10]}`. What the run uploaded was refused:** {_plain(why)}. "
        f"{_the_run(run)}. Open its artifact with the care that a stranger's file deserves.\n"
    )


def _the_run(run: Run) -> str:
    return f"[The run](<{run.address}>) {_ENDED.get(run.conclusion, 'ended otherwise')}"


def _plain(why: str) -> str:
    """As text that GitHub shows as it stands: whatever may be in it becomes no markup."""
    plain = "".join(each if each.isalnum() or each in " .,:;()/-'" else " " for each in why)
    return " ".join(plain[:300].split()).rstrip(".")
