"""Verify a report: read its files, recompute, compare."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.core.digests import file_sha256
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.verification import expected, report
from auscult.verification.agreement import ROUNDING, Findings, agrees
from auscult.verification.intervals import Settings

EVALUATION, PREDICTIONS, MODEL = "evaluation.json", "predictions.parquet", "model.json"
CURVES = ("confusion.csv", "roc.csv", "reliability.csv")
#: Stands for the experiment where a figure belongs to all of them.
REPORT = "report"
#: Differences that are printed per experiment.
SHOWN = 20
#: Decimals of the column ``loss``.
LOSS_DECIMALS = 9


@dataclass(frozen=True)
class Verification:
    """What was found for each experiment and, last, for the report as a whole; None: the report was not compared."""

    experiments: Sequence[Findings]
    report: Findings | None

    @property
    def all(self) -> list[Findings]:
        """Return what was found, the report last."""
        return [*self.experiments, *([self.report] if self.report else [])]

    @property
    def agrees(self) -> bool:
        """Return whether every figure agrees."""
        return not any(found.differences for found in self.all)

    def __str__(self) -> str:
        lines = []
        for found in self.all:
            if not found.differences:
                lines.append(f"{found.experiment}: {found.figures:,} figures agree")
                continue
            many = len(found.differences)
            lines.append(f"{found.experiment}: {many:,} differ{'s' * (many == 1)}, {found.figures:,} agree")
            lines += [f"  {difference}" for difference in found.differences[:SHOWN]]
            if len(found.differences) > SHOWN:
                lines.append(f"  and {len(found.differences) - SHOWN:,} more")
        lines += ["", *self._left_out(), *(self._agreement() if self.agrees else self._next_steps())]
        return "\n".join(lines)

    def _left_out(self) -> list[str]:
        counts: dict[str, int] = {}
        for found in self.all:
            for what, figures in found.copied.items():
                counts[what] = counts.get(what, 0) + figures
        if not counts:
            return []
        listed = "".join(f"\n  {figures:,} {what}" for what, figures in counts.items())
        return [f"{sum(counts.values()):,} figures are not recomputed (docs/results.md says why):{listed}"]

    def _agreement(self) -> list[str]:
        figures, number = sum(found.figures for found in self.all), len(self.experiments)
        return [f"{figures:,} figures of {number} experiment{'s' * (number != 1)} agree with the stored predictions"]

    def _next_steps(self) -> list[str]:
        files = {(found.experiment, difference.file) for found in self.all for difference in found.differences}
        names = sorted({name for name, file in files if file not in (report.PAGE, report.SUMMARY)})
        again = f"dvc repro --force --single-item {' '.join(f'evaluate@{name}' for name in names) or 'report'}"
        many = sum(len(found.differences) for found in self.all)
        return [
            f"{many:,} figure{'s do' if many != 1 else ' does'} not agree with the stored predictions",
            f"  next:  {again}{', then dvc repro report' if names else ''}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data; stored and recomputed values as text."""
        return {
            "schema": 1,
            "agrees": self.agrees,
            "experiments": [
                {
                    "name": found.experiment,
                    "figures": found.figures,
                    "not_recomputed": found.copied,
                    "differences": [difference.to_json() for difference in found.differences],
                }
                for found in self.all
            ],
        }


def verify(
    paths: Paths, names: Sequence[str], every: Sequence[str], combinations: Collection[str] = ()
) -> Verification:
    """Recompute and compare the figures of experiments, and what the report shows of them.

    Parameters
    ----------
    names
        The experiments to verify.
    every
        All experiments of the report. The report's sentences on all of them are compared if *names* are all.
    combinations
        Those that combine others.

    Raises
    ------
    DataError
        A file is missing or unreadable, or was written by an earlier version.
    """
    _require_files(paths, names, combinations)
    found = {name: Findings(name) for name in names}
    shown = {}
    for name in names:
        item = _experiment(paths, name, paths.evaluated_model(name, combinations) / MODEL, found[name])
        if not found[name].differences:
            shown[name] = item
    total = Findings(REPORT)
    html, markdown = (_read(paths.reports / file) for file in (report.PAGE, report.SUMMARY))
    report.check_summary(markdown, shown, every, total, found)
    report.check_page(html, shown, every, total, found)
    return Verification(list(found.values()), total if set(shown) == set(every) else None)


def _require_files(paths: Paths, names: Sequence[str], combinations: Collection[str]) -> None:
    for name in names:
        folder, combined = paths.evaluation(name), name in combinations
        files = [folder / file for file in (EVALUATION, PREDICTIONS, *CURVES)]
        for file in [*files, paths.metrics(name), paths.evaluated_model(name, combinations) / MODEL]:
            if not file.exists():
                stage = f"evaluate_combined@{name}" if combined else f"evaluate@{name}"
                if file.name == MODEL:
                    stage = "combine" if combined else f"train@{name}"
                raise DataError(
                    f"{file} does not exist: the figures of {name!r} cannot be recomputed",
                    where=str(file),
                    next_step=f"dvc checkout {stage}, or dvc repro {stage}",
                )
    for file in (paths.reports / report.PAGE, paths.reports / report.SUMMARY):
        if not file.exists():
            raise DataError(
                f"{file} does not exist", where=str(file), next_step="dvc checkout report, or dvc repro report"
            )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8", where=str(path), next_step="dvc checkout report") from error


