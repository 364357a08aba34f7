"""A model on disk predicts with every seed's network, its temperature, its biases and its decision offsets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from auscult.core.paths import Paths
from auscult.core.sections import Experiment
from auscult.features.examples import examples, pool_units
from auscult.models import cnn1d
from auscult.training.calibration import fit_offsets
from auscult.training.data import TrainingData, load
from auscult.training.experiment import write_model
from auscult.training.score import icbhi_score
from auscult.training.search import Search
from auscult.training.trained_model import TrainedModel
from tests.training.prepared_data import PARAMS, TASK, prepare

SEEDS = ("trial-0000", "trial-0000-seed-1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Paths, TrainingData]:
    """Return a model of two seeds that was trained for two epochs and read again, its data set and its data."""
    root = tmp_path_factory.mktemp("trained")
    paths = prepare(root, patients=36)
    data = load(paths, "demo", Experiment(task="sounds", features="logmel", model="cnn1d"))
    search = Search("demo", data, "cnn1d", PARAMS.model_copy(update={"epochs": 2, "seeds": 2}))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)  # with an empty cache of finished trials
        hyperparameters = cnn1d.DEFAULTS | {"use_synthetic": True}
        for seed, name in enumerate(SEEDS):
            search._train(name, {"number": 0, "hyperparameters": hyperparameters, "seed": seed}, [])
        write_model(root / "model", "sample", search, [], list(SEEDS))
    torch.use_deterministic_algorithms(False)
    return TrainedModel.load(root / "model"), paths, data


def validation_rows(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    rows = examples(paths, "logmel", TASK, parts=("validation",))
    features = np.load(paths.features("logmel") / "segments.npy")[rows["row"]]
    return features.astype(np.float32), rows["frames"].to_numpy()


def test_the_probabilities_are_the_mean_of_the_seeds_at_temperature_and_biases(
    trained: tuple[TrainedModel, Paths, TrainingData],
) -> None:
    model, paths, _ = trained
    features, frames = validation_rows(paths)
    logits = model.logits(features, frames)
    assert logits.shape[0] == 2
    assert np.abs(logits[0] - logits[1]).max() > 0.01, "two seeds are two networks"
    about = model.about
    assert about["temperature"] != 1.0 and np.abs(about["biases"]).max() > 0.1, "or the test shows nothing"
    expected = softmax(logits / about["temperature"] + np.array(about["biases"]), axis=2).mean(axis=0)
    np.testing.assert_allclose(model.probabilities(features, frames), expected, atol=1e-9)


def test_the_decisions_are_those_whose_validation_score_is_recorded(
    trained: tuple[TrainedModel, Paths, TrainingData],
) -> None:
    model, paths, data = trained
    rows = examples(paths, "logmel", TASK, parts=("validation",))
    units, pooled = pool_units(rows, model.probabilities(*validation_rows(paths)))
    target = units["class_index"].to_numpy()
    offsets = fit_offsets(pooled, target, TASK.normal_index)
    np.testing.assert_allclose(model.offsets, offsets, atol=1e-6)
    assert np.abs(offsets).max() > 0.0, "or the test shows nothing"
    decided = model.decide(pooled)
    assert icbhi_score(target, decided, TASK.normal_index) == pytest.approx(model.about["validation_score"], abs=1e-9)
    np.testing.assert_array_equal(decided, (np.log(pooled) + offsets).argmax(axis=1))
    assert target.tolist() == data.validation.target.tolist()


def test_an_offset_changes_the_decision_and_not_the_probabilities(
    trained: tuple[TrainedModel, Paths, TrainingData],
) -> None:
    model, paths, _ = trained
    moved = TrainedModel(model.about | {"offsets": [0.0, 1000.0, 0.0]}, model._networks)
    features, frames = validation_rows(paths)
    probabilities = moved.probabilities(features, frames)
    np.testing.assert_array_equal(probabilities, model.probabilities(features, frames))
    assert set(moved.decide(probabilities)) == {1}


def test_the_description_lists_whom_the_model_learned_from(trained: tuple[TrainedModel, Paths, TrainingData]) -> None:
    model, _, data = trained
    assert len(model.about["learned_from"]) == len(set(model.about["learned_from"])) == len(data.patients) == 30
