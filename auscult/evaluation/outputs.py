"""The files of one experiment's evaluation folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auscult.core.storage import write_json, write_table, write_text
from auscult.evaluation import plots
from auscult.evaluation.assessment import MODEL, Judged, prediction_columns, predictions
from auscult.evaluation.curves import confusion_rows, reliability, roc_rows
from auscult.evaluation.metrics import slug


def write_evaluation(folder: Path, judged: Judged, evaluation: Mapping[str, Any]) -> None:
    """Write evaluation.json, predictions.parquet, and the test part's curves as CSV and PNG."""
    task = judged.answers[MODEL].task
    slugs = {name: slug(name) for name in task.classes}
    write_json(folder / "evaluation.json", evaluation)
    write_table(folder / "predictions.parquet", predictions(judged, slugs), prediction_columns(task, slugs))
    test = judged.of_part("test").answers
    write_csv(folder / "confusion.csv", ["actual", "predicted"], confusion_rows(test[MODEL]))
    write_csv(folder / "roc.csv", ["fpr", "tpr", "threshold"], roc_rows(test[MODEL]))
    write_csv(folder / "reliability.csv", ["mean_predicted", "observed_fraction", "units"], reliability(test[MODEL]))
    plots.draw(folder, test)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with a header, Unix line ends; an empty table keeps its header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
