"""The validation page: summary and rejected recordings as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auscult.core.records import RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd


def render(summary: Mapping[str, Any], rejects: pd.DataFrame, look_alikes: Sequence[tuple[str, ...]] = ()) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    summary
        Result of :func:`auscult.validation.summary.summarise`.
    rejects
        Columns ``recording_id``, ``reason``, ``detail``.
    look_alikes
        Groups of patient ids that may be one patient's.
    """
    return template("validation.html").render(
        summary=summary,
        rejects=rejects.to_dict("records"),
        look_alikes=look_alikes,
        columns={"recordings": RECORDING_COLUMNS, "segments": SEGMENT_COLUMNS},
    )
