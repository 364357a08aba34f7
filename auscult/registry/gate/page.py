"""The record of a decision as an HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.core.storage import write_text
from auscult.reporting import scale
from auscult.reporting.templates import template

_VERDICTS = {"promote": "Promote", "refuse": "Refuse", "undecided": "No decision"}
_RULES = {
    "better": "the interval of the difference lies above zero",
    "first": "nothing was in service, and the challenger is shown to be better than a constant answer",
    "as_good_and_cheaper": "the interval lies above the margin, and the model is smaller or faster",
    "not_shown": "the interval of the difference does not lie above zero",
    "worse": "the interval of the difference lies below zero",
    "first_not_shown": "nothing is in service, but the challenger is not shown to be better than a constant answer",
    "limit": "a limit set in advance is not met",
    "too_few_patients": "too few patients are left on whom both models can be compared",
    "leak": "the challenger has learned from test patients",
    "broken": "the challenger fails or its predictions are invalid",
    "unchanged": "the model is the champion itself",
    "rolled_back": "this model was rolled back",
    "unknown_patients": "it is not known which patients a model has learned from",
    "champion_broken": "the champion fails or its predictions are invalid",
    "undefined": "the metric is undefined on these patients",
    "no_error_left": "the errors that are allowed in a year are used",
}


def markdown(record: Mapping[str, Any]) -> str:
    """Return the decision as Markdown, for a pull request or Prefect's page."""
    shown = _shown(record)
    lines = [
        f"### {shown['verdict']}: {record['experiment']} of {record['dataset']}",
        "",
        f"{shown['reason']} Rule: {shown['rule']}.",
    ]
    if shown["rows"]:
        lines += ["", f"Difference: **{shown['difference']}**", "", f"| | challenger | {shown['compared_with']} |"]
        lines += ["|---|---|---|", *(f"| {' | '.join(row)} |" for row in shown["rows"])]
    for note in shown["notes"]:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def write_page(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record as one self-contained HTML page."""
    write_text(path, template("decision.html").render(record=record, bar=_bar(record), **_shown(record)))


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts that the page and the Markdown share."""
    reason = str(record["reason"])
    return {
        "verdict": _VERDICTS[record["outcome"]],
        "rule": _RULES[record["rule"]],
        "reason": reason[:1].upper() + reason[1:] + ("" if reason.endswith(".") else "."),
        "difference": _with_interval(record.get("score", ""), record.get("difference"), sign=True),
        "compared_with": "champion" if record["champion"] else "constant answer",
        "notes": [_compared_on(record), *_noise(record), *_allowed(record)],
        "rows": _rows(record) if record.get("difference") else [],
        "margin": scale.points(record["margin_left"]) if "margin_left" in record else "",
    }


def _rows(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the table: name of the row, challenger, and the champion or the constant answer."""
    new, old, score = record["challenger"], record["champion"] or {}, record["score"]
    other = old["score"] if old else record["constant"]
    table = [
        ("model", f"version {new['version']}", f"version {old['version']}" if old else "constant"),
        (f"{score} (interval)", _with_interval(score, new["score"]), _with_interval(score, other)),
    ]
    for metric, value in new["metrics"].items():
        if metric != score:
            beside = old.get("metrics", {}).get(metric)
            table.append((metric, scale.shown(metric, value), "" if beside is None else scale.shown(metric, beside)))
    for cost, title in (("latency_ms", "latency per recording"), ("size_mb", "size")):
        a, b = ("" if each.get(cost) is None else scale.shown(cost, each[cost]) for each in (new, old))
        table.append((title, a, b))
    return table


def _with_interval(name: str, interval: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    if not interval or interval["value"] is None:
        return "undefined"
    return scale.with_interval(name, interval["value"], interval["low"], interval["high"], sign=sign)


def _compared_on(record: Mapping[str, Any]) -> str:
    """Return on which units and patients the two were compared."""
    if not record.get("patients"):
        champion = f"version {record['champion']['version']}" if record["champion"] else "none"
        return f"Challenger: version {record['challenger']['version']}; champion: {champion}; not compared."
    text = (
        f"Compared on {record['units']} test units of {record['patients']} patients"
        f" ({record['patients_with_normal']} with normal, {record['patients_with_abnormal']} with abnormal ones)"
    )
    left = record["patients_left_out"]
    more = f"; test patients left out because the champion has learned from them: {left}" if left else ""
    intervals = f"Metrics are in points of 100. Intervals: {100 * record['confidence']:.4g} %, by resampling patients."
    return f"{text}{more}. {intervals}"


def _noise(record: Mapping[str, Any]) -> list[str]:
    """Return which noise the interval covers, and how large a gain must be to be noticed; nothing without interval."""
    found = record.get("difference")
    if not found or found["low"] is None:
        return []
    retraining, score = record["retraining"], record["score"]
    deviation = "" if retraining["deviation"] is None else scale.shown(score, retraining["deviation"])
    trainings = f"{deviation} points, an estimate with {retraining['degrees'] or 0:g} degrees of freedom"
    covered = {
        "measured": f"and another seed, which was measured for this experiment: a standard deviation of {trainings}",
        "pooled": "and another seed, which was measured for other experiments on this data set: a standard deviation of"
        f" {trainings}",
        "not measured": f"and another seed, which was not measured: a standard deviation of {deviation} points is"
        " assumed (gate.seed_deviation; to measure it: auscult measure seed-variance)",
        "same model": "only: both models give the same predictions"
        if record["champion"]
        else "only: no seed moves a constant answer",
    }[retraining["kind"]]
    return [
        f"The interval of the difference covers the choice of patients {covered}. It shows a true gain of"
        f" {scale.shown(score, found['noticeable'])} points in four of five cases; a smaller gain may have gone"
        " unnoticed."
    ]


def _allowed(record: Mapping[str, Any]) -> list[str]:
    """Return what the decision may err, and what a cheaper model may lose; nothing where nothing was compared."""
    if "error" not in record:
        return []
    allowed = record["settings"]["false_promotions"]
    alone = f" ({100.0 * record['error_alone']:.2g} % without earlier decisions)"
    text = (
        f"Chance promotes a model that is no better with a probability of at most {100.0 * record['error']:.2g} %"
        f"{alone * (record['error'] < record['error_alone'])}: all decisions of 365 days together promote at most"
        f" {allowed:g} such model{'s' * (allowed != 1)}, as an expected number."
    )
    if record["champion"]:
        text += f" A cheaper model may be worse by {scale.points(record['margin_left'])} points"
        margin = record["settings"]["margin"]
        used = record["margin_left"] < margin
        text += f": {scale.points(margin)} less what cheaper champions before may have lost." if used else "."
    return [text]


def _bar(record: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the positions of the interval, its value, zero and the margin on a common scale, in percent."""
    interval = record.get("difference")
    if not interval or interval["low"] is None:
        return None
    margin = float(record["margin_left"] if "margin_left" in record else record["settings"]["margin"])
    low, high = min(float(interval["low"]), -margin), max(float(interval["high"]), margin)
    pad = 0.08 * (high - low)

    def at(value: float) -> float:
        return round(100.0 * (value - low + pad) / (high - low + 2 * pad), 2)

    return {
        "from": at(interval["low"]),
        "width": round(at(interval["high"]) - at(interval["low"]), 2),
        "value": at(interval["value"]),
        "zero": at(0.0),
        "margin": at(-margin),
    }
