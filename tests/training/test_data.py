"""What the model of a fold learns from: which rows fit the normaliser, whose patients count, and each row's class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from auscult.core.errors import DataError, LeakError
from auscult.core.paths import Paths
from auscult.core.records import BALANCED_COLUMNS, ITEM_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import read_table, write_table
from auscult.training.data import HeldOut, TrainingData
from auscult.training.loop import assemble
from tests.training.prepared_data import PIECE, load_data, prepare

FOLDS = (0, 1, 2)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def data(paths: Paths) -> TrainingData:
    return load_data(paths)


def fold_of_items(paths: Paths) -> np.ndarray:
    """Fold of each row of the feature array; -1 for the test part."""
    items = read_table(paths.features("logmel") / "segments.parquet")
    assignment = read_table(paths.split / "assignment.parquet").set_index("recording_id")["fold"]
    return items["recording_id"].map(assignment).to_numpy()


@pytest.mark.parametrize("fold", FOLDS)
def test_the_normaliser_is_fitted_on_originals_of_the_other_folds_only(tmp_path: Path, fold: int) -> None:
    paths = prepare(tmp_path)
    items = read_table(paths.features("logmel") / "segments.parquet")
    features = np.load(paths.features("logmel") / "segments.npy")
    of_row = fold_of_items(paths)
    train = (of_row >= 0) & (of_row != fold)
    features[~train] += 50.0  # the held-out fold and the test part are louder
    copies = items[of_row >= 0].assign(copy="noise")
    np.save(paths.features("logmel") / "segments.npy", np.concatenate([features, features[of_row >= 0] - 90.0]))
    write_table(paths.features("logmel") / "segments.parquet", pd.concat([items, copies]), ITEM_COLUMNS)

    normaliser = load_data(paths).without(fold).normaliser
    valid = np.arange(features.shape[2]) < items["frames"].to_numpy()[:, None]
    inside = features.transpose(0, 2, 1)[valid & train[:, None]]
    np.testing.assert_allclose(normaliser.mean, inside.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(normaliser.std, inside.std(axis=0), atol=1e-3)


def test_each_original_is_held_out_once_and_never_learned_from_then(paths: Paths, data: TrainingData) -> None:
    items = read_table(paths.features("logmel") / "segments.parquet")
    of_row = fold_of_items(paths)
    unit_of = data.table["unit_id"].to_numpy()
    held_out: list[str] = []
    for fold in FOLDS:
        part = data.without(fold)
        rows = part.training_rows(use_synthetic=True)
        learned = set(unit_of[np.concatenate([rows.first, rows.second])])
        assert learned == set(items.loc[(of_row >= 0) & (of_row != fold), "item_id"])
        held_out += unit_of[part.held_out.rows].tolist()
    assert sorted(held_out) == sorted(items.loc[of_row >= 0, "item_id"])


def test_augmented_copies_are_learned_from_and_not_held_out(tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    folder = paths.features("logmel")
    items, features, of_row = (
        read_table(folder / "segments.parquet"),
        np.load(folder / "segments.npy"),
        fold_of_items(paths),
    )
    copies = items[of_row >= 0].assign(copy="noise")
    np.save(folder / "segments.npy", np.concatenate([features, features[of_row >= 0]]))
    write_table(folder / "segments.parquet", pd.concat([items, copies]), ITEM_COLUMNS)
    data = load_data(paths)
    part = data.without(1)
    assert (data.table["copy"].to_numpy()[part.held_out.rows] == "original").all()
    assert len(part.held_out.rows) == (of_row == 1).sum()
    assert len(part.originals) == 2 * ((of_row == 0) | (of_row == 2)).sum()
    assert (data.table["fold"].to_numpy()[part.originals.first] != 1).all(), "no copy of a held-out recording"


def test_a_model_learns_from_the_patients_of_the_development_part(paths: Paths, data: TrainingData) -> None:
    assignment = read_table(paths.split / "assignment.parquet")
    expected = assignment.loc[assignment["part"] == "development", "patient_id"]
    assert data.patients == tuple(sorted(expected))
    assert len(data.patients) < assignment["patient_id"].nunique()


@pytest.mark.parametrize("fold", FOLDS)
def test_every_row_has_the_class_that_its_features_show(data: TrainingData, fold: int) -> None:
    part = data.without(fold)

    def shown(row: int) -> int:
        block = part.normalised(np.array([row]), int(part.valid[row]))[0]
        bands = np.array([0.5, block[2:5].mean(), block[7:10].mean()])  # a raised band is about one deviation above
        return int(bands.argmax())

    held_out = part.held_out
    for found, target in (
        ([shown(row) for row in part.originals.first], part.originals.target),
        ([shown(row) for row in held_out.rows], held_out.target[held_out.units]),
    ):
        assert (np.array(found) == target).mean() > 0.9
        assert (np.roll(found, 1) == target).mean() < 0.7


def test_synthetic_rows_follow_the_originals_and_lie_between_their_parents(data: TrainingData) -> None:
    part = data.without(1)
    originals, synthetic = len(part.originals), len(part.synthetic)
    rows = part.training_rows(use_synthetic=True)
    assert len(part.training_rows(use_synthetic=False)) == originals
    assert len(rows) == originals + synthetic == originals + 12
    made = rows.take(np.arange(originals, len(rows)))
    x, _, target = assemble(part, made, torch.Generator().manual_seed(1))
    assert x.shape[2] == data.piece == PIECE
    assert set(target.tolist()) == {2}
    valid = part.valid[np.where(made.step < 0.5, made.first, made.second)]
    for row, (first, second, step, frames) in enumerate(zip(made.first, made.second, made.step, valid, strict=True)):
        a, b = part.normalised(np.array([first, second]), int(frames))
        between = a + step * (b - a)
        starts = range(max(int(frames) - PIECE, 0) + 1)
        pieces = [between[:, (start + np.arange(PIECE)) % frames] for start in starts]
        assert min(np.abs(x[row].numpy() - piece).max() for piece in pieces) < 1e-5


def test_the_prior_is_the_share_of_each_class_among_the_rows_that_are_learned_from(data: TrainingData) -> None:
    part = data.without(2)
    for use_synthetic in (True, False):
        rows = part.training_rows(use_synthetic)
        shares = np.exp(part.log_prior(rows))
        np.testing.assert_allclose(shares, [(rows.target == c).mean() for c in range(3)], rtol=1e-5)


def test_assembling_changes_no_feature(data: TrainingData) -> None:
    before = data.features.copy()
    part = data.without(0)
    assemble(part, part.training_rows(use_synthetic=True), torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(data.features, before)


def test_the_windows_of_a_unit_are_pooled_by_their_mean() -> None:
    held_out = HeldOut(np.arange(3), np.array([0, 0, 1]), np.array([0, 1]), pd.DataFrame(index=range(2)))
    pooled = held_out.pool(np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7]]))
    np.testing.assert_allclose(pooled, [[0.5, 0.5], [0.3, 0.7]])


@pytest.mark.parametrize("column", ["row", "parent"])
@pytest.mark.parametrize("side", ["held-out fold", "test part"])
def test_a_synthetic_row_with_a_parent_that_is_not_learned_from_is_a_leak(
    tmp_path: Path, column: str, side: str
) -> None:
    paths = prepare(tmp_path)
    balanced = read_table(paths.balanced("demo"))
    planted = balanced.index[balanced["fold"] == 1][-1]
    foreign = int(np.flatnonzero(fold_of_items(paths) == (1 if side == "held-out fold" else -1))[0])
    balanced.loc[planted, column] = foreign
    write_table(paths.balanced("demo"), balanced, BALANCED_COLUMNS)
    with pytest.raises(LeakError, match="1 rows") as caught:
        load_data(paths)
    assert str(foreign) in str(caught.value) and "dvc repro" in caught.value.next_step


def test_a_class_that_only_the_test_part_holds_is_an_error(tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    segments = read_table(paths.manifest / "segments.parquet")
    gone = (segments["label"] == "c").to_numpy() & (fold_of_items(paths) >= 0)
    write_table(paths.manifest / "segments.parquet", segments[~gone], SEGMENT_COLUMNS)
    with pytest.raises(DataError, match=r"development part.*crackle.*'sounds'"):
        load_data(paths)


def test_a_class_in_one_fold_only_is_named_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = prepare(tmp_path)
    segments = read_table(paths.manifest / "segments.parquet")
    segments.loc[(segments["label"] == "c").to_numpy() & (fold_of_items(paths) > 0), "label"] = "n"
    write_table(paths.manifest / "segments.parquet", segments, SEGMENT_COLUMNS)
    load_data(paths)
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "crackle" in record.getMessage() and "wheeze" not in record.getMessage()


def test_equal_data_have_equal_keys_and_any_change_of_them_another(tmp_path: Path, data: TrainingData) -> None:
    paths = prepare(tmp_path)
    assert load_data(paths).key == data.key
    array = np.load(paths.features("logmel") / "segments.npy")
    changed = array.copy()
    changed[0, 0, 0] += 1.0
    np.save(paths.features("logmel") / "segments.npy", changed)
    keys = {data.key, load_data(paths).key}
    np.save(paths.features("logmel") / "segments.npy", array)
    balanced = read_table(paths.balanced("demo"))
    write_table(paths.balanced("demo"), balanced.iloc[:-1], BALANCED_COLUMNS)
    keys.add(load_data(paths).key)
    assert len(keys) == 3
