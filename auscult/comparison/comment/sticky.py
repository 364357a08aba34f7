"""One comment on a pull request, posted once and then kept up to date."""

from __future__ import annotations

from auscult.comparison.comment.github import GitHub, Unclear

#: First line of the comment; invisible when it is rendered.
MARKER = "<!-- auscult: base and head compared -->"
#: Who a workflow's token posts as. The marker alone proves nothing: anybody can write it.
AUTHOR = "github-actions[bot]"
_TRIES = 3


def put(github: GitHub, repository: str, number: int, text: str) -> str:
    """Update the comment where there is one, else post it; returns its address.

    Parameters
    ----------
    text
        Without the marker.
    """
    content = {"body": f"{MARKER}\n{text}"}
    comments = f"repos/{repository}/issues/{number}/comments"
    for attempt in range(_TRIES):
        present = _present(github, comments)
        if present is not None:
            return _address(github.patch(f"repos/{repository}/issues/comments/{present}", content))
        try:
            return _address(github.post(comments, content))
        except Unclear as error:  # it may be there all the same: look before another is posted
            if attempt == _TRIES - 1:
                raise
            print(f"{error.what}; looked up before it is posted again", flush=True)
            github.pause(2.0**attempt)
    raise AssertionError("the last try returns or raises")


def _present(github: GitHub, comments: str) -> int | None:
    for each in github.pages(comments):
        author = each["user"] or {}  # null where the account was deleted
        ours = author.get("login") == AUTHOR and author.get("type") == "Bot"
        if ours and str(each["body"] or "").startswith(MARKER):
            return int(each["id"])
    return None


def _address(comment: object) -> str:
    return str(comment.get("html_url", "")) if isinstance(comment, dict) else ""
