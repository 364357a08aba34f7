"""The report's content from the outputs of all stages, and the page: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.evaluation.metrics import slug
from auscult.reporting.report.dataset import Tables, example_task, illustrated_examples, reject_rows
from auscult.reporting.report.experiments import METRICS, PLOTS, SUBGROUPS, describe
from auscult.reporting.report.verdict import limits, metric_text
from auscult.reporting.templates import template

#: Entries that the summary of the manifest may leave out.
ABOUT = {"citation": "", "licence": "", "notes": []}
LEVELS = {
    "good": "Better than metadata",
    "fair": "Below boosting",
    "doubtful": "In doubt",
    "bad": "Not shown better",
    "worse": "Below a baseline",
    "unknown": "Undefined",
}


def collect(
    paths: Paths, names: Sequence[str], *, examples: int, worst: int, combined: Collection[str] = ()
) -> dict[str, Any]:
    """Return the content of the page and of the summary.

    Parameters
    ----------
    names
        The experiments.
    examples
        Example units to show per class.
    worst
        Recordings with the highest loss to list per experiment.
    combined
        Those of the experiments that are combinations of others.
    """
    tables = Tables.read(paths)
    experiments = [describe(paths, name, worst, combined=name in combined) for name in names]
    shown = {item["task"] for item in experiments}
    task = example_task(tables, shown)
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in experiments:
        groups.setdefault(item["task"], []).append(item)
    intervals = read_json(paths.evaluation(names[0]) / "evaluation.json")["intervals"]
    return {
        "dataset": paths.dataset,
        "about": ABOUT | {"title": paths.dataset} | dict(tables.summary),
        "audio": tables.audio,
        "intervals": {"confidence": f"{100 * intervals['confidence']:g}", "resamples": str(intervals["resamples"])},
        "lead": lead(experiments),
        "experiments": experiments,
        "groups": groups,
        "new_patients": tables.shared().empty,
        "parts": {name: part for name, part in tables.split["parts"].items() if part["recordings"]},
        "tasks": [task for task in tables.tasks if task.name in shown],
        "rejects": reject_rows(tables),
        "rejected": int(tables.rejects["recording_id"].nunique()),
        "examples": illustrated_examples(paths, tables, task, examples) if task and examples else [],
        "example_task": task,
        "limits": limits(tables, experiments),
        "searched": searched(experiments),
        "scale_low": _scale_low(experiments),
    }


def _scale_low(experiments: Sequence[Mapping[str, Any]]) -> int:
    """Return the left end of the score axis: 40, or the ten below the lowest mark."""
    ends = [value for item in experiments if item["track"] for key, value in item["track"].items() if key != "width"]
    return max(0, min(40, int(min(ends, default=40.0) // 10) * 10))


def lead(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the result in one to three sentences."""

    def named(*levels: str) -> list[str]:
        return [item["name"] for item in experiments if item["verdict"].level in levels]

    found = [
        "Better than a constant answer and than the metadata-only baseline, which sees no audio:"
        f" {len(named('good', 'fair'))} of {len(experiments)} experiments."
    ]
    if names := named("doubtful", "bad", "worse"):
        found.append(f"Not shown to be better than these two baselines: {', '.join(names)}.")
    if names := named("fair"):
        found.append(f"Gradient boosting on summary statistics is better than {', '.join(names)}.")
    return found


def searched(experiments: Sequence[Mapping[str, Any]]) -> str:
    """Return which hyperparameters the search chose: those that differ between trials of an experiment."""
    names = sorted({name for item in experiments for name in item["varied"]})
    if not names:
        return "every hyperparameter has the model's default value"
    most = max(len(item["trials"]) for item in experiments)
    trials = f"{most} trials" if most != 1 else "one trial"
    chosen = f"{', '.join(names)} were chosen on the first fold"
    return f"the hyperparameters {chosen} (at most {trials} per experiment; the others have default values)"


def render(content: Mapping[str, Any]) -> str:
    """Return the page as HTML."""
    constants = {"levels": LEVELS, "plots": PLOTS, "metrics": METRICS, "subgroups": SUBGROUPS}
    return template("report.html").render(content, **constants, metric_text=metric_text, slug=slug)
