"""Which classes grow, by how much and how; writes ``data/<dataset>/balanced/<experiment>.parquet``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.records import BALANCED_COLUMNS
from auscult.core.sections import BalanceParams, Experiment
from auscult.core.storage import read_json, write_table
from auscult.core.tasks import Task
from auscult.features.examples import array_path, examples, load_task

if TYPE_CHECKING:
    import pandas as pd


def write_balanced(paths: Paths, name: str, experiment: Experiment, params: BalanceParams) -> str:
    """Write the table of training examples, originals first; returns a line that says what was added.

    Only the training part is read. Synthetic examples come from the originals, never
    from augmented copies of them.

    Raises
    ------
    DataError
        A class of the task does not occur in the training part.
    """
    import pandas as pd

    task = load_task(paths, experiment.task, name)
    training = examples(paths, experiment.features, task, parts=("train",))
    _every_class_occurs(training, task, name, paths)
    parents = training[training["copy"] == "original"]
    extra = growth(parents["class_index"].value_counts().sort_index().to_dict(), params)
    added = _synthetic(paths, experiment, task, parents, extra, params)
    originals = pd.DataFrame({"row": training["row"], "class_index": training["class_index"]}).assign(
        parent=-1, step=0.0, kind="original"
    )
    table = pd.concat([originals, added], ignore_index=True)
    write_table(paths.balanced(name), table, BALANCED_COLUMNS)
    grown = ", ".join(f"{task.classes[c]} +{n}" for c, n in extra.items() if n) or "none"
    return f"balance {name}: {len(training)} training rows, {len(added)} synthetic ({grown})"


def growth(counts: dict[int, int], params: BalanceParams) -> dict[int, int]:
    """Synthetic examples per class: up to the largest class, at most ``max_ratio`` times the class itself.

    Examples
    --------
    >>> params = BalanceParams(method="smote", neighbours=5, max_ratio=3.0, seed=0)
    >>> growth({0: 100, 1: 60, 2: 10}, params)
    {0: 0, 1: 40, 2: 20}
    """
    if params.method == "none":
        return dict.fromkeys(counts, 0)
    largest = max(counts.values())
    return {c: max(0, min(largest, int(n * params.max_ratio)) - n) for c, n in counts.items()}


def _every_class_occurs(training: pd.DataFrame, task: Task, name: str, paths: Paths) -> None:
    present = set(training["class_index"])
    missing = [c for index, c in enumerate(task.classes) if index not in present]
    if missing:
        raise DataError(
            f"the training part holds no {task.unit} of class {', '.join(missing)} of task {task.name!r}"
            f" (experiment {name!r})",
            where=str(paths.split / "assignment.parquet"),
            next_step="choose another split.seed or split.validation_fold, add recordings of that class,"
            " or remove the experiment",
        )


def _synthetic(
    paths: Paths,
    experiment: Experiment,
    task: Task,
    parents: pd.DataFrame,
    extra: dict[int, int],
    params: BalanceParams,
) -> pd.DataFrame:
    """Rows ``row``, ``parent``, ``step``, ``class_index``, ``kind`` of the synthetic examples."""
    import pandas as pd

    if not any(extra.values()):
        return pd.DataFrame({"row": [], "parent": [], "step": [], "class_index": [], "kind": []}).astype(
            {"row": "int64", "parent": "int64", "step": "float64", "class_index": "int64", "kind": "str"}
        )
    from auscult.training.balancing.interpolate import oversample, smote
    from auscult.training.balancing.rows import NormalisedRows

    if params.method == "oversample":
        return oversample(parents, extra, params.seed)
    masked = read_json(paths.features(experiment.features) / "spec.json")["padding"] != "tile"
    rows = NormalisedRows.fit(array_path(paths, experiment.features, task), parents, masked=masked)
    return smote(rows, parents, extra, params)
