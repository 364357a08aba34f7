"""The training loop: which epoch it keeps, when it stops, its learning rate, and the effect of its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from auscult.models import cnn1d
from auscult.training import loop
from auscult.training.batches import BIN_SHARE, TIME_SHARE, spec_augment
from auscult.training.data import FoldData
from tests.training.prepared_data import PARAMS, load_data, prepare

HYPERPARAMETERS = cnn1d.DEFAULTS | {"use_synthetic": False}
SCORES = [0.6, 0.8, 0.7, 0.75, 0.9]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> FoldData:
    return load_data(prepare(tmp_path_factory.mktemp("prepared"))).without(0)


@pytest.fixture(autouse=True)
def _restore_determinism() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


def fit(data: FoldData, *, epochs_to_keep: int | None = None, **changed: Any) -> loop.Fitted:
    params = PARAMS.model_copy(update={"epochs": 5} | changed)
    return loop.fit(data, "cnn1d", HYPERPARAMETERS, params, seed=3, epochs=epochs_to_keep)


def measure(monkeypatch: pytest.MonkeyPatch, scores: list[float], losses: list[float] | None = None) -> None:
    """Replace the results of validation, epoch by epoch."""
    results = zip(scores, losses or [1.0] * len(scores), strict=True)

    def validate(*_: object) -> dict[str, float]:
        score, loss = next(results)
        return {"validation_loss": loss, "validation_accuracy": 0.5, "validation_score": score}

    monkeypatch.setattr(loop, "validate", validate)


def equal(first: loop.Fitted, second: loop.Fitted) -> bool:
    return all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())


def test_without_patience_the_last_epoch_is_kept_whatever_the_scores(
    data: FoldData, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = fit(data)
    measure(monkeypatch, [0.9, 0.2, 0.1, 0.1, 0.3])
    fitted = fit(data)
    assert [entry["epoch"] for entry in fitted.history] == [1, 2, 3, 4, 5]
    assert (fitted.epochs, fitted.score, fitted.rank) == (5, 0.3, 0.3)
    assert equal(fitted, undisturbed)


def test_with_patience_the_best_epoch_is_kept_and_the_training_ends(
    data: FoldData, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(monkeypatch, SCORES)
    fitted = fit(data, patience=2)
    assert [entry["epoch"] for entry in fitted.history] == [1, 2, 3, 4], "two epochs without a better one"
    assert (fitted.epochs, fitted.score) == (2, 0.8)
    measure(monkeypatch, SCORES)
    assert fit(data, patience=3).epochs == 5


def test_an_epoch_that_another_fold_chose_is_kept_whatever_the_scores(
    data: FoldData, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(monkeypatch, SCORES)
    chosen = fit(data, patience=2)
    for scores in ([0.9, 0.1], [0.1, 0.9]):
        measure(monkeypatch, scores)
        fitted = fit(data, patience=2, epochs_to_keep=chosen.epochs)
        assert [entry["epoch"] for entry in fitted.history] == [1, 2] and fitted.epochs == 2
        assert equal(fitted, chosen), "the same weights as in a training that chose the epoch itself"
        assert fitted.score == scores[1]


def test_the_learning_rate_rises_and_falls_once(data: FoldData) -> None:
    rates = [entry["learning_rate"] for entry in fit(data, epochs=10).history]
    highest = float(HYPERPARAMETERS["learning_rate"])
    peak = int(np.argmax(rates))
    assert 0 < peak < 5, "it rises in the first half"
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0.5 * highest < max(rates) <= highest
    assert rates[-1] < 0.01 * highest


def test_loss_that_is_not_finite_fails_the_training(data: FoldData, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, [0.6, 0.6], [1.0, math.nan])
    fitted = fit(data)
    assert fitted.state == "failed" and "epoch 2" in fitted.detail


def test_a_training_can_be_ended_after_any_epoch(data: FoldData) -> None:
    fitted = loop.fit(data, "cnn1d", HYPERPARAMETERS, PARAMS, 3, stop_early=lambda entry: entry["epoch"] == 2)
    assert fitted.state == "pruned" and len(fitted.history) == 2


def test_masks_can_be_switched_off(data: FoldData) -> None:
    on, off = fit(data, epochs=1), fit(data, epochs=1, spec_augment=False)
    assert on.history[0]["train_loss"] != off.history[0]["train_loss"]


def test_synthetic_rows_change_the_training(data: FoldData) -> None:
    params = PARAMS.model_copy(update={"epochs": 1})
    with_synthetic = HYPERPARAMETERS | {"use_synthetic": True}
    losses = [
        loop.fit(data, "cnn1d", each, params, seed=3).history[0]["train_loss"]
        for each in (HYPERPARAMETERS, with_synthetic)
    ]
    assert losses[0] != losses[1]


def test_the_network_learns_how_likely_the_features_are_and_not_how_frequent_the_class_is(data: FoldData) -> None:
    """Without the log-prior, outputs for features that show no class favour the frequent class."""
    fitted = fit(data, epochs=8)
    network = cnn1d.build(*data.data.features.shape[1:], 3, HYPERPARAMETERS)
    network.load_state_dict(fitted.weights)
    prior = data.log_prior(data.training_rows(use_synthetic=False))
    own = loop.predict(network, data, data.held_out.rows)
    np.testing.assert_allclose(fitted.logits - own, np.broadcast_to(prior, own.shape), atol=1e-5)
    assert prior.max() - prior.min() > 0.2, "or the test shows nothing"
    # With the prior every class is called about as often as it occurs.
    shares = np.bincount(fitted.logits.argmax(axis=1), minlength=3) / len(own)
    expected = np.bincount(data.held_out.target, minlength=3) / len(own)
    assert np.abs(shares - expected).max() < 0.2


def test_masks_cover_an_interval_of_frames_and_a_band_of_bins() -> None:
    count, bins, frames = 200, 40, 100
    x = torch.ones(count, bins, frames)
    masked = spec_augment(x, torch.Generator().manual_seed(0))
    again = spec_augment(x, torch.Generator().manual_seed(0))
    assert torch.equal(masked, again)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    hidden_frames, hidden_bins = (masked == 0).all(dim=1), (masked == 0).all(dim=2)
    for row in range(count):
        at = hidden_frames[row].nonzero().flatten()
        if len(at):
            assert len(at) == int(at[-1] - at[0]) + 1 <= math.ceil(TIME_SHARE * frames)
        band = hidden_bins[row].nonzero().flatten()
        if len(band):
            assert len(band) == int(band[-1] - band[0]) + 1 <= math.ceil(BIN_SHARE * bins)
    assert hidden_frames.any(dim=1).float().mean() > 0.8
    assert hidden_bins.any(dim=1).float().mean() > 0.7
