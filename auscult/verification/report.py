"""What index.html and summary.md must show: figures of evaluation.json, in points of 100 with one decimal.

They are compared as text, cell by cell. A cell that is None holds nothing that follows from the predictions, or only
words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pandas as pd

from auscult.verification.agreement import Findings
from auscult.verification.document import Page, Section, Table, markdown_table, numbers
from auscult.verification.metrics import slug

PAGE, SUMMARY = "index.html", "summary.md"
#: Row of the table of metrics → name in evaluation.json.
METRICS = {
    "Score": "score",
    "Sensitivity": "sensitivity",
    "Detection": "detection_sensitivity",
    "Specificity": "specificity",
    "Published score": "average_score",
    "SPRSound score": "sprsound_score",
    "Accuracy": "accuracy",
    "Balanced accuracy": "balanced_accuracy",
    "Precision, macro": "precision_macro",
    "F1, macro": "f1_macro",
    "ROC-AUC": "roc_auc",
    "ROC-AUC, normal against rest": "roc_auc_abnormal",
    "PR-AUC": "pr_auc",
    "MCC × 100": "mcc",
    "Brier × 100": "brier",
    "Calibration error": "calibration_error",
}
OF_PATIENTS = ("Score", "Sensitivity", "Specificity", "ROC-AUC")
#: The baselines as the sentences of the page call them.
SENTENCES = {
    "constant": "a constant answer",
    "metadata_only": "the metadata-only baseline",
    "gradient_boosting": "gradient boosting on the same features",
}
#: An interval wider than this, and a test score so much below validation, are mentioned.
WIDE, GAP = 0.15, 0.1
#: How the headers of the two tables of results begin.
RESULTS = ["Experiment", "Validation", "Test", "minus constant", "minus metadata only", "minus gradient boosting"]
CHART = ["Experiment", "Test score"]
TRIALS = "table of trials in index.html"
MEMBERS = "weights of the members of combinations in index.html"
OTHERS = "counts of the data and limits in index.html and summary.md"
NONE = "–"

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Shown:
    """One experiment: its evaluation.json and predictions.parquet, both found to agree."""

    evaluation: Mapping[str, Any]
    table: pd.DataFrame

    @property
    def test(self) -> Mapping[str, Any]:
        """Return the results on the test part."""
        return self.evaluation["parts"]["test"]

    @property
    def score(self) -> str:
        """Return the test score with its interval."""
        return metric(self.test["metrics"]["score"])

    @property
    def validation(self) -> str:
        """Return the validation score with its interval."""
        return metric(self.evaluation["parts"]["validation"]["metrics"]["score"])

    def minus(self, baseline: str) -> str:
        """Return the score minus that of a baseline, with its interval."""
        return metric(self.test["baselines"][baseline]["model_minus_this"], sign=True)

    def worst_cohort(self) -> str | None:
        """Return the lowest score on a cohort that is large enough, and its name."""
        found = [
            (entry["score"]["value"], entry["group"] if kind == "period" else f"{kind} {entry['group']}")
            for kind, entries in self.evaluation["held_out_cohorts"].items()
            for entry in entries
            if "note" not in entry and "low" in entry["score"]
        ]
        return f"{points(min(found)[0])} ({min(found)[1]})" if found else None

    def beats_constant_and_metadata(self) -> bool:
        """Return whether the intervals of both differences lie above zero."""
        differences = (self.test["baselines"][name]["model_minus_this"] for name in ("constant", "metadata_only"))
        return all(entry.get("low", 0.0) > 0 for entry in differences)


def points(share: float, *, sign: bool = False) -> str:
    """Return a share in points of 100: ``78.3``, with *sign* ``+3.2`` or ``−3.2``; zero is never negative."""
    text = f"{100.0 * share:{'+' if sign else ''}.1f}"
    if not text.strip("+-0."):
        text = text.replace("-", "+" if sign else "")
    return text.replace("-", "−")


def metric(entry: Mapping[str, Any], *, sign: bool = False) -> str:
    """Return a metric with its interval, or the sentence that says why there is none."""
    if "value" not in entry:
        return str(entry["undefined"])
    value = points(entry["value"], sign=sign)
    if "low" not in entry:
        return f"{value} ({entry['no_interval']})"
    return f"{value} ({points(entry['low'], sign=sign)} to {points(entry['high'], sign=sign)})"


def check_summary(
    text: str, shown: Mapping[str, Shown], every: Sequence[str], total: Findings, found: Mapping[str, Findings]
) -> None:
    """Compare summary.md.

    Parameters
    ----------
    shown
        The experiments to compare.
    every
        All experiments of the report.
    total, found
        Take what concerns the whole report, and what concerns each experiment.
    """
    if not shown:
        return
    table = markdown_table(text)
    head = ["experiment", "validation", "worst cohort", f"test ({_level(shown)} % interval)"]
    head += ["minus metadata only", "minus gradient boosting", "verdict"]
    total.note(SUMMARY, "header", " | ".join(table.head), " | ".join(head), agree=table.head == head)
    _only(total, SUMMARY, "table", [row[0] for row in table.rows], every)
    for name, item in shown.items():
        differences = item.minus("metadata_only"), item.minus("gradient_boosting")
        row = (name, item.validation, item.worst_cohort() or NONE, item.score, *differences, None)
        own = [cells for cells in table.rows if cells[0] == name]
        _row(found[name], SUMMARY, "", table.head, row, own[0] if own else None)
    lead, _, rest = text.partition("\n|")
    _experiments(lead, SUMMARY, shown, total)
    others = "\n".join(line for line in rest.splitlines() if line.startswith(("- ", "Data: ")))
    total.leave_out(OTHERS, len(numbers(others)))


def check_page(
    html: str, shown: Mapping[str, Shown], every: Sequence[str], total: Findings, found: Mapping[str, Findings]
) -> None:
    """Compare index.html: the results, and the sentences and tables of each experiment; as :func:`check_summary`."""
    if not shown:
        return
    page = Page(html)
    results = page.parts.get("results", Section())
    for title, head, others, expected in (
        ("results", RESULTS, ["description"], _numbers_row),
        ("chart", CHART, ["drawing", "Verdict", "description"], _chart_row),
    ):
        tables = [table for table in results.tables if table.head[: len(head)] == head]
        rows = {link: (table, index) for table in tables for index, link in enumerate(table.links)}
        _only(total, PAGE, title, list(rows), every)
        for name, item in shown.items():
            cells = None
            if name in rows:
                table, index = rows[name]
                cells = [*table.rows[index], table.labels[index].partition(": ")[2]]
            _row(found[name], PAGE, title, [*head, *others], expected(item), cells)
    for name, item in shown.items():
        if name in page.parts:
            _article(found[name], item, page.parts[name])
        else:
            found[name].note(PAGE, f"experiment {name}", "(no such part)", "its results", agree=False)
    _experiments(" ".join(page.parts[""].sentences), PAGE, shown, total)
    everything = " ".join(sentence for part in page.parts.values() for sentence in part.sentences)
    level, resamples = _level(shown), str(next(iter(shown.values())).evaluation["intervals"]["resamples"])
    for pattern, stated in (
        (r"(\S+) % confidence interval", level),
        (r"resamples of patients, (\S+) %", level),
        (r"(\S+) resamples of patients", resamples),
    ):
        match = re.search(pattern, everything)
        stored = match[1] if match else "(missing)"
        total.note(PAGE, "intervals", stored, stated, agree=stored == stated)
    for name in ("data", "limits"):
        part = page.parts.get(name, Section())
        cells = [cell for table in part.tables for row in table.rows for cell in row[1:]]
        total.leave_out(OTHERS, sum(len(numbers(text)) for text in [*part.sentences, *cells]))


def _level(shown: Mapping[str, Shown]) -> str:
    return f"{100 * next(iter(shown.values())).evaluation['intervals']['confidence']:g}"


def _only(total: Findings, file: str, place: str, names: Sequence[str], every: Sequence[str]) -> None:
    """Note rows of experiments that the report does not have."""
    for name in names:
        if name not in every:
            total.note(file, place, f"row {name}", "(unknown experiment)", agree=False)


def _experiments(text: str, file: str, shown: Mapping[str, Shown], total: Findings) -> None:
    """Compare the sentence that counts the experiments better than two baselines."""
    stated = re.search(r"(\d+) of (\d+) experiments", text)
    expected = f"{sum(item.beats_constant_and_metadata() for item in shown.values())} of {len(shown)}"
    found = f"{stated[1]} of {stated[2]}" if stated else "(missing)"
    place = "experiments better than a constant answer and than metadata only"
    total.note(file, place, found, expected, agree=found == expected)


def _row(
    findings: Findings, file: str, table: str, head: Sequence[str], expected: Row, stored: Sequence[str] | None
) -> None:
    """Compare the cells of a row; the first one names it. *stored* is None if there is no such row."""
    place = ", ".join(filter(None, (table, expected[0])))
    if stored is None or len(stored) != len(expected) or len(head) < len(expected):
        cells = "(no such row)" if stored is None else f"{len(stored)} cells"
        findings.note(file, place, cells, f"{len(expected)} cells", agree=False)
        return
    for title, cell, text in zip(head[1:], expected[1:], stored[1:], strict=False):
        _cell(findings, file, f"{place}, {title}", text, cell)


def _cell(findings: Findings, file: str, place: str, stored: str, expected: str | None) -> None:
    """Compare a cell; it counts as one figure for each number in it."""
    if expected is None:
        return
    one, other = (" ".join(text.split()) for text in (stored, expected))
    findings.note(file, place, one, other, agree=one == other)
    if one == other:
        findings.figures += len(numbers(other)) - 1


def _numbers_row(item: Shown) -> Row:
    name = item.evaluation["experiment"]
    return name, item.validation, item.score, *(item.minus(baseline) for baseline in SENTENCES), ""


def _chart_row(item: Shown) -> Row:
    """Return a row of the chart: score, drawing, verdict, and the description of the drawing."""
    baselines = item.test["baselines"].values()
    scores = "".join(f"; {each['title']} {metric(each['metrics']['score'])}" for each in baselines)
    drawn = "value" in item.test["metrics"]["score"]
    label = f"test score {item.score}; validation {item.validation}{scores}" if drawn else ""
    return item.evaluation["experiment"], item.score, None, None, label


def _article(findings: Findings, item: Shown, section: Section) -> None:
    for sentence in section.sentences:
        _sentence(findings, item, sentence)
    expected = list(_tables(item))
    place = 0
    for table in section.tables:
        if table.head[:1] == ["Trial"]:
            findings.leave_out(TRIALS, sum(len(numbers(cell)) for row in table.rows for cell in row))
        elif table.head == ["Experiment", "Its log-probabilities"]:
            findings.leave_out(MEMBERS, sum(len(numbers(row[-1])) for row in table.rows))
        elif place < len(expected) and table.head == expected[place][1]:
            name, head, rows = expected[place]
            place += 1
            _rows(findings, name, head, rows, table)
        else:
            findings.note(PAGE, f"table {' | '.join(table.head)}", "(unknown table)", "another table", agree=False)
    for name, *_ in expected[place:]:
        findings.note(PAGE, name, "(no such table)", "a table", agree=False)


def _rows(findings: Findings, name: str, head: Sequence[str], expected: Iterable[Row], table: Table) -> None:
    # Of the recordings with the highest loss as many as the report was asked for.
    rows = list(islice(expected, len(table.rows)) if name == "highest loss" else expected)
    if len(rows) != len(table.rows):
        findings.note(PAGE, name, f"{len(table.rows)} rows", f"{len(rows)} rows", agree=False)
    for row, cells in zip(rows, table.rows, strict=False):
        title = (cells[0] if cells else "").split("\n")[0]
        if title.removesuffix(" (chosen)") != row[0]:
            findings.note(PAGE, name, f"row {title}", f"row {row[0]}", agree=False)
        else:
            _row(findings, PAGE, name, head, row, cells)


def _tables(item: Shown) -> Iterator[tuple[str, list[str], Iterable[Row]]]:
    """Yield name, header and rows of the tables of an experiment, in their order."""
    evaluation, test = item.evaluation, item.test
    validation, units = evaluation["parts"]["validation"], f"{evaluation['task']['unit'].capitalize()}s"
    titles = {"device": "Device", "location": "Location on the chest", "period": "Period", "age": "Age", "sex": "Sex"}
    yield (
        "all metrics",
        ["Metric", "Validation (out of fold)", "Test"],
        [
            (title, metric(validation["metrics"][name]), metric(test["metrics"][name]))
            for title, name in METRICS.items()
            if name in test["metrics"]
        ],
    )
    kinds = ("precision", "recall", "f1")
    yield (
        "per class",
        ["Class", units, "Precision", "Recall", "F1"],
        [
            (label, str(count), *(metric(test["metrics"][f"{kind}_{slug(label)}"]) for kind in kinds))
            for label, count in test["classes"].items()
        ],
    )
    if "per_patient" in test:
        patients = test["per_patient"]["metrics"]
        rows: list[Row] = [(title, metric(patients[METRICS[title]])) for title in OF_PATIENTS]
        yield "per patient", ["Metric", "Test"], rows
    for kind, groups in evaluation["held_out_cohorts"].items():
        head = [titles[kind], units, "Patients", "Score", "Calibration error"]
        yield f"held-out {kind}", head, [_group(entry, "calibration_error") for entry in groups]
    yield (
        "rules",
        ["Rule", "Score out of fold", "Worst held-out cohort"],
        [(name, *_rule(entry)) for name, entry in evaluation["decision"]["rules"].items()],
    )
    for kind, groups in test["subgroups"].items():
        head = [titles[kind], units, "Patients", "Score", "Accuracy"]
        yield f"subgroups by {kind}", head, [_group(entry, "accuracy") for entry in groups]
    head = ["Recording", "Patient", "Device, location", "Mean loss", "Wrong", "Mistakes"]
    yield "highest loss", head, _worst(item)


def _group(entry: Mapping[str, Any], last: str) -> Row:
    counts = (entry["group"], str(entry["units"]), str(entry["patients"]))
    return (*counts, entry["note"], "") if "note" in entry else (*counts, metric(entry["score"]), metric(entry[last]))


def _rule(entry: Mapping[str, Any]) -> tuple[str, str]:
    first, worst = (
        "undefined" if entry[key] is None else points(entry[key]) for key in ("out_of_fold", "worst_cohort")
    )
    return first, "no cohort is large enough" if entry["cohort"] is None else f"{worst} ({entry['cohort']})"


def _worst(item: Shown) -> Iterator[Row]:
    """Yield the test recordings by falling mean loss, with their most frequent mistakes."""
    classes = item.evaluation["task"]["classes"]
    test = item.table.loc[item.table["part"] == "test", ["recording_id", "class_index", "predicted", "loss"]]
    means = test.groupby("recording_id", sort=True)["loss"].mean()
    for recording in means.sort_values(ascending=False, kind="stable").index:
        own = test[test["recording_id"] == recording]
        wrong = own[own["class_index"] != own["predicted"]]
        pairs = (
            wrong.groupby(["class_index", "predicted"], sort=True).size().sort_values(ascending=False, kind="stable")
        )
        mistakes = [
            f"{count} × {classes[true]} predicted as {classes[guess]}" for (true, guess), count in pairs.head(2).items()
        ]
        text = "; ".join(mistakes) or "none: correct with a low probability"
        yield recording, None, None, f"{means[recording]:.2f}", f"{len(wrong)} of {len(own)}", text


def _sentence(findings: Findings, item: Shown, sentence: str) -> None:
    """Compare the numbers of a sentence of an experiment; one that is not known is a difference."""
    if not numbers(sentence):
        return
    expected = next((text for pattern, text in _sentences(item) if re.match(pattern, sentence)), None)
    place = f"“{sentence[:40]}…”" if len(sentence) > 40 else f"“{sentence}”"
    if expected is None:
        findings.note(PAGE, place, " ".join(numbers(sentence)), "(unknown sentence)", agree=False)
    else:
        _cell(findings, PAGE, place, " ".join(numbers(sentence)), " ".join(numbers(expected)))


def _sentences(item: Shown) -> Iterator[tuple[str, str]]:
    """Yield how a sentence begins, and a text with the numbers that it must have."""
    test, parts = item.test, item.evaluation["parts"]
    score, chosen = test["metrics"]["score"], parts["validation"]["metrics"]["score"]
    unit, name = item.evaluation["task"]["unit"], item.evaluation["experiment"]
    yield re.escape(f"{name}, "), f"{test['units']} {unit}s of {test['patients']} test patients"
    for baseline, title in SENTENCES.items():
        opening = "(Better than|Worse than|No difference shown to) "
        yield opening + re.escape(title) + r": .* points\.$", item.minus(baseline)
    worst = item.worst_cohort()
    yield "Patients like these, out of fold", f"{item.validation}. {worst or ''}"
    if "exempt" in parts:
        exempt = parts["exempt"]
        yield "Exempt part", f"{metric(exempt['metrics']['score'])} {exempt['units']} {exempt['patients']}"
    if "low" in score and score["high"] - score["low"] > WIDE:
        width = points(score["high"] - score["low"])
        yield "The interval is", f"{width} points wide {test['patients']} patients"
    if "no_interval" in score:
        yield "The test part is too small", str(score["no_interval"])
    yield "The test part has no", ""
    if "value" in chosen and "value" in score and chosen["value"] - score["value"] > GAP:
        yield "The test score is", points(chosen["value"] - score["value"])
    lacking = f"{test['resamples_without_a_class']} of {item.evaluation['intervals']['resamples']}"
    yield r"\d+ of \d+ resamples lack", lacking
    if "note" in test.get("per_patient", {}):
        yield r"\d+ of \d+ patients have", str(test["per_patient"]["note"])
    yield "The score is undefined", str(score.get("undefined", ""))
    yield r".*: ", item.score  # the headline: a verdict, and the test score
