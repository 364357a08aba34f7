"""Fit a combination of trained models on their out-of-fold predictions, and write its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.combination.combined_model import MEMBERS, load_model
from auscult.combination.methods import method
from auscult.core.cohorts import COHORTS
from auscult.core.digests import file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.sections import Combination, Params
from auscult.core.storage import open_array, write_json
from auscult.features.examples import (
    array_path,
    examples,
    load_task,
    recordings_of,
    require_every_class,
    units_of,
)
from auscult.training.decision import choose
from auscult.training.trained_model import DESCRIPTION, FORMAT, WEIGHTS, TrainedModel, in_blocks


class KnownRows:
    """What methods have computed of rows, for further combinations of the same members by the same method."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[int, NDArray[np.float64]]] = {}

    def rows(
        self,
        combination: Combination,
        members: Sequence[TrainedModel],
        file: Path,
        table: pd.DataFrame,
    ) -> NDArray[np.float64]:
        """Return what the method computes of rows of a file, shape (folds, n, columns); see :class:`Method`.

        *table* has the columns ``row``, ``frames`` and ``fold``; other folds' networks give NaN.
        """
        known = self._known.setdefault((combination.method, *combination.members, str(file)), {})
        new = table[~table["row"].isin(known.keys())]
        if len(new):
            compute = partial(method(combination.method).rows, members)
            found = in_blocks(compute, open_array(file), new)
            known |= dict(zip(new["row"].tolist(), found.swapaxes(0, 1), strict=True))
        return np.stack([known[row] for row in table["row"].tolist()], axis=1)


def combine(paths: Paths, folder: Path, name: str, params: Params, known: KnownRows) -> float:
    """Fit a combination and write its folder; return the out-of-fold score of its decisions, 0 to 1.

    Parameters
    ----------
    folder
        Contains the folders of earlier combinations, which may be members; that of this one is added.
    known
        Of earlier combinations of the same run; what this one computes of rows is added.

    Raises
    ------
    AuscultError
        The members cannot be combined.
    """
    combination = params.combinations[name]
    chosen, task = method(combination.method), load_task(paths, combination.task, name)
    sources = {
        member: folder / member if member in params.combinations else paths.model(member)
        for member in combination.members
    }
    members = [load_model(source) for source in sources.values()]
    table = examples(paths, combination.features, task, parts=("development",))
    require_every_class(task, table["class_index"], paths, name)
    table = table[table["copy"] == "original"].reset_index(drop=True)
    units, codes = units_of(table)
    if why := _other_folds(members, units["fold"]) or chosen.obstacle(task, members):
        where = f"params.yaml: combinations.{name}"
        raise AuscultError(f"{name} cannot be made: {why}", where=where, next_step="choose other members")
    file = array_path(paths, combination.features, task)
    rows, (_, bins, frames) = known.rows(combination, members, file, table), open_array(file).shape
    fold, target = (units[column].to_numpy(np.int64) for column in ("fold", "class_index"))
    # Each unit as the networks without its fold see it.
    numbers = members[0].folds
    seen = chosen.inputs(members, rows, codes, recordings_of(units))
    inputs = np.select([(fold == number)[:, None] for number in numbers], list(seen))
    entries: list[dict[str, Any]] = []
    raw = np.zeros((len(units), len(task.classes)))
    for number in numbers:
        own = fold == number
        others = own if own.all() else ~own
        fitted = chosen.fit(inputs[others], target[others], len(task.classes), fold[others])
        raw[own] = chosen.apply(fitted, inputs[own])
        entries.append({"fold": number, "combined": fitted})
    choices = choose(raw, target, fold, units[["patient_id", *COHORTS]], task.normal_index, params.train.decisions)
    about = {
        "format": FORMAT,
        "experiment": name,
        "dataset": paths.dataset,
        "task": task.to_json(),
        "spec": members[0].spec,
        "model": combination.method,
        "members": {member: file_sha256(source / DESCRIPTION) for member, source in sources.items()},
        "bins": int(bins),
        "frames": int(frames),
        "columns": int(rows.shape[2]),
        "learned_from": sorted(set().union(*(each.about["learned_from"] for each in members))),
        **choices.fitted.to_json(),
        "rules": choices.rules,
        "out_of_fold_score": choices.score,
        "folds": [entry | choices.of_fold[entry["fold"]].to_json() for entry in entries],
    }
    write_json(folder / name / DESCRIPTION, about)
    for member, source in sources.items():
        copy = folder / name / MEMBERS / member
        copy.mkdir(parents=True)
        shutil.copyfile(source / DESCRIPTION, copy / DESCRIPTION)
        for part in (WEIGHTS, MEMBERS):
            if (source / part).is_dir():
                shutil.copytree(source / part, copy / part)
    return float("nan") if choices.score is None else choices.score


def _other_folds(members: Sequence[TrainedModel], folds: Iterable[int]) -> str:
    """Return which fold or member does not fit the others, in words, or an empty string; *folds* are the units'."""
    first = members[0]
    if lacking := sorted(set(folds).difference(first.folds)):
        return f"{first.experiment} has no network that was trained without fold {lacking[0]}, which holds such units"
    for each in members[1:]:
        if each.folds != first.folds:
            return f"{each.experiment} was trained on the folds {each.folds}, {first.experiment} on {first.folds}"
        if each.spec != first.spec:
            return f"{each.experiment} and {first.experiment} were trained on different features"
    return ""
