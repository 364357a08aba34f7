"""Train one experiment: search, a model per fold, calibration, and the model's folder."""

from __future__ import annotations

import logging
import math
import shutil
from typing import Any

import numpy as np
import pandas as pd

from auscult.core.digests import file_sha256, patient_key
from auscult.core.errors import ParameterError, unknown_name
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import replacing_folder, write_json, write_text
from auscult.models import load as load_model
from auscult.models import names as model_names
from auscult.models import suffix
from auscult.training.data import load
from auscult.training.decision import Choices, choose
from auscult.training.score import softmax
from auscult.training.search import Search
from auscult.training.trained_model import DESCRIPTION, FORMAT, WEIGHTS

logger = logging.getLogger(__name__)


def train_experiment(paths: Paths, name: str, params: Params) -> None:
    """Search hyperparameters, train a model per fold, calibrate, and write ``models/<dataset>/<experiment>/``.

    Raises
    ------
    ParameterError
        The architecture is unknown.
    DataError
        The development part lacks data; see :func:`auscult.training.data.load`.
    AuscultError
        No trial gave a usable model.
    """
    experiment, training = params.experiment(name), params.training_of(name)
    defaults = load_model(experiment.model).DEFAULTS  # an unknown name fails here, before the data are read
    space = params.search.get(experiment.model, {})
    own = experiment.train.hyperparameters or {} if experiment.train is not None else {}
    for model in (*params.train.hyperparameters, *own):
        if model not in model_names():
            raise unknown_name("model", model, model_names(), where="params.yaml: train.hyperparameters")
    chosen = training.hyperparameters.get(experiment.model, {})
    for section, named in (("search", list(space)), ("train.hyperparameters", list(chosen))):
        for hyperparameter in named:
            if hyperparameter not in defaults:
                where = f"params.yaml: {section}.{experiment.model}"
                raise unknown_name(f"hyperparameter of {experiment.model!r}:", hyperparameter, defaults, where=where)
    for hyperparameter, value in chosen.items():
        if needed := _lacks(hyperparameter, value, defaults[hyperparameter]):
            raise ParameterError(
                f"{hyperparameter} of {experiment.model!r} is {value!r}, not {needed}",
                where=f"params.yaml: train.hyperparameters.{experiment.model}.{hyperparameter}",
                next_step=f"set it to {needed}, such as its default, {defaults[hyperparameter]}",
            )
    data = load(paths, name, experiment, training)
    logger.info(
        "train: %s: %d rows and %d synthetic ones in %d folds, %d trials",
        *(name, len(data.table), len(data.synthetic), len(data.folds), training.trials),
    )
    if training.budget_minutes is not None:
        logger.warning("train: WARNING: train.budget_minutes is set: the number of trials differs from run to run")
    search = Search(name, data, experiment.model, training, space)
    trials, names = search.run()
    score = write_model(paths, search, trials, names)
    logger.info("train: %s: out-of-fold score %.1f, %s", name, 100.0 * score, paths.model(name))


def _lacks(name: str, value: bool | float, default: bool | float) -> str:
    """Return what the value of a hyperparameter must be, if it is not that, else an empty string."""
    if isinstance(default, bool) or isinstance(value, bool):
        return "" if isinstance(default, bool) is isinstance(value, bool) else "of the same type as its default"
    if isinstance(default, int):
        return "" if isinstance(value, int) and value >= 1 else "a whole number of 1 or more"
    if name == "dropout":
        return "" if 0 <= value < 1 else "a number from 0 to less than 1"
    return "" if 0 < value < math.inf else "a positive number"


def write_model(paths: Paths, search: Search, trials: list[dict[str, Any]], names: dict[int, str]) -> float:
    """Calibrate, choose the offsets, and write the folder; return the out-of-fold score of its decisions."""
    data, finished = search.data, search.finished
    records = {fold: finished.read(name) or {} for fold, name in names.items()}
    hyperparameters = records[data.folds[0]]["hyperparameters"]
    choices = _choices(search, names)
    about = {
        "format": FORMAT,
        "experiment": search.name,
        "dataset": paths.dataset,
        "task": data.task.to_json(),
        "spec": data.spec,
        "model": search.model,
        "hyperparameters": hyperparameters,
        "bins": int(data.features.shape[1]),
        "frames": int(data.features.shape[2]),
        "piece": data.piece,
        # A comparison of models must know which patients each of them learned from.
        "learned_from": sorted(patient_key(paths.dataset, patient) for patient in data.patients),
        **choices.fitted.to_json(),
        "rules": choices.rules,
        "out_of_fold_score": choices.score,
        "folds": [],
    }
    with replacing_folder(paths.model(search.name)) as folder:
        (folder / WEIGHTS).mkdir()
        for fold, name in names.items():
            file = folder / WEIGHTS / f"fold-{fold}{suffix(search.model)}"
            shutil.copyfile(finished.weights(name), file)
            about["folds"].append(
                {
                    "fold": fold,
                    "file": file.name,
                    "sha256": file_sha256(file),
                    "epochs": records[fold]["best_epoch"],
                    "score": records[fold]["score"],
                    "normaliser": search.folds[fold].normaliser.to_json(),
                    "log_prior": _log_prior(search, fold, bool(hyperparameters["use_synthetic"])),
                    # Fitted on the other folds, for the out-of-fold predictions of this one.
                    **choices.of_fold[fold].to_json(),
                }
            )
        write_json(folder / DESCRIPTION, about)
        write_json(folder / "trials.json", {"best": int(records[data.folds[0]]["number"]), "trials": trials})
        write_text(folder / "history.csv", _history(records))
    return float("nan") if choices.score is None else choices.score


def _log_prior(search: Search, fold: int, use_synthetic: bool) -> list[float]:
    """Return what is added to the outputs of the model of a fold; see :func:`auscult.training.loop.fit`."""
    if not search.trains_networks:
        return [0.0] * len(search.data.task.classes)
    data = search.folds[fold]
    return [float(value) for value in data.log_prior(data.training_rows(use_synthetic))]


def _choices(search: Search, names: dict[int, str]) -> Choices:
    """Calibrate and choose the decision on the out-of-fold predictions of all folds."""
    held_out = [search.folds[fold].held_out for fold in names]
    raw = np.concatenate(
        [
            units.pool(softmax(search.finished.logits(name).astype(np.float64)))
            for units, name in zip(held_out, names.values(), strict=True)
        ]
    )
    target = np.concatenate([units.target for units in held_out])
    fold = np.repeat(list(names), [len(units.target) for units in held_out])
    cohorts = pd.concat([units.cohorts for units in held_out], ignore_index=True)
    return choose(raw, target, fold, cohorts, search.data.task.normal_index, search.params.decisions)


def _history(records: dict[int, dict[str, Any]]) -> str:
    """Return ``history.csv``; undefined values are empty."""
    rows = [{"fold": fold, **epoch} for fold, record in records.items() for epoch in record["epochs"]]
    return str(pd.DataFrame(rows).to_csv(index=False, float_format="%.9g", lineterminator="\n"))
