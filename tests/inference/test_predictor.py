"""A prediction for an audio file uses every network of the model, its calibration and its decision offsets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from auscult.core.errors import DataError
from auscult.inference.predictor import predict
from auscult.training.trained_model import TrainedModel
from tests.monitoring.untrained import TASK, untrained
from tests.training.described import choices


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return four seconds of noise that becomes louder."""
    samples = np.random.default_rng(3).normal(size=32000) * np.linspace(0.01, 0.3, 32000)
    soundfile.write(tmp_path / "noise.wav", samples, 8000, subtype="PCM_16")
    return tmp_path / "noise.wav"


def changed(**chosen: Any) -> TrainedModel:
    """Return the model with another temperature, biases or offsets."""
    model = untrained()
    return TrainedModel(model.about | choices(TASK, **chosen), model._networks)


def test_offsets_decide_and_leave_the_probabilities(recording: Path) -> None:
    (plain,) = predict(untrained(), recording)
    for index, label in enumerate(("normal", "wheeze")):
        offsets = [0.0, 0.0]
        offsets[index] = 1000.0
        (moved,) = predict(changed(offsets=offsets), recording)
        assert moved.label == label
        np.testing.assert_array_equal(moved.probabilities, plain.probabilities)


def test_temperature_and_biases_change_the_probabilities(recording: Path) -> None:
    (plain,) = predict(untrained(), recording)
    (flat,) = predict(changed(temperature=1e6), recording)
    np.testing.assert_allclose(flat.probabilities, [0.5, 0.5], atol=1e-4)
    assert np.abs(plain.probabilities - 0.5).max() > 1e-3
    (biased,) = predict(changed(temperature=1e6, biases=[np.log(0.9), np.log(0.1)]), recording)
    np.testing.assert_allclose(biased.probabilities, [0.9, 0.1], atol=1e-4)


def test_the_whole_recording_is_the_mean_over_its_windows(recording: Path) -> None:
    model = untrained()
    (whole,) = predict(model, recording)
    parts = predict(model, recording, [(0.0, 2.0), (2.0, 4.0)])
    mean = np.mean([part.probabilities for part in parts], axis=0)
    np.testing.assert_allclose(whole.probabilities, mean, atol=1e-6)
    assert np.abs(parts[0].probabilities - parts[1].probabilities).max() > 1e-6


def test_the_networks_of_all_folds_are_averaged(recording: Path) -> None:
    one = untrained()
    flatter = one._networks[0]

    def other(x: NDArray[np.float32], valid: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.float32(0.5) * flatter(x, valid)

    folds = [one.about["folds"][0] | {"fold": fold} for fold in (0, 1)]
    (first,) = predict(one, recording)
    (second,) = predict(TrainedModel(one.about, [other]), recording)
    (both,) = predict(TrainedModel(one.about | {"folds": folds}, [one._networks[0], other]), recording)
    assert np.abs(first.probabilities - second.probabilities).max() > 1e-3
    np.testing.assert_allclose(both.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-6)


def test_an_interval_outside_the_recording_is_an_error(recording: Path) -> None:
    with pytest.raises(DataError):
        predict(untrained(), recording, [(6.0, 7.0)])
