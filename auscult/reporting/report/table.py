"""The results as plain text, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.reporting.report.wording import figure, points, verdict

if TYPE_CHECKING:
    from auscult.core.sections import Params

HEADER = ("experiment", "validation", "test score (95 % interval)", "no audio", "boosting", "verdict")
EMPTY = "–"


def results_table(paths: Paths, params: Params) -> str:
    """One line per experiment: its score on validation and test, the floor, the gradient_boosting, a verdict.

    Scores are (sensitivity + specificity) / 2 in points of 100; a constant answer has 50.
    """
    rows = [_row(name, paths) for name in params.experiments]
    header = tuple(title.replace("95", f"{100 * params.evaluate.confidence:g}") for title in HEADER)
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    lines.insert(1, "  ".join("─" * width for width in widths))
    note = "score = (sensitivity + specificity) / 2 in points of 100; a constant answer has 50"
    return "\n".join([*(line.rstrip() for line in lines), "", note])


def _row(name: str, paths: Paths) -> tuple[str, ...]:
    path = paths.evaluation(name) / "evaluation.json"
    if not path.exists():
        return (name, *[EMPTY] * (len(HEADER) - 2), "not evaluated yet")
    evaluation = read_json(path)
    parts = evaluation["parts"]
    baselines = parts["test"]["baselines"]
    return (
        name,
        _short(parts["validation"]["metrics"]["score"]),
        figure(parts["test"]["metrics"]["score"]),
        _short(baselines["metadata_only"]["metrics"]["score"]),
        _short(baselines["gradient_boosting"]["metrics"]["score"]),
        verdict(evaluation).headline,
    )


def _short(entry: dict[str, Any]) -> str:
    return points(entry["value"]) if "value" in entry else EMPTY
