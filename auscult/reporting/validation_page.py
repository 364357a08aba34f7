"""The validation page: summary and rejected recordings as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auscult.core.records import RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd


def render(summary: Mapping[str, Any], rejects: pd.DataFrame) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    summary
        Result of :func:`auscult.validation.summary.summarise`.
    rejects
        Columns ``recording_id``, ``reason``, ``detail``.
    """
    return template("validation.html").render(
        summary=summary,
        rejects=rejects.to_dict("records"),
        columns={"recordings": RECORDING_COLUMNS, "segments": SEGMENT_COLUMNS},
    )
