"""The description of a model that was never trained, as ``train`` would write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auscult.core.digests import file_sha256
from auscult.core.tasks import Task
from auscult.training.calibration import Calibration
from auscult.training.decision import RULES, Decision, Fitted
from auscult.training.normaliser import Normaliser
from auscult.training.trained_model import FORMAT


def choices(
    task: Task, *, temperature: float = 1.0, biases: Sequence[float] = (), offsets: Sequence[float] = ()
) -> dict[str, Any]:
    """Return calibration and decision as they stand in ``model.json``; they change nothing unless asked to."""
    zero = np.zeros(len(task.classes))
    calibration = Calibration(temperature, np.array(biases) if biases else zero)
    shares = np.full(len(zero), 1 / len(zero))
    decision = Decision("score", task.normal_index, np.array(offsets) if offsets else zero, 0.5, shares)
    return Fitted(calibration, decision).to_json()


def fold_entry(task: Task, fold: int, weights: Path | None, normaliser: Normaliser) -> dict[str, Any]:
    """Return the entry of a fold in ``model.json``; without *weights* it names no file."""
    file = {} if weights is None else {"file": weights.name, "sha256": file_sha256(weights)}
    about = {"fold": fold, **file, "epochs": 2, "score": 0.6, "normaliser": normaliser.to_json()}
    return about | {"log_prior": [0.0] * len(task.classes), **choices(task)}


def about_model(
    task: Task, spec: dict[str, Any], shape: tuple[int, int], folds: list[dict[str, Any]], **others: Any
) -> dict[str, Any]:
    """Return the content of ``model.json`` for features of *shape* (bins, frames)."""
    about = {"format": FORMAT, "dataset": "sample", "task": task.to_json(), "spec": spec}
    about |= {"bins": shape[0], "frames": shape[1], "piece": shape[1], **choices(task)}
    about["rules"] = {rule: {"out_of_fold": 0.6, "worst_cohort": None, "cohort": None} for rule in RULES}
    return about | {"learned_from": [], "out_of_fold_score": 0.6, "folds": folds, **others}
