"""The results in brief: as markdown beside the report, and as plain text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.reporting.report.experiments import worst_cohort
from auscult.reporting.report.verdict import metric_text, verdict
from auscult.reporting.scale import points

if TYPE_CHECKING:
    from auscult.core.sections import Params

MISSING = "–"


def markdown(content: Mapping[str, Any]) -> str:
    """Return a table of results, the size of the data, and the limits.

    *content* is that of :func:`auscult.reporting.report.page.collect`.
    """
    confidence = content["intervals"]["confidence"]
    lines = [
        f"# {content['about']['title']}",
        "",
        " ".join(content["lead"]),
        "",
        f"| experiment | validation | worst cohort | test ({confidence} % interval) | minus metadata only"
        " | minus gradient boosting | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in content["experiments"]:
        differences = {entry["key"]: entry["difference"] for entry in item["differences"]}
        cells = [
            item["name"],
            item["validation_score"],
            item["worst_cohort"] or MISSING,
            item["score"],
            differences["metadata_only"],
            differences["gradient_boosting"],
            item["verdict"].headline,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    parts = ", ".join(
        f"{name} {part['patients']} patients / {part['recordings']} recordings"
        for name, part in content["parts"].items()
    )
    lines += [
        "",
        "Score is (sensitivity + specificity) / 2 in points of 100; a constant answer has 50."
        " Intervals resample patients.",
        "",
        f"Data: {parts}; {content['rejected']} recordings rejected.",
        "",
        *(f"- {sentence}" for sentence in content["limits"]),
    ]
    return "\n".join(lines) + "\n"


def results_table(paths: Paths, params: Params) -> str:
    """Return one line per experiment: scores of model and two baselines, and the verdict."""
    files = {name: paths.evaluation(name) / "evaluation.json" for name in params.evaluated}
    evaluations = {name: read_json(file) if file.exists() else None for name, file in files.items()}
    levels = {f"{100 * each['intervals']['confidence']:g} % interval" for each in evaluations.values() if each}
    test = f"test score ({', '.join(sorted(levels)) or 'interval'})"
    header = ("experiment", "validation", "worst cohort", test, "metadata only", "gradient boosting", "verdict")
    rows = [header, *(_row(name, evaluation) for name, evaluation in evaluations.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    rows.insert(1, tuple("─" * width for width in widths))
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = (
        "score = (sensitivity + specificity) / 2 in points of 100; a constant answer has 50\n"
        "validation is out of fold; worst cohort: the device, location or period of validation with the lowest score"
    )
    return "\n".join([*lines, "", note])


def _row(name: str, evaluation: Mapping[str, Any] | None) -> tuple[str, ...]:
    if evaluation is None:
        return (name, *[MISSING] * 5, "not evaluated yet")
    validation, test = (evaluation["parts"][part] for part in ("validation", "test"))
    return (
        name,
        _value(validation["metrics"]["score"]),
        worst_cohort(evaluation["held_out_cohorts"]) or MISSING,
        metric_text(test["metrics"]["score"]),
        _value(test["baselines"]["metadata_only"]["metrics"]["score"]),
        _value(test["baselines"]["gradient_boosting"]["metrics"]["score"]),
        verdict(evaluation).headline,
    )


def _value(entry: Mapping[str, Any]) -> str:
    return points(entry["value"]) if "value" in entry else MISSING
