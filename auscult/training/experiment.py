"""Train one experiment: search, calibrate, and write the model's folder."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.core.digests import file_sha256, patient_key
from auscult.core.paths import Paths
from auscult.core.sections import Experiment, TrainParams
from auscult.core.storage import replacing_folder, write_json, write_text
from auscult.models import architecture
from auscult.training.calibration import fit_offsets, fit_temperature, prior_biases
from auscult.training.data import load
from auscult.training.loop import class_weights
from auscult.training.score import calibrated, decide, icbhi_score
from auscult.training.search import Search
from auscult.training.trained_model import DESCRIPTION, FORMAT, WEIGHTS

logger = logging.getLogger(__name__)


def train_experiment(paths: Paths, name: str, experiment: Experiment, params: TrainParams) -> None:
    """Search hyperparameters, refit, calibrate, and write ``models/<dataset>/<experiment>/``.

    Raises
    ------
    ParameterError
        The architecture is unknown.
    DataError
        The training or the validation part lacks data; see :func:`auscult.training.data.load`.
    AuscultError
        No trial gave a usable model.
    """
    architecture(experiment.model)  # an unknown name fails here, before the data are read
    data = load(paths, name, experiment)
    logger.info(
        "train: %s: %d training rows and %d synthetic, %d %ss for validation, %d trials",
        *(name, len(data.originals), len(data.synthetic), len(data.validation.target), data.task.unit, params.trials),
    )
    if params.budget_minutes is not None:
        logger.warning("train: WARNING: train.budget_minutes is set: the number of trials differs from run to run")
    search = Search(name, data, experiment.model, params)
    trials, seeds = search.run()
    score = write_model(paths.model(name), paths.dataset, search, trials, seeds)
    logger.info("train: %s: validation score %.1f, %s", name, 100.0 * score, paths.model(name))


def write_model(target: Path, dataset: str, search: Search, trials: list[dict[str, Any]], seeds: list[str]) -> float:
    """Calibrate, choose the offsets, and write the folder; return the validation score of its decisions."""
    data, finished = search.data, search.finished
    records = [finished.read(name) or {} for name in seeds]
    about = {
        "format": FORMAT,
        "experiment": search.name,
        "dataset": dataset,
        "task": data.task.to_json(),
        "spec": data.spec,
        "model": search.model,
        "hyperparameters": records[0]["hyperparameters"],
        "bins": int(data.features.shape[1]),
        "frames": int(data.features.shape[2]),
        "normaliser": data.normaliser.to_json(),
        # A comparison of models must know which patients each of them learned from.
        "learned_from": sorted(patient_key(dataset, patient) for patient in data.patients),
        **_calibration(search, records[0]["hyperparameters"], seeds),
    }
    with replacing_folder(target) as folder:
        about["seeds"] = []
        (folder / WEIGHTS).mkdir()
        for index, (name, record) in enumerate(zip(seeds, records, strict=True)):
            file = folder / WEIGHTS / f"seed-{index}.safetensors"
            shutil.copyfile(finished.weights(name), file)
            about["seeds"].append(
                {
                    "file": file.name,
                    "sha256": file_sha256(file),
                    "best_epoch": record["best_epoch"],
                    "validation_score": record["score"],
                }
            )
        write_json(folder / DESCRIPTION, about)
        write_json(folder / "trials.json", {"best": int(records[0]["number"]), "trials": trials})
        write_text(folder / "history.csv", _history(records))
    score = about["validation_score"]
    return float("nan") if score is None else float(score)


def _calibration(search: Search, hyperparameters: dict[str, Any], seeds: list[str]) -> dict[str, Any]:
    """Return biases, temperature, offsets, and the validation score of the resulting decisions."""
    data, held_out = search.data, search.data.validation
    target = data.training_rows(bool(hyperparameters["use_synthetic"])).target
    classes = len(data.task.classes)
    weights = class_weights(target, classes).numpy() if search.params.class_weights else np.ones(classes)
    biases = prior_biases(target, weights, data.originals.target)
    logits = np.stack([search.finished.logits(name) for name in seeds]).astype(np.float64)
    temperature = fit_temperature(logits, held_out, biases)
    pooled = held_out.pool(calibrated(logits, temperature, biases))
    offsets = fit_offsets(pooled, held_out.target, data.task.normal_index)
    score = icbhi_score(held_out.target, decide(pooled, offsets), data.task.normal_index)
    return {
        "temperature": temperature,
        "biases": biases.tolist(),
        "offsets": offsets.tolist(),
        "validation_score": score if math.isfinite(score) else None,
    }


def _history(records: list[dict[str, Any]]) -> str:
    """Return ``history.csv``; undefined values are empty."""
    rows = [{"seed": index, **epoch} for index, record in enumerate(records) for epoch in record["epochs"]]
    return str(pd.DataFrame(rows).to_csv(index=False, float_format="%.9g", lineterminator="\n"))
