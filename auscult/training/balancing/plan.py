"""Decide how much each class grows, and write ``data/<dataset>/balanced/<experiment>.parquet``."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from auscult.core.paths import Paths
from auscult.core.records import BALANCED_COLUMNS
from auscult.core.sections import BalanceParams, Experiment
from auscult.core.storage import read_json, write_table
from auscult.core.tasks import Task
from auscult.features.examples import array_path, examples, load_task, require_every_class

logger = logging.getLogger(__name__)


def write_balanced(paths: Paths, name: str, experiment: Experiment, params: BalanceParams, target: Path) -> None:
    """Write the table of synthetic rows, for each held-out fold those made from the other folds.

    Only the development part is read. Parents of synthetic rows are originals, never augmented copies.

    Raises
    ------
    DataError
        A class of the task does not occur in the development part.
    """
    task = load_task(paths, experiment.task, name)
    table = examples(paths, experiment.features, task, parts=("development",))
    require_every_class(task, table["class_index"], paths, name)
    originals = table[table["copy"] == "original"]
    made = [pd.DataFrame(columns=list(BALANCED_COLUMNS)).astype({c: t for c, (t, _) in BALANCED_COLUMNS.items()})]
    for fold in sorted(originals["fold"].unique().tolist()):
        parents = originals[originals["fold"] != fold]
        extra = growth(parents["class_index"].value_counts().sort_index().to_dict(), params)
        if any(extra.values()):
            made.append(_synthetic(paths, experiment, task, parents, extra, params).assign(fold=fold))
        grown = ", ".join(f"{task.classes[c]} +{n}" for c, n in extra.items() if n) or "none"
        logger.info("balance %s: held-out fold %d: synthetic rows: %s", name, fold, grown)
    write_table(target, pd.concat(made, ignore_index=True), BALANCED_COLUMNS)


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
    """Return columns ``row``, ``parent``, ``step`` and ``class_index`` of the synthetic rows."""
    # imbalanced-learn takes two seconds to import, and balanced classes do not need it.
    from auscult.training.balancing.smote import RowStatistics, oversample, smote

    if params.method == "oversample":
        return oversample(parents, extra, params.seed)
    masked = read_json(paths.features(experiment.features) / "spec.json")["padding"] != "tile"
    statistics = RowStatistics.measure(array_path(paths, experiment.features, task), parents, masked=masked)
    return smote(statistics, parents, extra, params)
