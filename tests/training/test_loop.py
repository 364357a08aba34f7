"""The training loop: when it stops, which epoch it keeps, and the effect of its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from auscult.core.sections import Experiment
from auscult.models import cnn1d
from auscult.training import loop
from auscult.training.batches import BIN_SHARE, TIME_SHARE, spec_augment
from auscult.training.data import TrainingData, load
from tests.training.prepared_data import PARAMS, prepare

HYPERPARAMETERS = cnn1d.DEFAULTS | {"use_synthetic": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    paths = prepare(tmp_path_factory.mktemp("prepared"))
    return load(paths, "demo", Experiment(task="sounds", features="logmel", model="cnn1d"))


@pytest.fixture(autouse=True)
def _restore_determinism() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


def fit(data: TrainingData, **changed: Any) -> loop.Fitted:
    return loop.fit(data, "cnn1d", HYPERPARAMETERS, PARAMS.model_copy(update=changed), seed=3)


def measure(monkeypatch: pytest.MonkeyPatch, scores: list[float], losses: list[float] | None = None) -> None:
    """Replace the results of validation, epoch by epoch."""
    results = zip(scores, losses or [1.0] * len(scores), strict=True)

    def validate(*_: object) -> dict[str, float]:
        score, loss = next(results)
        return {"validation_loss": loss, "validation_accuracy": 0.5, "validation_score": score}

    monkeypatch.setattr(loop, "validate", validate)


def test_best_epoch_is_kept_and_patience_ends_the_training(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, [0.6, 0.8, 0.7, 0.75, 0.9])
    fitted = fit(data)
    assert [entry["epoch"] for entry in fitted.history] == [1, 2, 3, 4], "two epochs without a better one"
    assert (fitted.best_epoch, fitted.score) == (2, 0.8)
    monkeypatch.undo()
    stopped = fit(data, epochs=2, patience=9)
    last = fit(data, epochs=1)
    measure(monkeypatch, [0.1, 0.2])
    second = fit(data, epochs=2)
    assert all(torch.equal(value, second.weights[name]) for name, value in fitted.weights.items())
    assert stopped.history[0]["train_loss"] == fitted.history[0]["train_loss"]
    assert any(not torch.equal(value, last.weights[name]) for name, value in fitted.weights.items())


def test_of_equal_scores_the_lower_loss_wins(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, [0.7, 0.7, 0.7], [1.0, 0.8, 0.9])
    assert fit(data, epochs=3).best_epoch == 2


def test_learning_rate_falls_when_the_loss_does_not(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [0.5 + 0.01 * n for n in range(6)]  # the score rises, so patience does not end the training
    measure(monkeypatch, scores, [1.0] * 6)
    rates = [entry["learning_rate"] for entry in fit(data, epochs=6).history]
    full = float(HYPERPARAMETERS["learning_rate"])
    np.testing.assert_allclose(rates, [full] * 4 + [full * loop.PLATEAU_FACTOR] * 2)
    measure(monkeypatch, scores, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    rates = [entry["learning_rate"] for entry in fit(data, epochs=6).history]
    np.testing.assert_allclose(rates, full)


def test_loss_that_is_not_finite_fails_the_training(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, [0.6, 0.6], [1.0, math.nan])
    fitted = fit(data)
    assert fitted.state == "failed" and "epoch 2" in fitted.detail


@pytest.mark.parametrize("parameter", ["spec_augment", "class_weights"])
def test_each_switch_changes_the_training(data: TrainingData, parameter: str) -> None:
    on, off = fit(data, epochs=1), fit(data, epochs=1, **{parameter: False})
    assert on.history[0]["train_loss"] != off.history[0]["train_loss"]


def test_the_kept_weights_are_a_moving_average_over_the_steps(data: TrainingData) -> None:
    kept = fit(data, epochs=1).weights
    torch.manual_seed(3)
    network = cnn1d.build(*data.features.shape[1:], 3, HYPERPARAMETERS)
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=float(HYPERPARAMETERS["learning_rate"]), weight_decay=loop.WEIGHT_DECAY
    )
    rows = data.training_rows(use_synthetic=False)
    weights = loop.class_weights(rows.target, 3)
    loop.train_epoch(network, data, rows, optimiser, weights, PARAMS, torch.Generator().manual_seed(3))
    last = {name: value.detach() for name, value in network.named_parameters()}
    moved = sum(float((last[name] - start[name]).abs().sum()) for name in start)
    behind = sum(float((last[name] - kept[name]).abs().sum()) for name in start)
    assert 0.05 * moved < behind < moved


def test_synthetic_rows_change_the_training(data: TrainingData) -> None:
    params = PARAMS.model_copy(update={"epochs": 1})
    with_synthetic = HYPERPARAMETERS | {"use_synthetic": True}
    losses = [
        loop.fit(data, "cnn1d", each, params, seed=3).history[0]["train_loss"]
        for each in (HYPERPARAMETERS, with_synthetic)
    ]
    assert losses[0] != losses[1]


def test_class_weights_favour_rare_classes_and_have_mean_one() -> None:
    target = np.repeat([0, 1, 2], [90, 9, 1])
    weights = loop.class_weights(target, 3)
    assert weights.tolist() == sorted(weights.tolist())
    assert float(weights[target].mean()) == pytest.approx(1)
    assert float(weights[1] / weights[0]) == pytest.approx(math.sqrt(10))


def test_masks_cover_an_interval_of_valid_frames_and_a_band_of_bins() -> None:
    count, bins, frames = 200, 40, 100
    x = torch.ones(count, bins, frames)
    valid = torch.randint(20, frames + 1, (count,), generator=torch.Generator().manual_seed(1))
    masked = spec_augment(x, valid, torch.Generator().manual_seed(0))
    again = spec_augment(x, valid, torch.Generator().manual_seed(0))
    assert torch.equal(masked, again)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    hidden_frames, hidden_bins = (masked == 0).all(dim=1), (masked == 0).all(dim=2)
    for row in range(count):
        at = hidden_frames[row].nonzero().flatten()
        if len(at):
            assert int(at[-1]) < int(valid[row]), "the interval ends before the padding"
            assert len(at) == int(at[-1] - at[0]) + 1 <= math.ceil(TIME_SHARE * int(valid[row]))
        band = hidden_bins[row].nonzero().flatten()
        if len(band):
            assert len(band) == int(band[-1] - band[0]) + 1 <= math.ceil(BIN_SHARE * bins)
    assert hidden_frames.any(dim=1).float().mean() > 0.8
    assert hidden_bins.any(dim=1).float().mean() > 0.7
