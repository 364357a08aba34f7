"""What was found, for a person: one self-contained page, a table in markdown, and JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.core.reject_reasons import REASONS
from auscult.monitoring.drift import CLASSES, SET_ASIDE, Drift, Feature, Spread
from auscult.monitoring.histogram import histogram
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd

#: Decimals by the end of a column's name.
_DECIMALS = {"_hz": 0, "_db": 1, "_dbfs": 1, "_s": 1}


@dataclass(frozen=True)
class About:
    """What was compared with what.

    Attributes
    ----------
    folder
        Name of the folder with the recent recordings, without the place where it lies.
    model
        Digest of the model's files.
    in_service
        False where no model of the experiment is, and the newest one was asked.
    recordings, patients
        That the model learned from; the drift's ``learned_from`` says how many of them were compared.
    limits
        The parameters ``flows.monitor``.
    meanings
        Column of a table of observations → what it means.
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
    """All figures as plain data: a function of the recordings, the model and the parameters."""
    learned_from = {"recordings": about.recordings, "patients": about.patients, "compared": drift.learned_from}
    return {
        "dataset": about.dataset,
        "experiment": about.experiment,
        "model": about.model,
        "in_service": about.in_service,
        "folder": about.folder,
        **drift.to_json(),
        "learned_from": learned_from,
        "files_set_aside": _files(recent),
        "limits": dict(about.limits),
    }


def page(drift: Drift, reference: pd.DataFrame, recent: pd.DataFrame, about: About) -> str:
    """The page's HTML, verdict first.

    Parameters
    ----------
    reference, recent
        The tables that were compared; only drifted features are drawn.
    """
    sound = [table[table["rejected"] == ""] for table in (reference, recent)]
    pictures = {
        feature.name: histogram(sound[0][feature.name].to_numpy(), sound[1][feature.name].to_numpy())
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
        chance=_chance,
        number=_number,
        share=_share,
        names={"classes": CLASSES, "set_aside": SET_ASIDE},
    )


def headline(drift: Drift) -> str:
    """``No drift``, ``Drift`` or ``Too few recordings``."""
    if drift.drifted:
        return "Drift"
    return "No drift" if drift.enough else "Too few recordings"


def markdown(drift: Drift, about: About) -> str:
    """The verdict and its table, for Prefect's page."""
    lines = [
        f"### {headline(drift)}: {about.experiment} of {about.dataset}",
        "",
        f"{drift.verdict[:1].upper()}{drift.verdict[1:]}.",
        "",
        f"{drift.set_aside.looked_at} recordings in `{about.folder}`, {drift.set_aside.count} set aside"
        f" ({_share(drift.set_aside.reference_share)} of the data learned from were).",
    ]
    if drift.features:
        lines += [
            "",
            "| | learned from, median (5 to 95 %) | recent | distance | chance | |",
            "|---|---|---|---|---|---|",
        ]
        for row in map(_row, drift.features):
            cells = [row["name"], row["reference"], row["recent"], row["distance"], row["chance"]]
            lines.append(f"| {' | '.join(cells)} | {'**drifts**' if row['drifts'] else ''} |")
    if drift.classes is not None:
        mark = " **drifts**" if drift.classes.drifts else ""
        psi = f"stability index {drift.classes.psi:.2f}, chance {_chance(drift.classes.p_value)}.{mark}"
        lines += ["", f"Predicted classes: {psi}", "", "| class | learned from | recent |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['reference']} | {row['recent']} |" for row in _class_rows(drift)]
    return "\n".join(lines) + "\n"


def _row(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "reference": _spread(feature.name, feature.reference),
        "recent": _spread(feature.name, feature.recent),
        "distance": f"{feature.distance:.2f}",
        "chance": _chance(feature.p_value),
        "drifts": feature.drifts,
    }


def _class_rows(drift: Drift) -> list[dict[str, str]]:
    if drift.classes is None:
        return []
    sides = {"reference": drift.classes.reference, "recent": drift.classes.recent}
    totals = {side: sum(counts.values()) for side, counts in sides.items()}
    return [
        {"name": name}
        | {side: f"{_share(counts[name] / totals[side])} ({counts[name]})" for side, counts in sides.items()}
        for name in drift.classes.reference
    ]


def _files(recent: pd.DataFrame) -> list[dict[str, str]]:
    rejected = recent.loc[recent["rejected"] != "", ["file", "rejected", "detail"]]
    return [{"file": file, "reason": reason, "detail": detail} for file, reason, detail in rejected.to_numpy().tolist()]


def _spread(name: str, spread: Spread) -> str:
    low, median, high = (_number(name, value) for value in (spread.low, spread.median, spread.high))
    return f"{median} ({low} to {high})"


def _number(name: str, value: float) -> str:
    """With the decimals that its unit deserves."""
    ending = next((end for end in sorted(_DECIMALS, key=len, reverse=True) if name.endswith(end)), "")
    decimals = 1 if name.startswith("band_") else _DECIMALS.get(ending, 2)
    return f"{value:.{decimals}f}".replace("-", "−")


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _chance(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
