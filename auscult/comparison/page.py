"""The comparison as one self-contained page: what the comment says, never shortened, with plots."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.comparison import markdown
from auscult.comparison.document import Comparison, Experiment, Metric
from auscult.comparison.verdict import points, verdict, with_interval
from auscult.core.storage import write_text
from auscult.reporting.report.figures import BLUE, DPI, GRID, INK, MUTED, data_uri
from auscult.reporting.templates import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHIPS = {"better": "good", "worse": "bad", "mixed": "doubtful", "no difference": "fair", "nothing changed": "fair"}
_COLOURS = {"better": "#23694a", "worse": "#9c2f2f", "within noise": BLUE, "same": MUTED, "unknown": MUTED}


def write_page(path: Path, document: Comparison) -> None:
    """Write the page; it needs no network, and every string of the document is escaped."""
    result = verdict(document)
    doubtful = result.headline.startswith("Perhaps")
    text = template("comparison.html").render(
        document=document,
        verdict=result,
        doubtful=doubtful,
        chip="doubtful" if doubtful else _CHIPS.get(result.kind, "unknown"),
        scores_plot=_plot_scores(document.experiments),
        metric_plots={each.name: _plot_metrics(each) for each in document.experiments},
        method_note=markdown.method_note(document),
        noise_notes=markdown.NOISE_NOTES,
        compared_units=markdown.compared_units,
        points=points,
        change=markdown.change,
        mark=markdown.mark,
        count=markdown.count,
        size=markdown.size,
        outcome=markdown.outcome,
        stage_difference=lambda stage: markdown.stage_difference(stage, str),
        difference=_difference,
        names=lambda experiment: list(dict.fromkeys(each.name for part in experiment.parts for each in part.metrics)),
    )
    write_text(path, text)


def _difference(metric: Metric) -> str:
    """Return the difference with its interval, or why one of them is missing."""
    if metric.difference is None:
        return metric.note or "–"
    text = with_interval(metric, 1.0, 3)
    return f"{text}; {metric.note}" if metric.note and metric.low is None else text


def _plot_scores(experiments: Sequence[Experiment]) -> str | None:
    """Return a plot of the score differences, a row per experiment; None where there is none."""
    scores = [(each.name, _score(each, "validation"), _score(each, "test")) for each in experiments]
    rows = [row for row in scores if row[1] or row[2]]
    if not rows:
        return None
    canvas = _canvas(7.4, 1.0 + 0.3 * len(rows))
    left, right = canvas.subplots(1, 2, sharey=True)
    names = [row[0] for row in rows]
    _plot_intervals(left, [row[1] for row in rows], names, 100.0, "validation score, head − base, points")
    _plot_intervals(right, [row[2] for row in rows], names, 100.0, "test score, head − base, points")
    return _png(canvas)


def _plot_metrics(experiment: Experiment) -> str | None:
    """Return a plot of all validation differences but that of the unbounded log loss; None where there is none."""
    part = experiment.part("validation")
    if experiment.state != "compared" or part is None:
        return None
    shown = [each for each in part.metrics if each.difference is not None and each.name != "log_loss"]
    if not shown:
        return None
    canvas = _canvas(6.4, 0.8 + 0.21 * len(shown))
    title = "validation, head − base, in each metric's own unit"
    _plot_intervals(canvas.subplots(), shown, [each.name for each in shown], 1.0, title)
    return _png(canvas)


def _score(experiment: Experiment, part_name: str) -> Metric | None:
    part = experiment.part(part_name)
    metric = part.metric("score") if part is not None else None
    return metric if metric is not None and metric.difference is not None else None


def _plot_intervals(
    axes: Axes, metrics: Sequence[Metric | None], names: Sequence[str], scale: float, title: str
) -> None:
    axes.axvline(0.0, color=MUTED, linewidth=1.2, zorder=1)
    for row, metric in enumerate(metrics):
        if metric is None or metric.difference is None:
            continue
        colour = _COLOURS[metric.mark]
        if metric.low is not None and metric.high is not None:
            axes.plot([scale * metric.low, scale * metric.high], [row, row], color=colour, linewidth=2.4, alpha=0.55)
        axes.plot(scale * metric.difference, row, "o", color=colour, markersize=5, zorder=3)
    labels = [name if len(name) <= 40 else f"{name[:39]}…" for name in names]
    axes.set_yticks(range(len(names)), labels, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=8, color=MUTED, length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _canvas(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # slow to import, and not every page has a plot

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _png(canvas: Figure) -> str:
    stream = io.BytesIO()
    canvas.savefig(stream, dpi=DPI, format="png", metadata={"Software": None})
    return data_uri(stream.getvalue(), "image/png")
