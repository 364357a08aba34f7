"""The result of a comparison as a self-contained HTML page, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.core.reject_reasons import REASONS
from auscult.monitoring.drift import Drift, Feature, Spread
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd

#: Decimals by the ending of a column's name.
_DECIMALS = {"_hz": 0, "_db": 1, "_dbfs": 1, "_s": 1}
#: Size of a histogram in units of its SVG.
_WIDTH, _HEIGHT, _BINS = 320, 96, 24


@dataclass(frozen=True)
class About:
    """The model, the recordings and the limits of a comparison.

    Attributes
    ----------
    folder
        Name of the folder with the recent recordings, without its path.
    model
        Digest of the model's files.
    in_service
        False if no model of the experiment is in service, and the newest one was used.
    recordings, patients
        Numbers that the model learned from; ``Drift.learned_from`` is the number of recordings compared.
    limits
        The section ``monitor`` of ``flows/settings.yaml``.
    meanings
        Column of a table of :func:`auscult.monitoring.observe.observe` → its meaning.
    """

    dataset: str
    experiment: str
    folder: str
    model: str
    in_service: bool
    recordings: int
    patients: int
    limits: Mapping[str, float]
    meanings: Mapping[str, str]


def record(drift: Drift, recent: pd.DataFrame, about: About) -> dict[str, Any]:
    """Return the result as plain data: a function of the recordings, the model and the settings."""
    learned_from = {"recordings": about.recordings, "patients": about.patients, "compared": drift.learned_from}
    return {
        "dataset": about.dataset,
        "experiment": about.experiment,
        "model": about.model,
        "in_service": about.in_service,
        "folder": about.folder,
        **drift.to_json(),
        "learned_from": learned_from,
        "rejected_files": _files(recent),
        "limits": dict(about.limits),
    }


def page(drift: Drift, reference: pd.DataFrame, recent: pd.DataFrame, about: About) -> str:
    """Return the page's HTML, with the verdict first.

    Parameters
    ----------
    reference, recent
        The tables that were compared; features that drift are plotted.
    """
    accepted = [table[table["rejected"] == ""] for table in (reference, recent)]
    pictures = {
        feature.name: histogram(accepted[0][feature.name].to_numpy(), accepted[1][feature.name].to_numpy())
        for feature in drift.features
        if feature.drifts
    }
    return template("drift.html").render(
        drift=drift,
        about=about,
        headline=headline(drift),
        rows=[_row(feature) for feature in drift.features],
        classes=_class_rows(drift),
        files=_files(recent),
        pictures=pictures,
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


def markdown(drift: Drift, about: About) -> str:
    """Return the verdict and its table as Markdown, for Prefect's page."""
    lines = [
        f"### {headline(drift)}: {about.experiment} of {about.dataset}",
        "",
        f"{drift.verdict[:1].upper()}{drift.verdict[1:]}.",
        "",
        f"{drift.rejected.examined} recordings in `{about.folder}`, {drift.rejected.count} rejected"
        f" ({_share(drift.rejected.reference_share)} of the training data set were).",
    ]
    if drift.features:
        lines += [
            "",
            "| | learned from, median (5 to 95 %) | recent | distance | p-value | |",
            "|---|---|---|---|---|---|",
        ]
        for row in map(_row, drift.features):
            cells = [row["name"], row["reference"], row["recent"], row["distance"], row["p_value"]]
            lines.append(f"| {' | '.join(cells)} | {'**drifts**' if row['drifts'] else ''} |")
    if drift.classes is not None:
        mark = " **drifts**" if drift.classes.drifts else ""
        psi = f"stability index {drift.classes.psi:.2f}, p-value {_p_value(drift.classes.p_value)}.{mark}"
        lines += ["", f"Predicted classes: {psi}", "", "| class | learned from | recent |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['reference']} | {row['recent']} |" for row in _class_rows(drift)]
    return "\n".join(lines) + "\n"


def _row(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "reference": _spread(feature.name, feature.reference),
        "recent": _spread(feature.name, feature.recent),
        "distance": f"{feature.distance:.2f}",
        "p_value": _p_value(feature.p_value),
        "drifts": feature.drifts,
    }


def _class_rows(drift: Drift) -> list[dict[str, str]]:
    if drift.classes is None:
        return []
    samples = {"reference": drift.classes.reference, "recent": drift.classes.recent}
    totals = {sample: sum(counts.values()) for sample, counts in samples.items()}
    return [
        {"name": name}
        | {sample: f"{_share(counts[name] / totals[sample])} ({counts[name]})" for sample, counts in samples.items()}
        for name in drift.classes.reference
    ]


def _files(recent: pd.DataFrame) -> list[dict[str, str]]:
    rejected = recent.loc[recent["rejected"] != "", ["file", "rejected", "detail"]]
    return [{"file": file, "reason": reason, "detail": detail} for file, reason, detail in rejected.to_numpy().tolist()]


def _spread(name: str, spread: Spread) -> str:
    low, median, high = (_number(name, value) for value in (spread.low, spread.median, spread.high))
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
