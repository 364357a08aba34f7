"""One experiment in full, folded away: every metric, and the confusion matrices. Standard library only."""

from __future__ import annotations

import html
from collections.abc import Sequence

from auscult.comparison.document import Experiment, Figure, Part
from auscult.comparison.verdict import signed
from auscult.comparison.wording import change, code, firm, number, plain, sign


def details(experiment: Experiment) -> str:
    """Every metric of both parts, and the confusion matrices, folded away."""
    words = {
        "compared": "every metric, confusion",
        "same": "the same model and answers: every metric, confusion",
        "added": "added",
        "removed": "removed",
        "unreadable": "could not be compared",
    }
    summary = html.escape(plain(experiment.name, 80))
    lines = [f"<details><summary><code>{summary}</code>: {words[experiment.state]}</summary>", ""]
    if experiment.note:
        lines += [f"{code(experiment.note, 400)}", ""]
    lines += [_noise(experiment), ""] if experiment.state == "compared" else []
    if experiment.parts:
        lines += [_metrics(experiment), ""]
    for part in experiment.parts[:1]:
        lines += [_confusions(part), ""]
    return "\n".join([*lines, "</details>"])


def _noise(experiment: Experiment) -> str:
    units = ", ".join(_on(part) for part in experiment.parts)
    said = {
        "same model": "Both sides have the same model files: no retraining noise is added.",
        "measured": "Intervals hold the retraining noise that was measured for this experiment.",
        "pooled": "Intervals hold the retraining noise that was measured for this data set's experiments together.",
        "not measured": "Retraining noise not measured: an interval over patients only.",
    }[experiment.noise]
    return f"Compared on {units}. {said}" if units else said


def _on(part: Part) -> str:
    text = f"{part.units} {part.name} units of {part.patients} patients"
    if part.units == part.base_units == part.head_units:
        return text
    return f"{text} (base {part.base_units}, head {part.head_units})"


def _metrics(experiment: Experiment) -> str:
    parts = [part for part in (experiment.part("validation"), experiment.part("test")) if part is not None]
    names = list(dict.fromkeys(figure.name for part in parts for figure in part.figures))
    single = experiment.state != "compared"
    heads = " | ".join(f"{part.name}" if single else f"{part.name} | difference" for part in parts)
    lines = [f"| metric | {heads} |", "|:--|" + ":--|" * (len(parts) if single else 2 * len(parts))]
    for name in names:
        cells = [code(name, 80)]
        for part in parts:
            figure = part.figure(name)
            cells += _single_cell(figure) if single else _metric_cells(figure, experiment.noise)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _single_cell(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["–"]
    value = figure.head if figure.head is not None else figure.base
    return [number(value) if value is not None or not figure.note else code(figure.note, 120)]


def _metric_cells(figure: Figure | None, noise: str) -> list[str]:
    if figure is None:
        return ["–", "?"]
    note = f" {code(figure.note, 120)}" if figure.note else ""
    if figure.difference is None:
        return [change(figure, 1.0, 3), f"?{note}"]
    said = f"{sign(figure, noise)} {signed(figure.difference, 3)}"
    if figure.low is not None and figure.high is not None:
        said += f" ({signed(figure.low, 3)} to {signed(figure.high, 3)})"
    return [change(figure, 1.0, 3), firm(said) + note]


def _confusions(part: Part) -> str:
    """Both matrices side by side: tables in the cells of a table, which GitHub allows with blank lines around."""
    sides = [(name, m) for name, m in (("base", part.base_confusion), ("head", part.head_confusion)) if m]
    tables = [f"<td>\n\n{_matrix(name, part.classes, matrix)}\n\n</td>" for name, matrix in sides]
    if not tables:
        return ""
    cells = "".join(tables)
    return f"Confusion on {part.name}, true class by answered class:\n\n<table><tr>{cells}</tr></table>"


def _matrix(side: str, classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    lines = [f"| {side} | {' | '.join(code(name, 40) for name in classes)} |", "|:--|" + "--:|" * len(classes)]
    for name, row in zip(classes, matrix, strict=False):
        cells = [str(count) for count in row[: len(classes)]]
        lines.append(f"| {code(name, 40)} | {' | '.join(cells)} |")
    return "\n".join(lines)
