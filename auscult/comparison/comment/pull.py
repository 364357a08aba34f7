"""Which pull request a run belongs to: from GitHub's event and API alone.

``workflow_run.pull_requests`` is empty for a fork's, so it is looked up by the head's branch and commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from auscult.comparison.comment.event import Run
from auscult.comparison.comment.github import GitHub


@dataclass(frozen=True)
class Found:
    """Numbers of the open pull requests whose head is the run's, or in words why there is none."""

    numbers: tuple[int, ...]
    why_none: str = ""


def requests(github: GitHub, run: Run) -> Found:
    """The open pull requests with this head; more than one where the same branch is offered to several."""
    if not run.fork:
        return Found((), "the repository of the pull request was deleted")
    head = f"{run.fork.partition('/')[0]}:{run.branch}"
    numbers, newer = [], ""
    for each in github.pages(f"repos/{run.repository}/pulls", state="open", head=head):
        place = each["head"]["repo"]
        if place is None or place["full_name"] != run.fork:
            continue
        if each["head"]["sha"] == run.commit:
            numbers.append(int(each["number"]))
        else:
            newer = str(each["head"]["sha"])
    if numbers:
        return Found(tuple(numbers))
    if newer:
        return Found((), f"its head is {newer[:7]} by now: the run for that one will tell")
    return Found((), "it is not open any more")
