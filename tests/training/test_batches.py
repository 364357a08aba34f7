"""Batches hold every row once; pieces of rows in training, whole rows elsewhere, and padding that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auscult.models import architecture, is_network, load, names
from auscult.training.batches import batch_count, batch_rows, random_batches, random_pieces, sorted_batches, whole_rows
from auscult.training.data import FoldData
from auscult.training.loop import fit, predict
from tests.training.prepared_data import PARAMS, PIECE, load_data, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> FoldData:
    return load_data(prepare(tmp_path_factory.mktemp("prepared"))).without(1)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 2, 64, 65, 66, 513, 1000])
def test_every_row_occurs_once_and_no_batch_has_a_single_row(count: int) -> None:
    found = list(random_batches(count, 64, seeded()))
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    assert len(found) == batch_count(count, 64), "the schedule of the learning rate counts on it"
    assert all(len(batch) > 1 for batch in found) or count == 1
    lengths = np.random.default_rng(count).integers(10, 251, count)
    assert sorted(np.concatenate(list(sorted_batches(lengths, 64)))) == list(range(count))


def test_batches_differ_between_epochs() -> None:
    generator = seeded()
    first, second = ({frozenset(batch.tolist()) for batch in random_batches(256, 64, generator)} for _ in range(2))
    assert not first & second


#: Rows of 30 frames whose values are the numbers of the frames; the first is long, the second short.
NUMBERED, VALID = np.tile(np.arange(30, dtype=np.float32), (2, 3, 1)), np.array([25, 4])


def test_a_piece_of_a_longer_row_is_an_interval_of_its_valid_frames_and_a_shorter_row_is_repeated() -> None:
    starts = set()
    for seed in range(200):
        long, short = random_pieces(NUMBERED, VALID, 10, seeded(seed))
        start = int(long[0, 0])
        assert long.shape == (3, 10) and (long == np.arange(start, start + 10)).all()
        starts.add(start)
        first = int(short[0, 0])
        assert (short == (first + np.arange(10)) % 4).all()
    assert starts == set(range(16)), "every start that fits, and none that reads padding"


def test_whole_rows_keep_all_valid_frames_and_repeat_short_rows() -> None:
    rows, frames = whole_rows(NUMBERED, VALID, 10)
    assert frames.tolist() == [25, 10]
    assert (rows[0, :, :25] == np.arange(25)).all()
    assert (rows[1, :, :10] == np.arange(10) % 4).all()


@pytest.mark.parametrize("model", [name for name in names() if is_network(load(name))])
def test_outputs_of_a_batch_are_those_of_each_row_alone(model: str, data: FoldData) -> None:
    network = architecture(model).build(*data.data.features.shape[1:], 3, architecture(model).DEFAULTS)
    rows = data.held_out.rows
    together = predict(network, data, rows)
    alone = [predict(network, data, rows[[n]])[0] for n in range(len(rows))]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(together, axis=0).max() > 1e-3


def test_kept_weights_reproduce_the_kept_logits(data: FoldData) -> None:
    hyperparameters = architecture("cnn1d").DEFAULTS | {"use_synthetic": True}
    fitted = fit(data, "cnn1d", hyperparameters, PARAMS.model_copy(update={"epochs": 3}), seed=2)
    network = architecture("cnn1d").build(*data.data.features.shape[1:], 3, hyperparameters)
    network.load_state_dict(fitted.weights)
    logits = predict(network, data, data.held_out.rows) + data.log_prior(data.training_rows(use_synthetic=True))
    np.testing.assert_array_equal(logits, fitted.logits)


def test_training_reads_pieces_of_the_length_that_the_parameters_give(data: FoldData) -> None:
    assert data.data.piece == PIECE == round(PARAMS.piece_s.segment * 100 / 10)


def test_small_training_part_has_smaller_batches() -> None:
    assert batch_rows(4000, 64) == 64
    assert batch_rows(600, 64) == 20
    assert batch_rows(30, 64) == 8
    assert batch_rows(600, 4) == 4  # never more than requested
