"""A small report whose predictions are drawn, so that no network is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from auscult.core.cohorts import COHORTS
from auscult.core.paths import Paths
from auscult.core.tasks import Task
from auscult.evaluation.baselines import TITLES
from auscult.evaluation.metrics import Predictions
from auscult.evaluation.predictions import DECIMALS, MODEL, UnitPredictions
from auscult.features.examples import examples, units_of
from auscult.training.trained_model import TrainedModel
from tests.evaluation.finished_pipeline import write_pipeline

BINARY, SOUNDS = "binary_logmel_cnn2d", "sounds_logmel_cnn2d"
RESAMPLES = 40


def predict_units(paths: Paths, representation: str, model: TrainedModel) -> UnitPredictions:
    """Return drawn predictions for the units of a pipeline, in place of those of a model and of baselines."""
    rng = np.random.default_rng(4)
    rows = examples(paths, representation, model.task)
    table, _ = units_of(rows[rows["copy"] == "original"].reset_index(drop=True))
    table = table.assign(part=table["part"].replace("development", "validation"))
    y, patients = table["class_index"].to_numpy(np.int64), table["patient_id"].to_numpy(object)
    found = {name: drawn(rng, model.task, y, patients) for name in (MODEL, *TITLES)}
    shares = np.bincount(y, minlength=len(model.task.classes)) / len(y)
    constant = Predictions(model.task, y, np.zeros_like(y), np.tile(shares.round(DECIMALS), (len(y), 1)), patients)
    cohorts = {kind: drawn(rng, model.task, y, patients) for kind in COHORTS}
    by_patient = pd.Series(patients).map(dict.fromkeys(patients, 0) | dict.fromkeys(patients[::3], 1))
    recording = model.task.unit == "recording"
    return UnitPredictions(
        table, found | {"constant": constant}, cohorts, by_patient.to_numpy(np.int64) if recording else None
    )


def drawn(rng: np.random.Generator, task: Task, y: np.ndarray, patients: np.ndarray) -> Predictions:
    """Return predictions of which about two thirds are right; some probabilities are equal."""
    classes = len(task.classes)
    probabilities = rng.dirichlet(np.ones(classes), len(y)) + np.eye(classes)[y] * rng.integers(0, 2, (len(y), 1))
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    probabilities[::7] = np.full(classes, 1 / classes)
    probabilities[::7, 0] += 0.01
    probabilities[::7, 1] -= 0.01
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities.round(DECIMALS), patients)


def write_report(root: Path) -> Paths:
    """Write a pipeline below *root*, the current directory, with two experiments evaluated, and its report."""
    from stages import evaluate, report

    paths = write_pipeline(root, bootstrap=RESAMPLES)
    raw = yaml.safe_load((root / "params.yaml").read_text())
    raw["experiments"] = {name: raw["experiments"][name] for name in (BINARY, SOUNDS)}
    raw["report"]["examples"] = 0
    (root / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    (root / "dvc.yaml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auscult.evaluation.evaluate.predict_units", predict_units)
        for name in (BINARY, SOUNDS):
            patch.setattr("sys.argv", ["evaluate", name])
            evaluate.main()
        report.main()
    return paths
