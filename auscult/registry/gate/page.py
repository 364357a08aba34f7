"""The record of a decision as an HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.core.storage import write_text
from auscult.reporting.templates import template

_VERDICTS = {"promote": "Promote", "refuse": "Refuse", "undecided": "No decision"}
_RULES = {
    "better": "the interval of the difference lies above zero",
    "first": "nothing was in service, and it is shown to be better than a constant answer",
    "as_good_and_cheaper": "the interval lies above the margin, and the model is smaller or faster",
    "not_shown": "the interval of the difference does not lie above zero",
    "worse": "the interval of the difference lies below zero",
    "first_not_shown": "nothing is in service, but it is not shown to be better than a constant answer",
    "limit": "a limit set in advance is not met",
    "too_few_patients": "too few patients are left on whom both models can be compared",
    "leak": "the challenger has learned from test patients",
    "broken": "the challenger fails or predicts nothing valid",
    "unchanged": "the model is the champion itself",
    "rolled_back": "this model was rolled back",
    "unknown_patients": "it is not known which patients a model has learned from",
    "champion_broken": "the champion fails or predicts nothing valid",
    "undefined": "the metric is undefined on these patients",
}


def rows(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the table: name of the row, challenger, and the champion or the constant answer."""
    mine, theirs = record.get("challenger") or {}, record.get("champion") or {}
    name = str(record.get("score", "score"))
    other = theirs.get("score") if theirs else record.get("constant")
    table = [
        ("model", f"version {mine.get('version', '?')}", f"version {theirs['version']}" if theirs else "constant"),
        (f"{name} (interval)", _with_interval(mine.get("score")), _with_interval(other)),
    ]
    for metric, value in (mine.get("metrics") or {}).items():
        if metric != name:
            beside = (theirs.get("metrics") or {}).get(metric)
            table.append((metric, f"{value:.3f}", "" if beside is None else f"{beside:.3f}"))
    for cost, unit, digits in (("latency_ms", "ms per recording", 0), ("size_mb", "MB", 2)):
        a, b = ("" if each.get(cost) is None else f"{each[cost]:.{digits}f} {unit}" for each in (mine, theirs))
        table.append((cost.partition("_")[0], a, b))
    return table


def _with_interval(interval: Mapping[str, Any] | None) -> str:
    if not interval or interval.get("value") is None:
        return "undefined"
    if interval.get("low") is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def verdict(record: Mapping[str, Any]) -> str:
    """Return ``Promote``, ``Refuse`` or ``No decision``. The registry says which model is in service."""
    return _VERDICTS[record["outcome"]]


def rule(record: Mapping[str, Any]) -> str:
    """Return the explanation of the rule that applied."""
    return _RULES.get(str(record["rule"]), str(record["rule"]))


def compared_with(record: Mapping[str, Any]) -> str:
    """Return what the challenger was compared with."""
    return "champion" if record.get("champion") else "constant answer"


def compared_on(record: Mapping[str, Any]) -> str:
    """Return on which units and patients the two were compared."""
    if not record.get("patients"):
        champion = f"version {record['champion']['version']}" if record["champion"] else "none"
        return f"Challenger: version {record['challenger']['version']}; champion: {champion}; not compared."
    text = (
        f"Compared on {record['units']} test units of {record['patients']} patients"
        f" ({record['patients_with_normal']} with normal, {record['patients_with_abnormal']} with abnormal ones)"
    )
    left = record.get("patients_left_out") or 0
    more = f"; {left} test patients that the champion has learned from are left out" if left else ""
    return f"{text}{more}. Intervals: {record['confidence']:.1%}, by resampling patients."


def markdown(record: Mapping[str, Any]) -> str:
    """Return the decision as Markdown, for a pull request or Prefect's page."""
    lines = [
        f"### {verdict(record)}: {record['experiment']} of {record['dataset']}",
        "",
        f"{_sentence(record['reason'])} Rule: {rule(record)}.",
    ]
    if record.get("difference"):
        lines += [
            "",
            f"Difference: **{_with_interval(record['difference'])}**",
            "",
            f"| | challenger | {compared_with(record)} |",
        ]
        lines += ["|---|---|---|", *(f"| {what} | {mine} | {theirs} |" for what, mine, theirs in rows(record))]
    return "\n".join([*lines, "", compared_on(record)]) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def write_page(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record as one self-contained HTML page."""
    text = template("decision.html").render(
        record=record,
        verdict=verdict(record),
        rule=rule(record),
        reason=_sentence(record["reason"]),
        rows=rows(record) if record.get("difference") else [],
        difference=_with_interval(record.get("difference")),
        bar=_bar(record),
        compared_with=compared_with(record),
        compared_on=compared_on(record),
    )
    write_text(path, text)


def _bar(record: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the positions of the interval, its value, zero and the margin on a common scale, in percent."""
    interval = record.get("difference")
    if not interval or interval.get("low") is None:
        return None
    margin = float(record["settings"]["margin"])
    low, high = min(float(interval["low"]), -margin), max(float(interval["high"]), margin)
    pad = 0.08 * (high - low)
    low, high = low - pad, high + pad

    def at(value: float) -> float:
        return round(100.0 * (value - low) / (high - low), 2)

    return {
        "from": at(interval["low"]),
        "width": round(at(interval["high"]) - at(interval["low"]), 2),
        "value": at(interval["value"]),
        "zero": at(0.0),
        "margin": at(-margin),
    }
