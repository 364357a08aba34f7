"""The comparison as one self-contained page: what the comment says, never shortened, with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from auscult.comparison import plots
from auscult.comparison.changes import count, size, stage_differs
from auscult.comparison.document import Comparison, Figure
from auscult.comparison.verdict import Verdict, points, signed, verdict
from auscult.comparison.wording import change, mark, number
from auscult.core.storage import write_text
from auscult.reporting.templates import template

_CHIPS = {"better": "good", "worse": "bad", "mixed": "doubtful", "no difference": "fair", "nothing changed": "fair"}


def write_page(path: Path, document: Comparison) -> None:
    """Write the page; it opens offline, and every string of the document is escaped."""
    said = verdict(document)
    text = template("comparison.html").render(
        document=document,
        verdict=said,
        chip="doubtful" if _unsure(said) else _CHIPS.get(said.kind, "unknown"),
        unsure=_unsure(said),
        scores=plots.scores(document.experiments),
        pictures={each.name: plots.metrics(each) for each in document.experiments},
        points=points,
        change=change,
        mark=mark,
        number=number,
        count=count,
        size=size,
        stage_differs=lambda stage: stage_differs(stage, str),
        difference=_difference,
        names=_names,
    )
    write_text(path, text)


def _unsure(said: Verdict) -> bool:
    return said.headline.startswith("Perhaps")


def _difference(figure: Figure) -> str:
    """The difference with its interval, or why there is none."""
    if figure.difference is None:
        return figure.note or "–"
    said = signed(figure.difference, 3)
    if figure.low is not None and figure.high is not None:
        return f"{said} ({signed(figure.low, 3)} to {signed(figure.high, 3)})"
    return f"{said}; {figure.note}" if figure.note else said


def _names(experiment: Any) -> list[str]:
    """Every figure's name, once, in order."""
    return list(dict.fromkeys(figure.name for part in experiment.parts for figure in part.figures))
