"""A model on disk predicts with every fold's network, and shows each patient what did not learn from the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from scipy.special import softmax

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.features.examples import examples
from auscult.models import cnn1d, is_network, load, names
from auscult.training.calibration import Calibration, fit_offsets
from auscult.training.data import TrainingData
from auscult.training.experiment import train_experiment
from auscult.training.loop import predict
from auscult.training.score import icbhi_score
from auscult.training.trained_model import TrainedModel
from tests.training.prepared_data import TASK, load_data, prepare

Trained = tuple[TrainedModel, Paths, TrainingData]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model of three folds that was trained for three epochs and read again, its data set and its data."""
    root = tmp_path_factory.mktemp("trained")
    paths = prepare(root, patients=36, trials=1, epochs=3)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)  # with an empty cache of finished trials
        monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
        train_experiment(paths, "demo", parameters.load())
    torch.use_deterministic_algorithms(False)
    return TrainedModel.load(paths.model("demo")), paths, load_data(paths)


def rows(paths: Paths) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, frames, folds and classes of the development part."""
    table = examples(paths, "logmel", TASK, parts=("development",))
    features = np.load(paths.features("logmel") / "segments.npy")[table["row"]]
    return features, table["frames"].to_numpy(), table["fold"].to_numpy(), table["class_index"].to_numpy()


def test_a_row_of_a_fold_is_computed_by_the_network_without_that_fold_alone(trained: Trained) -> None:
    model, paths, _ = trained
    features, frames, folds, _ = rows(paths)
    asked = np.where(np.arange(len(folds)) % 4 == 0, -1, folds)  # a quarter by all networks
    every, own = model.raw(features, frames), model.raw(features, frames, asked)
    for number, fold in enumerate(model.folds):
        computed = (asked < 0) | (asked == fold)
        np.testing.assert_allclose(own[number][computed], every[number][computed], atol=1e-6)
        assert np.isnan(own[number][~computed]).all() and not computed.all()


def test_the_probabilities_are_the_mean_of_the_calibrated_networks(trained: Trained) -> None:
    model, paths, _ = trained
    features, frames, *_ = rows(paths)
    raw = model.raw(features, frames)
    assert raw.shape == (3, len(features), 3)
    assert np.abs(raw[0] - raw[1]).max() > 0.01, "two folds are two networks"
    about = model.about["calibration"]
    assert about["temperature"] != 1.0 and np.abs(about["biases"]).max() > 0.01, "or the test shows nothing"
    expected = softmax(np.log(raw) / about["temperature"] + np.array(about["biases"]), axis=2).mean(axis=0)
    np.testing.assert_allclose(model.probabilities(features, frames), expected, atol=1e-9)


def test_the_rows_of_a_unit_are_pooled_before_calibration(trained: Trained) -> None:
    model, paths, _ = trained
    features, frames = (each[:6] for each in rows(paths)[:2])
    units = np.array([0, 0, 1, 1, 1, 2])
    raw = model.raw(features, frames)
    pooled = np.stack([[each[units == unit].mean(axis=0) for unit in range(3)] for each in raw])
    expected = np.mean([model.fitted.calibration.apply(each) for each in pooled], axis=0)
    np.testing.assert_allclose(model.probabilities(features, frames, units), expected, atol=1e-9)


def test_each_network_reads_features_as_it_did_in_training(trained: Trained) -> None:
    model, paths, data = trained
    features, frames, fold, _ = rows(paths)
    raw = model.raw(features, frames)
    for number, held_out in enumerate(model.folds):
        part = data.without(held_out)
        network = cnn1d.build(*model.shape, 3, model.about["hyperparameters"])
        weights = paths.model("demo") / "weights" / model.about["folds"][number]["file"]
        network.load_state_dict(load_file(weights))
        prior = part.log_prior(part.training_rows(bool(model.about["hyperparameters"]["use_synthetic"])))
        logits = predict(network, part, part.held_out.rows) + prior
        np.testing.assert_allclose(raw[number][fold == held_out], softmax(logits.astype(float), axis=1), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in names() if not is_network(load(name))])
def test_a_model_that_is_no_network_gives_its_out_of_fold_predictions_from_its_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
    paths = prepare(tmp_path, trials=2)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["experiments"]["demo"]["model"] = name
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    train_experiment(paths, "demo", parameters.load())
    model = TrainedModel.load(paths.model("demo"))
    features, frames, fold, target = rows(paths)
    raw_probabilities = model.raw(features, frames)
    own = fold >= 0
    _, decided = model.out_of_fold([each[own] for each in raw_probabilities], fold[own])
    assert icbhi_score(target[own], decided, TASK.normal_index) == pytest.approx(model.about["out_of_fold_score"])
    assert model.about["out_of_fold_score"] > 0.7


def test_calibration_and_offsets_of_a_fold_are_fitted_on_units_of_the_other_folds(trained: Trained) -> None:
    model, paths, _ = trained
    features, frames, fold, target = rows(paths)
    raw = model.raw(features, frames)
    out_of_fold = np.select([(fold == k)[:, None] for k in model.folds], list(raw))
    entries = [(fold >= 0, model.about)] + [(fold != entry["fold"], entry) for entry in model.about["folds"]]
    for others, entry in entries:
        calibration = Calibration.fit(out_of_fold[others], target[others])
        assert entry["calibration"]["temperature"] == pytest.approx(calibration.temperature, abs=1e-4)
        np.testing.assert_allclose(entry["calibration"]["biases"], calibration.biases, atol=1e-4)
        offsets = fit_offsets(calibration.apply(out_of_fold[others]), target[others], TASK.normal_index)
        np.testing.assert_allclose(entry["decision"]["offsets"], offsets, atol=1e-3)
    temperatures = {entry["calibration"]["temperature"] for _, entry in entries}
    assert len(temperatures) == 4, "or the test shows nothing"


def test_a_unit_of_the_development_part_is_shown_what_its_own_fold_did_not_teach(trained: Trained) -> None:
    model, paths, _ = trained
    features, frames, fold, target = rows(paths)
    raw = list(model.raw(features, frames))
    probabilities, decided = model.out_of_fold(raw, fold)
    for number, entry in enumerate(model.about["folds"]):
        own = fold == entry["fold"]
        expected = Calibration.from_json(entry["calibration"]).apply(raw[number][own])
        np.testing.assert_allclose(probabilities[own], expected, atol=1e-12)
        raw[number][~own] = np.nan  # what a network says of patients that it learned from is never read
    again, decided_again = model.out_of_fold(raw, fold)
    np.testing.assert_array_equal(again, probabilities)
    np.testing.assert_array_equal(decided_again, decided)
    assert icbhi_score(target, decided, TASK.normal_index) == pytest.approx(model.about["out_of_fold_score"], abs=1e-9)


def test_the_decision_and_not_the_probabilities_change_with_the_offsets(trained: Trained) -> None:
    model, paths, _ = trained
    decision = model.about["decision"] | {"rule": "score", "offsets": [0.0, 1000.0, 0.0]}
    moved = TrainedModel(model.about | {"decision": decision}, model._networks)
    features, frames, *_ = rows(paths)
    probabilities = moved.probabilities(features, frames)
    np.testing.assert_array_equal(probabilities, model.probabilities(features, frames))
    assert set(moved.decide(probabilities)) == {1}


def test_the_description_lists_whom_the_model_learned_from(trained: Trained) -> None:
    model, _, data = trained
    assert len(model.about["learned_from"]) == len(set(model.about["learned_from"])) == len(data.patients) == 30
