"""``data diff``: two versions of the data set, with an exit code for CI."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

from auscult.core.errors import EXIT_USER_ERROR, AuscultError
from auscult.curation.diff.difference import difference
from auscult.curation.diff.version import at_folder, at_revision

DIFFERENT = 1


def diff(before: str, after: str | None, form: str) -> None:
    """Print how the data of two revisions differ; where there is no second one, from the workspace's outputs.

    Parameters
    ----------
    form
        ``text``, ``markdown`` or ``json``.

    Raises
    ------
    SystemExit
        1 where they differ, as ``diff`` does; 2 after a fault of the project, which is no difference.
    AuscultError
        As :func:`auscult.curation.diff.version.at_revision` and :func:`auscult.curation.diff.version.at_folder`.
    """
    root = Path.cwd()
    try:
        old = at_revision(root, before)
        new = at_folder(root) if after is None else at_revision(root, after)
        found = difference(old, new)
        if form == "json":
            text = json.dumps(found.to_json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        else:
            text = found.markdown().rstrip("\n") if form == "markdown" else found.text()
    except AuscultError:
        raise
    except Exception:
        traceback.print_exc()
        raise SystemExit(EXIT_USER_ERROR) from None
    print(text, flush=True)
    if not found.same:
        raise SystemExit(DIFFERENT)
