"""Batches of rows of similar length: every row once, little padding, unchanged outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auscult.core.sections import Experiment
from auscult.models import architecture, names
from auscult.training.batches import batch_rows, frames_needed, random_batches, sorted_batches
from auscult.training.data import TrainingData, load
from auscult.training.loop import fit, predict
from tests.training.prepared_data import PARAMS, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    paths = prepare(tmp_path_factory.mktemp("prepared"))
    return load(paths, "demo", Experiment(task="sounds", features="logmel", model="cnn1d"))


def lengths(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(10, 251, count)


@pytest.mark.parametrize("count", [0, 1, 2, 64, 65, 513, 1000])
def test_every_row_occurs_once_and_no_batch_has_a_single_row(count: int) -> None:
    found = list(random_batches(lengths(count), 64, torch.Generator().manual_seed(1)))
    assert sorted(np.concatenate([*found, np.zeros(0, dtype=int)]).tolist()) == list(range(count))
    assert all(len(batch) > 1 for batch in found) or count == 1
    assert sorted(np.concatenate([*sorted_batches(lengths(count), 64), np.zeros(0, dtype=int)])) == list(range(count))


def test_there_is_less_padding_than_in_random_batches() -> None:
    valid = lengths(2000)

    def frames(batches: list[np.ndarray]) -> int:
        return sum(len(batch) * frames_needed(valid[batch], 251) for batch in batches)

    unsorted = np.split(np.random.default_rng(0).permutation(2000), range(64, 2000, 64))
    assert frames(list(random_batches(valid, 64, torch.Generator().manual_seed(1)))) < 0.75 * frames(unsorted)


def test_batches_differ_between_epochs() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (
        {frozenset(batch.tolist()) for batch in random_batches(lengths(256), 64, generator)} for _ in range(2)
    )
    assert not first & second


def test_batch_is_as_long_as_its_longest_row_rounded_up() -> None:
    assert frames_needed(np.array([3, 17]), 151) == 32
    assert frames_needed(np.array([150, 151]), 151) == 151


@pytest.mark.parametrize("model", names())
def test_outputs_do_not_depend_on_padding(model: str, data: TrainingData) -> None:
    network = architecture(model).build(*data.features.shape[1:], 3, architecture(model).DEFAULTS)
    rows = data.validation.rows
    network.eval()
    with torch.inference_mode():
        whole = network(torch.from_numpy(data.features[rows]), torch.from_numpy(data.valid[rows])).numpy()
    np.testing.assert_allclose(predict(network, data, rows), whole, atol=1e-5)


def test_kept_weights_reproduce_the_kept_logits(data: TrainingData) -> None:
    hyperparameters = architecture("cnn1d").DEFAULTS | {"use_synthetic": True}
    fitted = fit(data, "cnn1d", hyperparameters, PARAMS.model_copy(update={"epochs": 3}), seed=2)
    network = architecture("cnn1d").build(*data.features.shape[1:], 3, hyperparameters)
    network.load_state_dict(fitted.weights)
    np.testing.assert_array_equal(predict(network, data, data.validation.rows), fitted.logits)


def test_small_training_part_has_smaller_batches() -> None:
    assert batch_rows(4000, 64) == 64
    assert batch_rows(600, 64) == 20
    assert batch_rows(30, 64) == 8
    assert batch_rows(600, 4) == 4  # never more than requested
