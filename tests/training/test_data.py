"""What a training learns from: which rows fit the normaliser, whose patients count, and each row's class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.core.paths import Paths
from auscult.core.records import ITEM_COLUMNS
from auscult.core.sections import Experiment
from auscult.core.storage import read_table, write_table
from auscult.training.data import TrainingData, Validation, load
from auscult.training.loop import assemble
from tests.training.prepared_data import prepare

EXPERIMENT = Experiment(task="sounds", features="logmel", model="cnn1d")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def data(paths: Paths) -> TrainingData:
    return load(paths, "demo", EXPERIMENT)


def part_of_items(paths: Paths) -> pd.Series:
    items = read_table(paths.features("logmel") / "segments.parquet")
    assignment = read_table(paths.split / "assignment.parquet").set_index("recording_id")["part"]
    return items["recording_id"].map(assignment)


def test_the_normaliser_is_fitted_on_original_training_rows_only(tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    items = read_table(paths.features("logmel") / "segments.parquet")
    features = np.load(paths.features("logmel") / "segments.npy")
    train = (part_of_items(paths) == "train").to_numpy()
    features[~train] += 50.0  # validation and test are louder
    copies = items[train].assign(copy="noise")
    np.save(paths.features("logmel") / "segments.npy", np.concatenate([features, features[train] - 90.0]))
    write_table(paths.features("logmel") / "segments.parquet", pd.concat([items, copies]), ITEM_COLUMNS)

    normaliser = load(paths, "demo", EXPERIMENT).normaliser
    valid = np.arange(features.shape[2]) < items["frames"].to_numpy()[:, None]
    inside = features.transpose(0, 2, 1)[valid & train[:, None]]
    np.testing.assert_allclose(normaliser.mean, inside.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(normaliser.std, inside.std(axis=0), atol=1e-3)


def test_a_model_learns_from_the_patients_of_training_and_validation(paths: Paths, data: TrainingData) -> None:
    assignment = read_table(paths.split / "assignment.parquet")
    expected = assignment.loc[assignment["part"].isin(["train", "validation"]), "patient_id"]
    assert data.patients == tuple(sorted(expected))
    assert len(data.patients) < assignment["patient_id"].nunique()


def test_every_row_has_the_class_that_its_features_show(data: TrainingData) -> None:
    def shown(row: int) -> int:
        block = data.features[row, :, : data.valid[row]]
        bands = np.array([0.5, block[2:5].mean(), block[7:10].mean()])  # a raised band is about one deviation above
        return int(bands.argmax())

    held_out = data.validation
    for found, target in (
        ([shown(row) for row in data.originals.first], data.originals.target),
        ([shown(row) for row in held_out.rows], held_out.target[held_out.units]),
    ):
        assert (np.array(found) == target).mean() > 0.9
        assert (np.roll(found, 1) == target).mean() < 0.7


def test_synthetic_rows_follow_the_originals_and_lie_between_their_parents(data: TrainingData) -> None:
    originals, synthetic = len(data.originals), len(data.synthetic)
    rows = data.training_rows(use_synthetic=True)
    assert len(data.training_rows(use_synthetic=False)) == originals
    assert len(rows) == originals + synthetic == originals + 12
    made = rows.take(np.arange(originals, len(rows)))
    x, _, target = assemble(data, made)
    first, second = data.features[made.first], data.features[made.second]
    expected = first + made.step[:, None, None] * (second - first)
    np.testing.assert_allclose(x.numpy(), expected[:, :, : x.shape[2]], atol=1e-6)
    assert np.abs(x.numpy() - first[:, :, : x.shape[2]]).max() > 0.5
    assert set(target.tolist()) == {2}


def test_assembling_changes_no_feature(data: TrainingData) -> None:
    before = data.features.copy()
    assemble(data, data.training_rows(use_synthetic=True))
    np.testing.assert_array_equal(data.features, before)


def test_the_windows_of_a_unit_are_pooled_by_their_mean() -> None:
    held_out = Validation(np.arange(3), np.array([0, 0, 1]), np.array([0, 1]))
    pooled = held_out.pool(np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7]]))
    np.testing.assert_allclose(pooled, [[0.5, 0.5], [0.3, 0.7]])
