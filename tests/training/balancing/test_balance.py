"""Synthetic rows equal those of imbalanced-learn, come from training rows only, and record their parents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE

from auscult.audio.resampled import write_audio
from auscult.core.errors import DataError
from auscult.core.records import BALANCED_COLUMNS, SEGMENT_COLUMNS
from auscult.core.sections import BalanceParams, Experiment, Params
from auscult.core.storage import read_table, write_table
from auscult.features.examples import examples
from auscult.features.extraction.build import write_features
from auscult.training.balancing.plan import growth, write_balanced
from auscult.training.balancing.smote import NormalisedRows, RowNeighbours, smote
from tests.audio.recordings import BINARY, PATHS, SOUNDS, make_root

SMOTE_PARAMS = BalanceParams(method="smote", neighbours=5, max_ratio=3.0, seed=29)
EXPERIMENT = Experiment(task="sounds", features="logmel", model="cnn2d")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a small data set with features, whose root is the current directory."""
    monkeypatch.chdir(tmp_path)
    params = make_root(tmp_path, count=12)
    write_audio(PATHS, params.resample, workers=2)
    write_features(PATHS, "logmel", params.features, workers=2)
    return params


def balanced(params: BalanceParams, experiment: Experiment = EXPERIMENT) -> pd.DataFrame:
    write_balanced(PATHS, "e", experiment, params)
    return read_table(PATHS.balanced("e"))


def synthetic(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["kind"] == "synthetic"]


def random_rows(path: Path, counts: dict[int, int]) -> tuple[NormalisedRows, pd.DataFrame]:
    """A feature array of (3 bins, 7 frames) with random valid lengths, classes mixed."""
    generator = np.random.default_rng(5)
    classes = generator.permutation(np.repeat(list(counts), list(counts.values())))
    np.save(path, generator.normal(-40, 9, (len(classes), 3, 7)).astype(np.float32))
    frames = generator.integers(3, 8, len(classes))
    table = pd.DataFrame({"row": np.arange(len(classes)), "class_index": classes, "frames": frames})
    return NormalisedRows.fit(path, table, masked=True), table


def test_rows_equal_those_of_imbalanced_learn(tmp_path: Path) -> None:
    features, table = random_rows(tmp_path / "a.npy", {0: 60, 1: 31, 2: 9})
    extra = {0: 0, 1: 29, 2: 18}
    made = smote(features, table, extra, SMOTE_PARAMS)

    flat = features.load(table["row"].to_numpy())
    plain = SMOTE(sampling_strategy={1: 60, 2: 27}, k_neighbors=5, random_state=29)
    expected, classes = plain.fit_resample(flat, table["class_index"])
    rows, parents = flat[made["row"]], flat[made["parent"]]
    ours = rows + made["step"].to_numpy(np.float32)[:, None] * (parents - rows)
    np.testing.assert_allclose(ours, expected[len(flat) :], atol=1e-5)
    assert made["class_index"].tolist() == classes[len(flat) :].tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_very_small_classes_grow(tmp_path: Path, size: int) -> None:
    features, table = random_rows(tmp_path / "a.npy", {0: 20, 1: size})
    made = smote(features, table, {0: 0, 1: 2 * size}, SMOTE_PARAMS)
    members = set(table.loc[table["class_index"] == 1, "row"])
    assert len(made) == 2 * size
    assert set(made["row"]) | set(made["parent"]) <= members
    assert (made["row"] != made["parent"]).all() == (size > 1)
    assert made["step"].between(0, 1).all()


def test_distances_ignore_the_values_of_padding_and_the_scale_of_a_bin(tmp_path: Path) -> None:
    _, table = random_rows(tmp_path / "a.npy", {0: 50})
    array = np.load(tmp_path / "a.npy")
    other = array * np.array([0.1, 1.0, 30.0], dtype=np.float32)[:, None] + 7.0  # another unit in each bin
    valid = np.arange(7) < table["frames"].to_numpy()[:, None]
    other[np.broadcast_to(~valid[:, None], other.shape)] = 1e4
    np.save(tmp_path / "b.npy", other)
    rows = table["row"].to_numpy()[:, None]

    inside = array.transpose(0, 2, 1)[valid]
    scaled = np.where(valid[:, None], (array - inside.mean(0)[:, None]) / inside.std(0)[:, None], 0.0)
    apart = np.sqrt(((scaled[:, None] - scaled[None]) ** 2).sum(axis=(2, 3)))
    nearest = np.argsort(apart, axis=1)[:, :6]
    for path in ("a.npy", "b.npy"):
        found = RowNeighbours(NormalisedRows.fit(tmp_path / path, table, masked=True), 5).fit(rows)
        distances, neighbours = found.kneighbors()
        np.testing.assert_allclose(distances, np.take_along_axis(apart, nearest, axis=1), atol=2e-3)
        np.testing.assert_array_equal(neighbours, nearest)


