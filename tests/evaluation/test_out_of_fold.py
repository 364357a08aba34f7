"""Nothing shown as out of fold was fitted on that patient: random labels of patients stay unpredictable.

Each patient has one class at random. Features, device and age tell who the patient is, and nothing about the class. Who
learned from a patient knows the class; who did not can only guess.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.storage import open_array
from auscult.evaluation import baselines
from auscult.evaluation.predictions import UnitPredictions, predict_units
from auscult.features.examples import array_path, examples
from auscult.features.functionals import summarise
from auscult.training.experiment import train_experiment
from auscult.training.score import icbhi_score
from auscult.training.trained_model import TrainedModel
from tests.training.prepared_data import TASK, prepare

#: Scores of guessing end here: 80 patients, with a standard deviation of 0.055 around 0.5.
DEVELOPMENT, CHANCE = 80, 0.62
#: Scores of a memory of the patients begin here.
MEMORY = 0.75


@pytest.fixture(scope="module")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, TrainedModel, UnitPredictions]:
    """Return a model that knows every patient it learned from, and the predictions of model and baselines."""
    root: Path = tmp_path_factory.mktemp("memorised")
    paths = prepare(
        root, patients=96, per_patient=3, synthetic=0, learnable=False, trials=1, epochs=8, spec_augment=False
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
        train_experiment(paths, "demo", parameters.load())
    torch.use_deterministic_algorithms(False)
    model = TrainedModel.load(paths.model("demo"))
    return paths, model, predict_units(paths, "logmel", model)


def score(y: np.ndarray, predicted: np.ndarray) -> float:
    return icbhi_score(y, predicted, TASK.normal_index)


@pytest.mark.parametrize("name", ["model", "constant", "metadata_only", "gradient_boosting"])
def test_labels_that_only_the_patient_knows_are_guessed_out_of_fold(
    memorised: tuple[Paths, TrainedModel, UnitPredictions], name: str
) -> None:
    _, _, units = memorised
    found = units.of_part("validation").predictions[name]
    assert len(found.y) == DEVELOPMENT * 3
    assert score(found.y, found.predicted) < CHANCE
    assert score(found.y, found.probabilities.argmax(axis=1)) < CHANCE
    true = found.probabilities[np.arange(len(found.y)), found.y]
    shares = np.bincount(found.y) / len(found.y)
    assert np.exp(np.log(true).mean()) < np.exp((shares * np.log(shares)).sum()) + 0.03, "no better than the shares"


def test_a_network_knows_the_patients_that_it_learned_from(
    memorised: tuple[Paths, TrainedModel, UnitPredictions],
) -> None:
    paths, model, _ = memorised
    rows = examples(paths, "logmel", TASK, parts=("development",))
    features, frames = np.load(array_path(paths, "logmel", TASK))[rows["row"]], rows["frames"].to_numpy()
    raw = model.raw(features, frames)
    y, fold = rows["class_index"].to_numpy(), rows["fold"].to_numpy()
    for number, held_out in enumerate(model.folds):
        seen = fold != held_out
        assert score(y[seen], raw[number][seen].argmax(axis=1)) > MEMORY
        assert score(y[~seen], raw[number][~seen].argmax(axis=1)) < CHANCE + 0.05


def test_baselines_know_the_patients_if_folds_divide_their_units(
    memorised: tuple[Paths, TrainedModel, UnitPredictions],
) -> None:
    """The data would be memorised: with folds by unit instead of by patient the same baselines score high."""
    paths, _, _ = memorised
    rows = examples(paths, "logmel", TASK, parts=("development",))
    y = rows["class_index"].to_numpy()
    divided = baselines.Units(TASK, y, np.arange(len(y)) % 4 % 3)
    array = open_array(array_path(paths, "logmel", TASK))
    statistics = summarise(array, rows["row"].to_numpy(), rows["frames"].to_numpy())
    assert score(y, baselines.gradient_boosting(divided, statistics).predicted) > MEMORY
    assert score(y, baselines.metadata_only(divided, rows).predicted) > MEMORY