def _experiment(paths: Paths, name: str, about: Path, found: Findings) -> report.Shown:
    """Compare the files of one experiment; *about* is its model.json."""
    folder = paths.evaluation(name)
    stored, table = read_json(folder / EVALUATION), read_table(folder / PREDICTIONS)
    model = read_json(about)
    task, settings = _inputs(stored, table, model, folder, name)
    digests = {
        "model_sha256": file_sha256(about),
        "predictions_sha256": file_sha256(folder / PREDICTIONS),
    }
    _losses(table, task, found)
    recomputed = expected.recompute(table, task, settings, model, digests)
    found.compare(EVALUATION, stored, recomputed.evaluation)
    if stored["experiment"] != name:
        found.note(EVALUATION, "experiment", stored["experiment"], name, agree=False)
    found.compare(f"metrics/{paths.metrics(name).name}", read_json(paths.metrics(name)), recomputed.metrics)
    for file, header, rows in expected.curves(table, task):
        _curve(folder / file, header, rows, found)
    return report.Shown(stored, table)


def _inputs(stored: Any, table: pd.DataFrame, model: Any, folder: Path, name: str) -> tuple[Task, Settings]:
    """Return the task and the settings of the intervals.

    Raises
    ------
    DataError
        The files are not those of this version, or hold what cannot be.
    """
    try:
        task, intervals = Task.from_json(stored["task"]), stored["intervals"]
        settings = Settings(int(intervals["resamples"]), int(intervals["seed"]), float(intervals["confidence"]))
        cohorts = expected.held_out(table)
        for column in expected.columns(task, cohorts):
            table[column]
        model["decision"]["rule"], [entry.items() for entry in model["rules"].values()], stored["experiment"]
        problem = _problem(table, task, settings, cohorts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the files of {name!r} cannot be verified, they may be of an earlier version:"
            f" {type(error).__name__}: {error}",
            where=str(folder),
            next_step=f"dvc repro evaluate@{name} report",
        ) from error
    if problem:
        raise DataError(
            f"the files of {name!r} hold {problem}",
            where=str(folder),
            next_step=f"dvc repro --force --single-item evaluate@{name}, then dvc repro report",
        )
    return task, settings


def _problem(table: pd.DataFrame, task: Task, settings: Settings, cohorts: Sequence[str]) -> str:
    """Return what in the files cannot be, or an empty string."""
    if not {"validation", "test"} <= set(table["part"]) <= set(expected.PARTS):
        return f"the parts {', '.join(sorted(map(str, set(table['part']))))}"
    if not (settings.resamples > 0 and 0 < settings.confidence < 1 and settings.seed >= 0):
        return f"intervals that cannot be: {settings}"
    for column in ("unit_id", "recording_id", "patient_id"):
        if table[column].isna().any():
            return f"a unit without {column}"
    if table.duplicated(["part", "unit_id"]).any():
        return "a unit twice"
    if task.unit == "recording" and table.groupby(["part", "patient_id"])["patient_predicted"].nunique().gt(1).any():
        return "a patient with two classes in patient_predicted"
    decided = {"class_index": "", "predicted": ""} | {name: f"{name}_" for name in expected.BASELINES.values()}
    decided |= {f"{kind}_predicted": f"{kind}_" for kind in cohorts}
    decided |= {"patient_predicted": ""} if task.unit == "recording" else {}
    validation = table["part"] == "validation"
    for column, prefix in decided.items():
        own = table[validation] if column.removesuffix("_predicted") in cohorts else table
        if not own[column].between(0, len(task.classes) - 1).fillna(False).all():
            return f"a class in {column} that the task does not have"
        given = expected.units_of(own, task, prefix, column).probabilities
        possible = ((given >= 0) & (given <= 1)).all(axis=1) & (np.abs(given.sum(axis=1) - 1) < 1e-6)
        if not possible.all():
            row = int(np.argmin(possible))
            return f"impossible probabilities in {prefix}p_… of unit {own['unit_id'].iloc[row]}: {given[row].tolist()}"
    return ""


def _losses(table: pd.DataFrame, task: Task, found: Findings) -> None:
    """Compare the column ``loss``, which has nine decimals."""
    for unit, stored, value in zip(table["unit_id"], table["loss"], expected.losses(table, task), strict=True):
        near = abs(stored - value) <= 0.5 * 10.0**-LOSS_DECIMALS + ROUNDING
        found.note(PREDICTIONS, f"loss of unit {unit}", stored, float(value), agree=bool(near))


def _curve(path: Path, header: list[str], rows: list[list[Any]], found: Findings) -> None:
    """Compare a CSV file cell by cell."""
    lines = list(csv.reader(_read(path).splitlines()))
    if lines[:1] != [header]:
        found.note(path.name, "header", ",".join(lines[0] if lines else []), ",".join(header), agree=False)
    if len(lines) - 1 != len(rows):
        found.note(path.name, "", f"{len(lines) - 1} rows", f"{len(rows)} rows", agree=False)
    for number, (line, row) in enumerate(zip(lines[1:], rows, strict=False), 2):
        if len(line) != len(row):
            found.note(path.name, f"line {number}", ",".join(line), f"{len(row)} values", agree=False)
            continue
        for column, stored, value in zip(header, line, row, strict=True):
            place = f"line {number}, {column}"
            if isinstance(value, str):
                if stored != value:
                    found.note(path.name, place, stored, value, agree=False)
            else:
                found.note(path.name, place, stored, value, agree=_agrees_as_text(stored, value))


def _agrees_as_text(stored: str, value: float) -> bool:
    try:
        return agrees(float(stored), value)
    except ValueError:
        return False
