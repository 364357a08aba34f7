"""``auscult data hard-examples EXPERIMENT``: what a model finds hardest, to be heard, looked at and perhaps corrected.

Two rankings of the development part's units, each from predictions of networks that did not learn from the patient:

``loss``    cross-entropy of the annotated class. Among the hardest are wrong labels, rare sounds and bad recordings.
``margin``  probability of the annotated class minus that of the most probable other one. Units that confident learning
            suspects come first (C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in
            Dataset Labels", Journal of Artificial Intelligence Research 70 (2021)); it compares each probability with
            the mean probability of the class, so a class that the model knows less well is not suspected as a whole.

The test part is not shown: who looks at it and corrects it by ear measures something else afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table, replacing_folder, write_text
from auscult.core.tasks import Task
from auscult.evaluation.metrics import slug
from auscult.reporting.report.dataset import Tables, device_and_location, illustrate
from auscult.reporting.templates import template

if TYPE_CHECKING:
    import pandas as pd

Ranking = Literal["loss", "margin"]
PAGE, TABLE = "index.html", "units.csv"


@dataclass(frozen=True)
class HardExamples:
    """The pages of one experiment.

    Attributes
    ----------
    page
        The hardest units with picture and sound; ``units.csv`` beside it has all of them.
    units, suspected
        Units of the development part, and how many of them confident learning suspects to be labelled wrongly.
    """

    experiment: str
    page: Path
    units: int
    suspected: int

    def __str__(self) -> str:
        table = self.page.with_name(TABLE)
        return (
            f"{self.experiment}: {self.units} units of the development part, {self.suspected} of them suspected\n"
            f"Page: {self.page}\nAll units: {table}\n"
            'To correct one: auscult data correct ITEM LABEL --because "…"'
        )


def write_hard_examples(paths: Paths, name: str, known: Collection[str], count: int, ranking: Ranking) -> HardExamples:
    """Write ``reports/<dataset>/hard-examples/<experiment>/``: a page of *count* units, and a table of all.

    Parameters
    ----------
    known
        The experiments and combinations of ``params.yaml``.

    Raises
    ------
    AuscultError
        There is no such experiment, or it was not evaluated.
    """
    if name not in known:
        raise AuscultError(
            f"there is no experiment {name!r}", where="params.yaml", next_step=f"name one of: {', '.join(known)}"
        )
    folder = paths.evaluation(name)
    if not (folder / "predictions.parquet").exists():
        raise DataError(f"{name} was not evaluated", where=str(folder), next_step="auscult run (or dvc pull)")
    evaluation = read_json(folder / "evaluation.json")
    task = Task.from_json(evaluation["task"])
    table = ranked(read_table(folder / "predictions.parquet"), task, ranking)
    tables = Tables.read(paths)
    if gone := set(table["item"]) - set(tables.units(task)["unit_id"]):
        raise DataError(
            f"the data have changed since {name} was evaluated: {min(gone)} is no longer there",
            where=str(folder / "predictions.parquet"),
            next_step="auscult run, then the same command again",
        )
    entries = _entries(table.head(count), tables, task)
    illustrate(paths, tables, task, entries)
    labels = sorted({label for label, own in task.mapping.items() if own in task.classes})
    content = {"dataset": paths.dataset, "experiment": name, "task": task, "ranking": ranking, "labels": labels}
    suspected = int(table["suspected"].sum())
    content |= {"entries": entries, "units": len(table), "suspected": suspected}
    target = paths.hard_examples(name)
    with replacing_folder(target) as scratch:
        write_text(scratch / PAGE, template("hard_examples.html").render(content))
        table.to_csv(scratch / TABLE, index=False, float_format="%.6f", lineterminator="\n")
    return HardExamples(name, target / PAGE, len(table), suspected)


def ranked(predictions: pd.DataFrame, task: Task, ranking: Ranking) -> pd.DataFrame:
    """Return the units of the development part, the hardest first.

    Returns
    -------
    DataFrame
        ``item``, ``recording_id``, ``patient_id``, ``start_s``, ``end_s``, ``label``, ``predicted``,
        ``probability`` (of the label), ``loss`` (nats), ``margin`` (−1 to 1), ``suspected``, and ``p_<class>``.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    own = predictions[predictions["part"] == "validation"].reset_index(drop=True)
    columns = [f"p_{slug(label)}" for label in task.classes]
    p = own[columns].to_numpy(dtype=np.float64)
    p = p / p.sum(axis=1, keepdims=True)  # they are stored with nine decimals
    y = own["class_index"].to_numpy(dtype=np.int64)
    classes = np.array(task.classes, dtype=object)
    table = own[["unit_id", "recording_id", "patient_id", "start_s", "end_s"]].rename(columns={"unit_id": "item"})
    chosen = p[np.arange(len(p)), y]
    # Scaled by cleanlab to 0 … 1.
    margin = 2.0 * get_label_quality_scores(y, p, method="normalized_margin") - 1.0
    table = table.assign(
        label=classes[y],
        predicted=classes[own["predicted"].to_numpy(dtype=np.int64)],
        probability=chosen,
        loss=own["loss"],
        margin=margin,
        suspected=find_label_issues(y, p, filter_by="prune_by_noise_rate", n_jobs=1),
        **dict(zip(columns, p.T, strict=True)),
    )
    order = {
        "loss": (["loss", "item"], [False, True]),
        "margin": (["suspected", "margin", "item"], [False, True, True]),
    }
    by, ascending = order[ranking]
    return table.sort_values(by, ascending=ascending, kind="stable", ignore_index=True)


def _entries(table: pd.DataFrame, tables: Tables, task: Task) -> list[dict[str, Any]]:
    recordings = tables.recordings.set_index("recording_id")
    annotated = tables.units(task).set_index("unit_id")["label"]
    return [
        {
            "unit_id": row["item"],
            "recording_id": row["recording_id"],
            "patient_id": row["patient_id"],
            "start_s": float(row["start_s"]),
            "end_s": float(row["end_s"]),
            "about": device_and_location(recordings.loc[row["recording_id"]]),
            "label": row["label"],
            "annotation": annotated[row["item"]],  # as the data set has it, before the task maps it to a class
            "predicted": row["predicted"],
            "loss": f"{row['loss']:.2f}",
            "suspected": bool(row["suspected"]),
            "probabilities": [(name, round(100 * float(row[f"p_{slug(name)}"]))) for name in task.classes],
        }
        for row in table.to_dict("records")
    ]
