"""The comparison as one self-contained page: what the comment says, never shortened, with the intervals drawn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from auscult.comparison import markdown
from auscult.comparison.document import Comparison, Metric
from auscult.comparison.verdict import missed, verdict, with_interval
from auscult.core.storage import write_text
from auscult.reporting import scale
from auscult.reporting.templates import template


def write_page(path: Path, document: Comparison) -> None:
    """Write the page; it needs no network, and every string of the document is escaped."""
    text = template("comparison.html").render(
        document=document,
        verdict=verdict(document),
        markdown=markdown,
        with_interval=with_interval,
        missed=missed,
        points=scale.points,
        score_reach=_reach(each.score(part) for each in document.rows for part in ("validation", "test")),
        reach=lambda experiment: _reach(metric for part in experiment.parts for metric in part.metrics),
        names=lambda experiment: list(dict.fromkeys(each.name for part in experiment.parts for each in part.metrics)),
    )
    write_text(path, text)


def _reach(metrics: Iterable[Metric | None]) -> float:
    """Return the largest distance of an interval's end from zero, without the unbounded log loss; 0 without intervals.

    Intervals of one table are drawn on one scale, from minus this to plus this.
    """
    shown = [each for each in metrics if each is not None and each.name != "log_loss"]
    return max((abs(end) for each in shown for end in (each.low, each.high) if end is not None), default=0.0)