@pytest.mark.parametrize("method", ["smote", "oversample"])
def test_classes_grow_to_the_largest_but_at_most_threefold(params: Params, method: str) -> None:
    table = balanced(SMOTE_PARAMS.model_copy(update={"method": method}))
    training = examples(PATHS, "logmel", SOUNDS, parts=("train",))
    counts = training["class_index"].value_counts()
    assert counts.to_dict() == {0: 27, 1: 10, 2: 3}
    assert table["class_index"].value_counts().to_dict() == {0: 27, 1: 27, 2: 9}
    originals = table[table["kind"] == "original"]
    assert originals.index.tolist() == list(range(len(training)))
    assert originals["row"].tolist() == training["row"].tolist()
    assert (originals["parent"] == -1).all()
    assert (originals["step"] == 0).all()
    assert list(table.columns) == list(BALANCED_COLUMNS)


def test_parents_are_training_rows_of_the_same_class(params: Params) -> None:
    made = synthetic(balanced(SMOTE_PARAMS))
    classes = examples(PATHS, "logmel", SOUNDS, parts=("train",)).set_index("row")["class_index"]
    assert len(made) == 23
    for column in ("row", "parent"):
        assert (classes.loc[made[column]].to_numpy() == made["class_index"].to_numpy()).all()


def test_augmented_copies_are_kept_and_never_parents(params: Params) -> None:
    write_features(PATHS, "augmented", params.features, workers=2)
    table = balanced(SMOTE_PARAMS, Experiment(task="sounds", features="augmented", model="cnn1d"))
    rows = examples(PATHS, "augmented", SOUNDS, parts=("train",))
    originals = set(rows.loc[rows["copy"] == "original", "row"])
    assert len(originals) * 4 == len(rows) == (table["kind"] == "original").sum()
    made = synthetic(table)
    assert set(made["row"]) | set(made["parent"]) <= originals


def test_the_same_seed_gives_the_same_bytes(params: Params) -> None:
    balanced(SMOTE_PARAMS)
    first = PATHS.balanced("e").read_bytes()
    balanced(SMOTE_PARAMS)
    assert PATHS.balanced("e").read_bytes() == first
    balanced(SMOTE_PARAMS.model_copy(update={"seed": 1}))
    assert PATHS.balanced("e").read_bytes() != first


def test_method_none_adds_nothing_and_windows_are_balanced(params: Params) -> None:
    assert synthetic(balanced(SMOTE_PARAMS.model_copy(update={"method": "none"}))).empty
    table = balanced(SMOTE_PARAMS, Experiment(task="binary", features="logmel", model="cnn2d"))
    windows = examples(PATHS, "logmel", BINARY, parts=("train",))
    assert set(table["row"]) == set(windows["row"])


@pytest.mark.parametrize("padding", ["mask", "tile"])
def test_only_repetitions_count_as_features_after_the_valid_frames(params: Params, padding: str) -> None:
    write_features(PATHS, "logmel", params.features.model_copy(update={"padding": padding}), workers=2)
    before = synthetic(balanced(SMOTE_PARAMS))
    array = np.load(PATHS.features("logmel") / "segments.npy", mmap_mode="r+")
    index = read_table(PATHS.features("logmel") / "segments.parquet")
    for row, frames in enumerate(index["frames"]):
        array[row, :, frames:] = np.random.default_rng(row).normal(0, 50, array[row, :, frames:].shape)
    array.flush()
    assert synthetic(balanced(SMOTE_PARAMS)).equals(before) == (padding == "mask")


def test_values_of_the_test_part_change_nothing(params: Params) -> None:
    balanced(SMOTE_PARAMS)
    first = PATHS.balanced("e").read_bytes()
    array = np.load(PATHS.features("logmel") / "segments.npy", mmap_mode="r+")
    index = read_table(PATHS.features("logmel") / "segments.parquet")
    array[index["recording_id"].isin(["rec10", "rec11"]).to_numpy()] = 77.0
    array.flush()
    balanced(SMOTE_PARAMS)
    assert PATHS.balanced("e").read_bytes() == first


def test_class_missing_from_the_training_part_is_an_error(params: Params) -> None:
    segments = read_table(PATHS.manifest / "segments.parquet")
    gone = (segments["label"] == "w") & ~segments["recording_id"].isin(["rec10", "rec11"])
    write_table(PATHS.manifest / "segments.parquet", segments[~gone], SEGMENT_COLUMNS)
    with pytest.raises(DataError, match=r"wheeze.*'sounds'"):
        balanced(SMOTE_PARAMS)


def test_growth_is_bounded() -> None:
    assert growth({0: 100, 1: 60, 2: 10, 3: 1}, SMOTE_PARAMS) == {0: 0, 1: 40, 2: 20, 3: 2}
    assert growth({0: 5, 1: 5}, SMOTE_PARAMS) == {0: 0, 1: 0}
