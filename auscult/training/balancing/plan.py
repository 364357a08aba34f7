"""Decide how much each class grows, and write ``data/<dataset>/balanced/<experiment>.parquet``."""

from __future__ import annotations

import logging

import pandas as pd

from auscult.core.paths import Paths
from auscult.core.records import BALANCED_COLUMNS
from auscult.core.sections import BalanceParams, Experiment
from auscult.core.storage import read_json, write_table
from auscult.core.tasks import Task
from auscult.features.examples import array_path, examples, load_task, require_every_class

logger = logging.getLogger(__name__)


def write_balanced(paths: Paths, name: str, experiment: Experiment, params: BalanceParams) -> None:
    """Write the table of training rows, originals first, then synthetic ones.

    Only the training part is read. Parents of synthetic rows are originals, never augmented copies.

    Raises
    ------
    DataError
        A class of the task does not occur in the training part.
    """
    task = load_task(paths, experiment.task, name)
    training = examples(paths, experiment.features, task, parts=("train",))
    require_every_class(task, training["class_index"], paths, name)
    parents = training[training["copy"] == "original"]
    extra = growth(parents["class_index"].value_counts().sort_index().to_dict(), params)
    added = _synthetic(paths, experiment, task, parents, extra, params)
    originals = pd.DataFrame({"row": training["row"], "class_index": training["class_index"]}).assign(
        parent=-1, step=0.0, kind="original"
    )
    table = pd.concat([originals, added], ignore_index=True)
    write_table(paths.balanced(name), table, BALANCED_COLUMNS)
    grown = ", ".join(f"{task.classes[c]} +{n}" for c, n in extra.items() if n) or "none"
    logger.info("balance %s: %d training rows, %d synthetic (%s)", name, len(training), len(added), grown)


def growth(counts: dict[int, int], params: BalanceParams) -> dict[int, int]:
    """Return the number of synthetic rows per class.

    A class grows to the size of the largest class, at most to ``max_ratio`` times its own size.

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


def _synthetic(
    paths: Paths,
    experiment: Experiment,
    task: Task,
    parents: pd.DataFrame,
    extra: dict[int, int],
    params: BalanceParams,
) -> pd.DataFrame:
    """Return columns ``row``, ``parent``, ``step``, ``class_index``, ``kind`` of the synthetic rows."""
    if not any(extra.values()):
        return pd.DataFrame({"row": [], "parent": [], "step": [], "class_index": [], "kind": []}).astype(
            {"row": "int64", "parent": "int64", "step": "float64", "class_index": "int64", "kind": "str"}
        )
    # imbalanced-learn takes two seconds to import, and balanced classes do not need it.
    from auscult.training.balancing.smote import NormalisedRows, oversample, smote

    if params.method == "oversample":
        return oversample(parents, extra, params.seed)
    masked = read_json(paths.features(experiment.features) / "spec.json")["padding"] != "tile"
    rows = NormalisedRows.fit(array_path(paths, experiment.features, task), parents, masked=masked)
    return smote(rows, parents, extra, params)
