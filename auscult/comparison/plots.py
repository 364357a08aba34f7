"""Pictures of the page, as PNG in data addresses: differences with their intervals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from auscult.comparison.document import Experiment, Figure
from auscult.reporting.report.figures import BLUE, DPI, GRID, INK, MUTED, data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"better": "#23694a", "worse": "#9c2f2f", "within noise": BLUE, "same": MUTED, "unknown": MUTED}
_INCHES = 0.3


def scores(experiments: Sequence[Experiment]) -> str | None:
    """Difference of the score on validation, and beside it on test, a line per experiment; None where there is none."""
    rows = [each for each in experiments if any(_drawn(each, part) for part in ("validation", "test"))]
    if not rows:
        return None
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(7.4, 1.0 + _INCHES * len(rows)), layout="constrained", facecolor="white")
    left, right = canvas.subplots(1, 2, sharey=True)
    for axes, part in ((left, "validation"), (right, "test")):
        _forest(axes, [_drawn(each, part) for each in rows], [each.name for each in rows], 100.0)
        axes.set_title(f"{part} score, head − base, points", fontsize=9, color=INK, loc="left")
    return _png(canvas)


def metrics(experiment: Experiment) -> str | None:
    """Difference of every metric on validation, those that lie between 0 and 1; None where there is none."""
    part = experiment.part("validation")
    if experiment.state != "compared" or part is None:
        return None
    shown = [each for each in part.figures if each.difference is not None and each.name != "log_loss"]
    if not shown:
        return None
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 0.8 + 0.21 * len(shown)), layout="constrained", facecolor="white")
    axes = canvas.subplots()
    _forest(axes, shown, [each.name for each in shown], 1.0)
    axes.set_title("validation, head − base, in each metric's own unit", fontsize=9, color=INK, loc="left")
    return _png(canvas)


def _drawn(experiment: Experiment, part_name: str) -> Figure | None:
    part = experiment.part(part_name)
    figure = part.figure("score") if part is not None else None
    return figure if figure is not None and figure.difference is not None else None


def _forest(axes: Axes, figures: Sequence[Figure | None], names: Sequence[str], scale: float) -> None:
    axes.axvline(0.0, color=MUTED, linewidth=1.2, zorder=1)
    for row, figure in enumerate(figures):
        if figure is None or figure.difference is None:
            continue
        colour = _COLOURS[figure.mark]
        if figure.low is not None and figure.high is not None:
            axes.plot([scale * figure.low, scale * figure.high], [row, row], color=colour, linewidth=2.4, alpha=0.55)
        axes.plot(scale * figure.difference, row, "o", color=colour, markersize=5, zorder=3)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=8, color=MUTED, length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _png(canvas: object) -> str:
    stream = io.BytesIO()
    canvas.savefig(stream, dpi=DPI, format="png", metadata={"Software": None})  # type: ignore[attr-defined]
    return data_uri(stream.getvalue(), "image/png")
