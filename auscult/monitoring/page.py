"""The result of a comparison as JSON, as a self-contained HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.core.reject_reasons import REASONS
from auscult.monitoring.drift import Drift, Spread
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd

#: Decimals by the ending of a column's name.
_DECIMALS = {"_hz": 0, "_db": 1, "_dbfs": 1, "_s": 1}
#: Size of a histogram in units of its SVG.
_WIDTH, _HEIGHT, _BINS = 320, 96, 24


def page(
    drift: Drift,
    record: Mapping[str, Any],
    reference: pd.DataFrame,
    recent: pd.DataFrame,
    meanings: Mapping[str, str],
) -> str:
    """Return the page's HTML, with the verdict first.

    Parameters
    ----------
    record
        Content of ``drift.json``.
    reference, recent
        The tables that were compared; features that drift are plotted.
    meanings
        Column of these tables → its meaning.
    """
    accepted = [table[table["rejected"] == ""] for table in (reference, recent)]
    pictures = {
        feature.name: histogram(accepted[0][feature.name].to_numpy(), accepted[1][feature.name].to_numpy())
        for feature in drift.features
        if feature.drifts
    }
    return template("drift.html").render(
        drift=drift,
        record=record,
        headline=headline(drift),
        rows=_rows(drift),
        classes=_class_rows(drift),
        pictures=pictures,
        meanings=meanings,
        reasons=REASONS,
        p_value=_p_value,
        number=_number,
        share=_share,
    )


def headline(drift: Drift) -> str:
    """Return ``No drift``, ``Drift`` or ``Too few recordings``."""
    if drift.drifted:
        return "Drift"
    return "No drift" if drift.enough else "Too few recordings"


def markdown(drift: Drift, record: Mapping[str, Any]) -> str:
    """Return the verdict and its tables as Markdown, for Prefect's page."""
    lines = [
        f"### {headline(drift)}: {record['experiment']} of {record['dataset']}",
        "",
        f"{drift.verdict[:1].upper()}{drift.verdict[1:]}.",
        "",
        f"{drift.rejected.examined} recordings in `{record['folder']}`, {drift.rejected.count} rejected"
        f" ({_share(drift.rejected.reference_share)} of the training data set were).",
    ]
    if drift.features:
        lines += ["", "| | training, median (5 to 95 %) | recent | distance | p-value | |", "|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(cells)} | {'**drifts**' if drifts else ''} |" for *cells, drifts in _rows(drift)]
    if drift.classes is not None:
        mark = " **drifts**" if drift.classes.drifts else ""
        psi = f"stability index {drift.classes.psi:.2f}, p-value {_p_value(drift.classes.p_value)}.{mark}"
        lines += ["", f"Predicted classes: {psi}", "", "| class | training | recent |", "|---|---|---|"]
        lines += [f"| {' | '.join(cells)} |" for cells in _class_rows(drift)]
    return "\n".join(lines) + "\n"


def _rows(drift: Drift) -> list[tuple[str, str, str, str, str, bool]]:
    """Return per feature: name, both spreads, distance, p-value, and whether it drifts."""
    rows = []
    for each in drift.features:
        reference, recent = (_spread(each.name, spread) for spread in (each.reference, each.recent))
        rows.append((each.name, reference, recent, f"{each.distance:.2f}", _p_value(each.p_value), each.drifts))
    return rows


def _class_rows(drift: Drift) -> list[tuple[str, ...]]:
    """Return per class: name, and its share of the training and of the recent recordings."""
    if drift.classes is None:
        return []
    samples = [(counts, sum(counts.values())) for counts in (drift.classes.reference, drift.classes.recent)]
    return [
        (name, *(f"{_share(counts[name] / total)} ({counts[name]})" for counts, total in samples))
        for name in drift.classes.reference
    ]


def _spread(name: str, spread: Spread) -> str:
    low, median, high = (_number(name, value) for value in astuple(spread))
    return f"{median} ({low} to {high})"


def _number(name: str, value: float) -> str:
    """Format a value with the decimals of its unit."""
    ending = next((end for end in sorted(_DECIMALS, key=len, reverse=True) if name.endswith(end)), "")
    decimals = 1 if name.startswith("band_") else _DECIMALS.get(ending, 2)
    return f"{value:.{decimals}f}".replace("-", "−")


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _p_value(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


@dataclass(frozen=True)
class Histogram:
    """Outlines of two histograms over the same bins, as ``d`` of an SVG path, and the ends of their scale."""

    reference: str
    recent: str
    low: float
    high: float


def histogram(reference: NDArray[np.floating], recent: NDArray[np.floating]) -> Histogram:
    """Return histograms of both samples over their common range, as shares of recordings and to one scale."""
    low, high = (float(end([end(reference), end(recent)])) for end in (np.min, np.max))
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    shares = [np.histogram(sample, bins=edges)[0] / len(sample) for sample in (reference, recent)]
    tallest = max(float(share.max()) for share in shares)
    outlines = [_outline(share / tallest) for share in shares]
    return Histogram(outlines[0], outlines[1], low, high)


def _outline(heights: NDArray[np.floating]) -> str:
    """Return a path of steps with the given heights (0 to 1)."""
    step = _WIDTH / len(heights)
    points = [f"M0 {_HEIGHT}"]
    for index, height in enumerate(heights):
        points.append(f"V{_HEIGHT * (1 - height):.1f}H{(index + 1) * step:.1f}")
    return "".join([*points, f"V{_HEIGHT}"])
