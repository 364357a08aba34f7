"""Outputs of ``train``: the model's folder."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.core.digests import file_sha256, patient_key
from auscult.core.storage import replacing_folder, write_json, write_text
from auscult.training.calibration import decided_score, fit_offsets, fit_temperature, prior_biases
from auscult.training.loop import class_weights
from auscult.training.trained_model import DESCRIPTION, FORMAT, WEIGHTS, calibrated

if TYPE_CHECKING:
    from auscult.training.search import Search

HISTORY = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_score",
    "learning_rate",
)


def write_model(target: Path, dataset: str, search: Search, trials: list[dict[str, Any]], seeds: list[str]) -> float:
    """Calibrate, choose the offsets, and write the folder; returns the validation score of its decisions."""
    data, journal = search.data, search.journal
    records = [journal.read(name) or {} for name in seeds]
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
        # Whoever compares this model with another on some patient must know whether it has met that one.
        "learned_from": sorted(patient_key(dataset, patient) for patient in data.patients),
        **_decisions(search, records[0]["hyperparameters"], seeds),
    }
    with replacing_folder(target) as folder:
        about["seeds"] = []
        (folder / WEIGHTS).mkdir()
        for index, (name, record) in enumerate(zip(seeds, records, strict=True)):
            file = folder / WEIGHTS / f"seed-{index}.safetensors"
            shutil.copyfile(journal.weights(name), file)
            about["seeds"].append(
                {
                    "file": file.name,
                    "sha256": file_sha256(file),
                    "best_epoch": record["best_epoch"],
                    "validation_score": record["score"],
                }
            )
        write_json(folder / DESCRIPTION, about)
        best = int(records[0]["number"])
        write_json(folder / "trials.json", {"best": best, "trials": trials})
        write_text(folder / "history.csv", _history(records))
    score = about["validation_score"]
    return float("nan") if score is None else float(score)


def _decisions(search: Search, hyperparameters: dict[str, Any], seeds: list[str]) -> dict[str, Any]:
    """Biases, temperature, offsets, and the validation score that they lead to."""
    data, held_out = search.data, search.data.validation
    target = data.training_rows(bool(hyperparameters["use_synthetic"])).target
    classes = len(data.task.classes)
    weights = class_weights(target, classes).numpy() if search.params.class_weights else np.ones(classes)
    biases = prior_biases(target, weights, data.originals.target)
    logits = np.stack([search.journal.logits(name) for name in seeds]).astype(np.float64)
    temperature = fit_temperature(logits, held_out, biases)
    pooled = held_out.pool(calibrated(logits, temperature, biases))
    offsets = fit_offsets(pooled, held_out.target, data.task.normal_index)
    score = decided_score(pooled, offsets, held_out.target, data.task.normal_index)
    return {
        "temperature": temperature,
        "biases": biases.tolist(),
        "offsets": offsets.tolist(),
        "validation_score": score if math.isfinite(score) else None,
    }


def _history(records: list[dict[str, Any]]) -> str:
    lines = [",".join(("seed", *HISTORY))]
    for index, record in enumerate(records):
        lines += [",".join([str(index), *(_cell(epoch[name]) for name in HISTORY)]) for epoch in record["epochs"]]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    """A figure, or nothing where it is undefined."""
    return "" if value is None else f"{value:.9g}"
