"""``auscult verify``: agreement, a changed digit in any file, unknown and missing figures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from auscult.cli.main import app
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table, write_json
from auscult.verification.agreement import Difference, is_number, leaves
from auscult.verification.expected import FROM_TRAINING
from auscult.verification.report import TRIALS
from auscult.verification.verification import Verification, verify
from tests.verification.simulated import BINARY, SOUNDS

EVERY = [BINARY, SOUNDS]
ROOT = Path(__file__).resolve().parents[2]


def check(paths: Paths, *names: str) -> Verification:
    return verify(paths, names or EVERY, EVERY)


def differences(found: Verification) -> list[Difference]:
    return [difference for each in found.all for difference in each.differences]


def evaluation(paths: Paths, name: str) -> Path:
    return paths.evaluation(name) / "evaluation.json"


def changed(value: float) -> float:
    """The value with another last digit: the sixth decimal, or one more of a count."""
    return value + 1 if isinstance(value, int) else round(value + 1e-6, 6)


def change_all(content: Any) -> Any:
    """The content with another last digit in every number."""
    if isinstance(content, dict):
        return {name: change_all(value) for name, value in content.items()}
    if isinstance(content, list):
        return [change_all(value) for value in content]
    return changed(content) if is_number(content) else content


def test_every_figure_agrees(reported: Paths) -> None:
    found = check(reported)
    assert found.agrees, str(found)
    assert [each.experiment for each in found.all] == [BINARY, SOUNDS, "report"]
    assert all(each.figures > 1000 for each in found.experiments)
    assert set(found.experiments[0].copied) == {FROM_TRAINING, TRIALS}


@pytest.mark.parametrize("name", EVERY)
def test_a_changed_digit_of_any_figure_of_the_evaluation_is_named(name: str, reported: Paths) -> None:
    stored = read_json(evaluation(reported, name))
    settings = stored["intervals"]
    write_json(evaluation(reported, name), change_all(stored) | {"intervals": settings})
    found = {each.figure for each in differences(check(reported, name)) if each.file == "evaluation.json"}
    numbers = {place for place, leaf in leaves(stored) if is_number(leaf)}
    assert numbers - found == {f"intervals.{key}" for key in ("resamples", "seed", "confidence")}


@pytest.mark.parametrize("name", EVERY)
def test_a_changed_digit_of_any_metric_is_named(name: str, reported: Paths) -> None:
    stored = read_json(reported.metrics(name))
    write_json(reported.metrics(name), change_all(stored))
    found = {each.figure for each in differences(check(reported, name))}
    assert found == {f"{part}.{metric}" for part, metrics in stored.items() for metric in metrics}


@pytest.mark.parametrize("file", ["roc.csv", "reliability.csv"])
def test_a_changed_digit_of_any_point_of_a_curve_is_named(file: str, reported: Paths) -> None:
    path = reported.evaluation(SOUNDS) / file
    head, *lines = path.read_text().splitlines()
    written = [
        ",".join(f"{changed(float(cell) if '.' in cell else int(cell))}" for cell in line.split(",")) for line in lines
    ]
    path.write_text("\n".join([head, *written]) + "\n")
    found = differences(check(reported, SOUNDS))
    assert {each.figure for each in found} == {
        f"line {number}, {column}" for number in range(2, len(lines) + 2) for column in head.split(",")
    }


def test_a_changed_class_of_the_confusion_plot_is_named(reported: Paths) -> None:
    path = reported.evaluation(BINARY) / "confusion.csv"
    head, line, *rest = path.read_text().splitlines()
    actual, predicted = line.split(",")
    other = {"healthy": "diseased", "diseased": "healthy"}[predicted]
    path.write_text("\n".join([head, f"{actual},{other}", *rest]) + "\n")
    (found,) = differences(check(reported, BINARY))
    assert (found.file, found.figure, found.stored) == ("confusion.csv", "line 2, predicted", other)


@pytest.mark.parametrize(
    ("file", "pattern", "where"),
    [
        ("summary.md", rf"\| {SOUNDS} \| \d+\.(\d)", f"{SOUNDS}, validation"),
        ("summary.md", rf"\| {SOUNDS} .* \(.*to [+−]\d+\.(\d)\) \| [A-Z]", f"{SOUNDS}, minus gradient boosting"),
        ("summary.md", r"9(5) % interval", "header"),
        ("summary.md", r"(\d) of 2 experiments", "experiments better than"),
        ("index.html", r'<td class="nowrap">\d+\.(\d)', f"chart, {BINARY}, Test score"),
        ("index.html", r'aria-label="[^"]*; validation \d+\.(\d)', f"chart, {BINARY}, description"),
        ("index.html", r"<td><strong>\d+\.(\d)", f"results, {BINARY}, Test"),
        ("index.html", r"out of fold: \d+\.(\d)", "Patients like these"),
        ("index.html", r"(?s)Detection<br>.*?<td>\d+\.(\d)", "all metrics, Detection"),
        ("index.html", r"(?s)Calibration error<br>.*?<td>\d+\.\d \(\d+\.(\d)", "all metrics, Calibration error"),
        ("index.html", r'<th scope="row">period 1</th><td>\d*(\d)<', "held-out period, period 1"),
        ("index.html", r"(?s)Subgroups of the test part.*?Meditron</th><td>\d*(\d)<", "subgroups by device, Meditron"),
        ("index.html", r'<th scope="row">rate</th><td>\d+\.(\d)', "rules, rate"),
        ("index.html", r"<td>\d*(\d) of \d+</td>", "highest loss"),
        ("index.html", r"\d*(\d) resamples of patients", "intervals"),
        ("index.html", r"\d+ recordings of \d*(\d) test patients", f"“{BINARY}"),
    ],
    ids=lambda text: text if text.isprintable() and not set(text) & set("\\<") else "",
)
def test_a_changed_digit_of_the_report_is_named(file: str, pattern: str, where: str, reported: Paths) -> None:
    path = reported.reports / file
    text = path.read_text()
    match = re.search(pattern, text)
    assert match is not None
    digit = str((int(match[1]) + 1) % 10)
    path.write_text(text[: match.start(1)] + digit + text[match.end(1) :])
    (found,) = differences(check(reported))
    assert found.file == file
    assert where in found.figure


def rewrite(paths: Paths, name: str, change: Callable[[pd.DataFrame], None]) -> None:
    path = paths.evaluation(name) / "predictions.parquet"
    table = read_table(path)
    change(table)
    table.to_parquet(path, index=False)


def first(table: pd.DataFrame, part: str) -> Any:
    return table.index[table["part"] == part][0]


def test_a_changed_label_is_found(reported: Paths) -> None:
    def change(table: pd.DataFrame) -> None:
        row = first(table, "test")
        table.loc[row, "class_index"] = 1 - table.loc[row, "class_index"]

    rewrite(reported, BINARY, change)
    found = {each.figure for each in differences(check(reported, BINARY))}
    assert found >= {"predictions_sha256", "parts.test.classes.healthy", "parts.test.metrics.accuracy.value"}
    assert not any(figure.startswith(("parts.validation", "held_out_cohorts")) for figure in found)


def test_each_changed_decision_probability_and_group_is_found(reported: Paths) -> None:
    def change(table: pd.DataFrame) -> None:
        validation, test = first(table, "validation"), first(table, "test")
        patient = table["patient_id"] == table.loc[test, "patient_id"]
        for rows, column in (
            (test, "predicted"),
            (test, "constant"),
            (test, "no_audio"),
            (validation, "device_predicted"),
            (patient, "patient_predicted"),
        ):
            table.loc[rows, column] = 1 - table.loc[rows, column]
        for row, prefix in ((test, ""), (test, "opponent_"), (validation, "period_")):
            step = 1e-3 if table.loc[row, f"{prefix}p_healthy"] < 0.5 else -1e-3
            table.loc[row, [f"{prefix}p_healthy", f"{prefix}p_diseased"]] += [step, -step]
        table.loc[test, "sex"], table.loc[test, "age_years"] = "other", 17.5

    rewrite(reported, BINARY, change)
    found = {each.figure for each in differences(check(reported, BINARY))}
    part = "parts.test"
    assert found >= {
        f"{part}.metrics.accuracy.value",
        f"{part}.baselines.constant.metrics.accuracy.value",
        f"{part}.baselines.metadata_only.metrics.accuracy.value",
        f"{part}.per_patient.metrics.accuracy.value",
        f"{part}.metrics.brier.value",
        f"{part}.baselines.gradient_boosting.metrics.log_loss.value",
    }
    for place in (f"{part}.subgroups.sex[other]", f"{part}.subgroups.age[12 to 17 years]", "held_out_cohorts.device"):
        assert any(figure.startswith(place) for figure in found), place
    assert any("held_out_cohorts.period" in figure and "calibration_error" in figure for figure in found)


def test_the_ninth_decimal_of_a_probability_counts(reported: Paths) -> None:
    def change(table: pd.DataFrame) -> None:
        table.loc[1, "no_audio_p_healthy"] += 1e-9  # no tie

    rewrite(reported, BINARY, change)
    assert [each.figure for each in differences(check(reported, BINARY))] == ["predictions_sha256"]


@pytest.mark.parametrize(("setting", "value"), [("seed", 38), ("confidence", 0.951)])
def test_a_changed_setting_changes_the_intervals(setting: str, value: float, reported: Paths) -> None:
    stored = read_json(evaluation(reported, BINARY))
    stored["intervals"][setting] = value
    write_json(evaluation(reported, BINARY), stored)
    found = {each.figure for each in differences(check(reported, BINARY))}
    assert "parts.test.metrics.accuracy.low" in found
    assert "parts.test.metrics.accuracy.value" not in found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("parts", "test", "metrics", "new_metric"), {"value": 0.5}),
        (("parts", "validation", "median_loss"), 0.25),
        (("parts", "test", "subgroups", "sex", 0, "f1"), {"value": 0.5}),
        (("parts", "validation", "subgroups", "sex", 0, "note"), "too few: 2 patients"),
        (("calibration",), {"temperature": 1.25}),
        (("held_out_cohorts", "hospital"), [{"group": "A", "units": 3}]),
        (("parts", "train"), {"units": 3}),
    ],
)
def test_an_unknown_figure_fails(place: tuple[Any, ...], value: object, reported: Paths) -> None:
    stored = read_json(evaluation(reported, SOUNDS))
    section = stored
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    write_json(evaluation(reported, SOUNDS), stored)
    found = differences(check(reported, SOUNDS))
    assert found
    assert all(str(place[-1]) in each.figure and "unknown" in str(each.recomputed) for each in found)


def test_a_group_that_is_there_twice_fails(reported: Paths) -> None:
    stored = read_json(evaluation(reported, SOUNDS))
    groups = stored["parts"]["test"]["subgroups"]["sex"]
    groups.insert(0, groups[0] | {"units": 1})
    write_json(evaluation(reported, SOUNDS), stored)
    assert differences(check(reported, SOUNDS))


def test_an_unknown_metric_fails(reported: Paths) -> None:
    stored = read_json(reported.metrics(SOUNDS))
    stored["test"]["latency"] = 3.5
    write_json(reported.metrics(SOUNDS), stored)
    (found,) = differences(check(reported, SOUNDS))
    assert (found.file, found.figure) == (f"metrics/{SOUNDS}.json", "test.latency")


def test_an_unknown_table_sentence_or_row_of_the_page_fails(reported: Paths) -> None:
    table = "<table><thead><tr><th>Cost</th></tr></thead><tbody><tr><td>7.5</td></tr></tbody></table>"
    path = reported.reports / "index.html"
    original = path.read_text()
    for added, where in ((table, "table Cost"), ("<p>It costs 7.5 points.</p>", "“It costs 7.5")):
        path.write_text(original.replace("</article>", f"{added}</article>", 1))
        (found,) = differences(check(reported))
        assert where in found.figure
    summary = reported.reports / "summary.md"
    row = next(line for line in summary.read_text().splitlines() if line.startswith(f"| {SOUNDS}"))
    path.write_text(original)
    summary.write_text(summary.read_text().replace(row, f"{row}\n{row.replace(SOUNDS, 'best_model')}"))
    (found,) = differences(check(reported))
    assert (found.file, found.stored) == ("summary.md", "row best_model")


@pytest.mark.parametrize("part", [("metrics", "score"), ("baselines",), ("subgroups", "age")])
def test_a_missing_figure_fails(part: tuple[str, ...], reported: Paths) -> None:
    stored = read_json(evaluation(reported, SOUNDS))
    section = stored["parts"]["test"]
    for key in part[:-1]:
        section = section[key]
    del section[part[-1]]
    write_json(evaluation(reported, SOUNDS), stored)
    found = differences(check(reported, SOUNDS))
    assert found
    assert all(each.stored == "(missing)" and ".".join(part) in each.figure for each in found)


def test_numbers_in_the_reason_for_a_missing_interval_count(reported: Paths) -> None:
    stored = read_json(evaluation(reported, SOUNDS))
    place, leaf = next((place, leaf) for place, leaf in leaves(stored) if "no interval: 2 patients" in str(leaf))
    text = evaluation(reported, SOUNDS).read_text()
    evaluation(reported, SOUNDS).write_text(text.replace(leaf, "no interval: 3 patients", 1))
    found = differences(check(reported, SOUNDS))
    assert len(found) == 1
    assert found[0].stored == "no interval: 3 patients", place


@pytest.mark.parametrize(
    ("file", "next_step"),
    [
        ("reports/sample/experiments/{}/evaluation.json", "dvc repro evaluate@{}"),
        ("reports/sample/experiments/{}/predictions.parquet", "dvc repro evaluate@{}"),
        ("reports/sample/experiments/{}/roc.csv", "dvc repro evaluate@{}"),
        ("reports/sample/metrics/{}.json", "dvc repro evaluate@{}"),
        ("models/sample/{}/model.json", "dvc repro train@{}"),
        ("reports/sample/index.html", "dvc repro report"),
        ("reports/sample/summary.md", "dvc repro report"),
    ],
)
def test_a_missing_file_is_an_error_with_the_next_command(file: str, next_step: str, reported: Paths) -> None:
    Path(file.format(SOUNDS)).unlink()
    with pytest.raises(DataError, match="does not exist") as caught:
        check(reported)
    assert caught.value.where == file.format(SOUNDS)
    assert next_step.format(SOUNDS) in caught.value.next_step


def test_files_of_an_earlier_version_are_refused(reported: Paths) -> None:
    rewrite(reported, SOUNDS, lambda table: table.drop(columns="opponent_p_wheeze", inplace=True))
    with pytest.raises(DataError, match=r"earlier version.*opponent_p_wheeze") as caught:
        check(reported)
    assert f"dvc repro evaluate@{SOUNDS}" in caught.value.next_step


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("p_normal", 1.5, "impossible probabilities"),
        ("p_normal", np.nan, "impossible probabilities"),
        ("location_p_both", np.nan, "impossible probabilities"),
        ("predicted", 4, "a class in predicted"),
        ("period_predicted", -1, "a class in period_predicted"),
        ("unit_id", "100_0:001", "a unit twice"),
        ("part", "training", "the parts"),
        ("patient_id", None, "a unit without patient_id"),
    ],
)
def test_impossible_predictions_are_an_error(column: str, value: object, message: str, reported: Paths) -> None:
    def change(table: pd.DataFrame) -> None:
        table.loc[table.index[table["part"] == "validation"][0], column] = value

    rewrite(reported, SOUNDS, change)
    with pytest.raises(DataError, match=message):
        check(reported)


def test_a_replaced_model_is_named(reported: Paths) -> None:
    path = reported.model(BINARY) / "model.json"
    path.write_text(path.read_text().replace('"epochs": 2', '"epochs": 3', 1))
    (found,) = differences(check(reported, BINARY))
    assert found.figure == "model_sha256"


def test_the_command_prints_counts_and_ends_with_0_or_1(reported: Paths) -> None:
    shown = CliRunner().invoke(app, ["verify"])
    assert shown.exit_code == 0, shown.output
    assert re.search(rf"^{SOUNDS}: [\d,]+ figures agree$", shown.output, re.M)
    assert re.search(r"^[\d,]+ figures of 2 experiments agree with the stored predictions$", shown.output, re.M)
    assert re.search(r"^\d+ figures are not recomputed", shown.output, re.M)
    stored = read_json(reported.metrics(SOUNDS))
    stored["validation"]["score"] = 0.123456
    write_json(reported.metrics(SOUNDS), stored)
    shown = CliRunner().invoke(app, ["verify", SOUNDS])
    assert shown.exit_code == 1
    assert f"{SOUNDS}: metrics/{SOUNDS}.json: validation.score: stored 0.123456, recomputed 0." in shown.output
    assert f"dvc repro --force --single-item evaluate@{SOUNDS}" in shown.output
    as_json = json.loads(CliRunner().invoke(app, ["verify", "--json"]).output)
    assert not as_json["agrees"]
    assert as_json["experiments"][1]["differences"][0]["figure"] == "validation.score"


@pytest.mark.parametrize("words", [["sound"], ["--dataset", "samples"]])
def test_an_unknown_name_is_refused(words: list[str], reported: Paths) -> None:
    shown = CliRunner().invoke(app, ["verify", *words])
    assert "there are" in str(shown.exception)


def test_neither_the_code_that_wrote_the_figures_nor_torch_is_loaded(reported: Paths) -> None:
    script = (
        "import sys; from auscult.cli.main import app; app(['verify', 'binary_logmel_cnn2d'], standalone_mode=False)\n"
        "loaded = {'.'.join(name.split('.')[:2]) if name.startswith('auscult') else name for name in sys.modules}\n"
        "print(sorted(loaded & set(sys.argv[1:])))"
    )
    forbidden = [f"auscult.{name}" for name in ("evaluation", "training", "features", "models", "reporting", "audio")]
    command = [sys.executable, "-c", script, *forbidden, "torch"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "agree with the stored predictions" in done.stdout
