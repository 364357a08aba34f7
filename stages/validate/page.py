"""The validation page: the summary and the rejects for a person, self-contained and offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.records import RECORDING_COLUMNS, SEGMENT_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render(summary: Mapping[str, Any], rejects: pd.DataFrame) -> str:
    """One HTML page.

    Parameters
    ----------
    summary
        Of :func:`stages.validate.summary.summarise`.
    rejects
        Columns ``recording_id``, ``reason``, ``detail``.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        summary=summary,
        rejects=rejects.to_dict("records"),
        columns={"recordings": RECORDING_COLUMNS, "segments": SEGMENT_COLUMNS},
    )
