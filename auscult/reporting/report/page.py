"""The page: one self-contained HTML file from what all stages wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.reporting.report.dataset import Tables, class_rows, example_task, reject_rows, size_rows
from auscult.reporting.report.examples import illustrated
from auscult.reporting.report.experiments import PICTURES, describe
from auscult.reporting.report.limits import limits
from auscult.reporting.templates import template

#: What the summary of the manifest may leave out.
ABOUT = {"citation": "", "licence": "", "notes": []}
UNHEARD = ("doubtful", "bad", "worse")
LEVELS = {
    "good": "Beats both floors",
    "fair": "Below boosting",
    "doubtful": "In doubt",
    "bad": "Not shown better",
    "worse": "Worse than a floor",
    "unknown": "Undefined",
}


def story(paths: Paths, names: Sequence[str], *, examples: int, worst: int) -> dict[str, Any]:
    """Everything that the page and the summary say, in the order in which they say it."""
    tables = Tables.read(paths)
    experiments = [describe(paths, name, worst) for name in names]
    task = example_task(tables, {item["task"] for item in experiments})
    tasks = [task for task in tables.tasks if any(item["task"] == task.name for item in experiments)]
    return {
        "dataset": paths.dataset,
        "about": ABOUT | {"title": paths.dataset} | dict(tables.summary),
        "audio": tables.audio,
        "intervals": _intervals(paths, names),
        "lead": lead(experiments),
        "experiments": experiments,
        "groups": _by_task(experiments),
        "new_patients": tables.shared().empty,
        "sizes": size_rows(tables),
        "parts": [row["part"] for row in size_rows(tables)],
        "tasks": [{"task": task, "rows": class_rows(tables, task)} for task in tasks],
        "rejects": reject_rows(tables),
        "set_aside": int(tables.rejects["recording_id"].nunique()),
        "examples": illustrated(paths, tables, task, examples) if task and examples else [],
        "example_task": task,
        "limits": limits(tables, experiments),
        "searched": searched(experiments),
        "pictures": PICTURES,
        "levels": LEVELS,
        "scale_low": scale_low(experiments),
    }


def scale_low(experiments: Sequence[Mapping[str, Any]]) -> int:
    """Where the tracks begin: 40, or lower in tens when something lies below."""
    ends = [value for item in experiments if item["track"] for key, value in item["track"].items() if key != "width"]
    return max(0, min(40, int(min(ends, default=40.0) // 10) * 10))


def lead(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """The result in one to three sentences."""
    levels = [item["verdict"].level for item in experiments]
    beat = sum(level in ("good", "fair") for level in levels)
    said = [
        f"{beat} of {len(levels)} experiments beat both floors: a constant answer, and a model that never hears"
        " the audio."
    ]
    doubtful = [item["name"] for item, level in zip(experiments, levels, strict=True) if level in UNHEARD]
    if doubtful:
        said.append(f"Not shown to hear more than these tell without listening: {', '.join(doubtful)}.")
    worse = [item["name"] for item, level in zip(experiments, levels, strict=True) if level == "fair"]
    if worse:
        said.append(f"Gradient boosting on summary statistics does better than {', '.join(worse)}.")
    return said


def searched(experiments: Sequence[Mapping[str, Any]]) -> str:
    """Which hyperparameters the trials chose among, in words: those that differ between trials of an experiment."""
    names = sorted({name for item in experiments for name in item["varied"]})
    if not names:
        return "no hyperparameter: all have the model's default values"
    most = max(len(item["trials"]) for item in experiments)
    trials = f"{most} trials" if most != 1 else "one trial"
    return (
        f"of the hyperparameters {', '.join(names)} (at most {trials} per experiment), all others having default values"
    )


def _by_task(experiments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Experiments that answer the same question, together, in the order of the parameters."""
    names = list(dict.fromkeys(item["task"] for item in experiments))
    groups = []
    for name in names:
        members = [item for item in experiments if item["task"] == name]
        groups.append({"task": name, "title": members[0]["title"], "unit": members[0]["unit"], "members": members})
    return groups


def _intervals(paths: Paths, names: Sequence[str]) -> dict[str, str]:
    about = read_json(paths.evaluation(names[0]) / "evaluation.json")["intervals"]
    return {"confidence": f"{100 * about['confidence']:g}", "resamples": str(about["resamples"])}


def render(content: Mapping[str, Any]) -> str:
    """The page's HTML."""
    return template("report.html").render(content)
