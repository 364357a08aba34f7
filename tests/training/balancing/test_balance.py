"""Synthetic rows: who becomes a neighbour, which folds the parents come from, and how much a class grows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from imblearn.over_sampling import SMOTE

from auscult.audio.resampled import write_audio
from auscult.core.errors import DataError
from auscult.core.records import BALANCED_COLUMNS, RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.core.sections import BalanceParams, Experiment, Params
from auscult.core.storage import read_table, write_table
from auscult.features.examples import examples
from auscult.features.extraction.build import write_features
from auscult.training.balancing.plan import growth, write_balanced
from auscult.training.balancing.smote import LIKE_LENGTH, RowNeighbours, RowStatistics, smote
from stages.balance import main as balance
from tests.audio.recordings import BINARY, FOLDS, PATHS, SOUNDS, make_root

SMOTE_PARAMS = BalanceParams(method="smote", neighbours=5, max_ratio=3.0, seed=29)
EXPERIMENT = Experiment(task="sounds", features="logmel", model="cnn2d")


def features(name: str, params: Params) -> None:
    """Write a representation in the place of an earlier one."""
    folder = PATHS.features(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    write_features(PATHS, name, params.features, 2, folder)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a small data set with features, whose root is the current directory."""
    monkeypatch.chdir(tmp_path)
    params = make_root(tmp_path, count=12)
    write_audio(PATHS, params.resample, workers=2)
    features("logmel", params)
    return params


def balanced(params: BalanceParams, experiment: Experiment = EXPERIMENT) -> pd.DataFrame:
    PATHS.all_balanced.mkdir(exist_ok=True)
    write_balanced(PATHS, "e", experiment, params, PATHS.balanced("e"))
    return read_table(PATHS.balanced("e"))


def random_rows(path: Path, counts: dict[int, int], frames: tuple[int, int] = (3, 8)) -> pd.DataFrame:
    """Write a feature array of (3 bins, 7 frames) with random valid lengths, classes mixed; return its table."""
    generator = np.random.default_rng(5)
    classes = generator.permutation(np.repeat(list(counts), list(counts.values())))
    np.save(path, generator.normal(-40, 9, (len(classes), 3, 7)).astype(np.float32))
    return pd.DataFrame(
        {
            "row": np.arange(len(classes)),
            "class_index": classes,
            "frames": generator.integers(*frames, len(classes)),
        }
    )


def measured(path: Path, table: pd.DataFrame) -> RowStatistics:
    return RowStatistics.measure(path, table, masked=True)


def test_rows_of_one_length_equal_those_of_imbalanced_learn_on_the_statistics(tmp_path: Path) -> None:
    table = random_rows(tmp_path / "a.npy", {0: 60, 1: 31, 2: 9}, frames=(7, 8))
    made = smote(measured(tmp_path / "a.npy", table), table, {0: 0, 1: 29, 2: 18}, SMOTE_PARAMS)

    array = np.load(tmp_path / "a.npy").astype(np.float64)
    flat = np.concatenate([array.mean(axis=2), array.std(axis=2)], axis=1)
    flat = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    plain = SMOTE(sampling_strategy={1: 60, 2: 27}, k_neighbors=5, random_state=29)
    expected, classes = plain.fit_resample(flat, table["class_index"])
    rows, parents = flat[made["row"]], flat[made["parent"]]
    ours = rows + made["step"].to_numpy()[:, None] * (parents - rows)
    np.testing.assert_allclose(ours, expected[len(flat) :], atol=1e-9)
    assert made["class_index"].tolist() == classes[len(flat) :].tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_very_small_classes_grow(tmp_path: Path, size: int) -> None:
    table = random_rows(tmp_path / "a.npy", {0: 20, 1: size})
    features = measured(tmp_path / "a.npy", table)
    made = smote(features, table, {0: 0, 1: 2 * size}, SMOTE_PARAMS)
    members = set(table.loc[table["class_index"] == 1, "row"])
    assert len(made) == 2 * size
    assert set(made["row"]) | set(made["parent"]) <= members
    assert (made["row"] != made["parent"]).all() == (size > 1)
    assert made["step"].between(0, 1).all()


def nearest_of_like_length(path: Path, table: pd.DataFrame, count: int) -> np.ndarray:
    """Neighbours by hand: the row itself, the nearest of like length, then those nearest in length."""
    array, frames = np.load(path).astype(np.float64), table["frames"].to_numpy()
    values = []
    for row, valid in zip(table["row"], frames, strict=True):
        values.append([*array[row, :, :valid].mean(axis=1), *array[row, :, :valid].std(axis=1)])
    scaled = (np.array(values) - np.mean(values, axis=0)) / np.std(values, axis=0)
    found = []
    for own in range(len(table)):
        apart = np.sqrt(((scaled - scaled[own]) ** 2).sum(axis=1))
        ratio = np.maximum(frames / frames[own], frames[own] / frames)
        excess = np.where(ratio <= LIKE_LENGTH + 1e-12, 1.0, ratio)
        others = sorted((n for n in range(len(table)) if n != own), key=lambda n: (round(excess[n], 9), apart[n]))
        found.append([own, *others[:count]])
    return np.array(found)


def test_neighbours_are_the_nearest_rows_of_like_length(tmp_path: Path) -> None:
    table = random_rows(tmp_path / "a.npy", {0: 50})
    found = RowNeighbours(measured(tmp_path / "a.npy", table), 5).fit(table["row"].to_numpy()[:, None])
    distances, neighbours = found.kneighbors()
    np.testing.assert_array_equal(neighbours, nearest_of_like_length(tmp_path / "a.npy", table, 5))
    assert (distances[:, 0] == 0).all() and (distances[:, 1] > 0).all()


def test_neighbours_depend_neither_on_the_values_of_padding_nor_on_the_unit_of_a_bin(tmp_path: Path) -> None:
    table = random_rows(tmp_path / "a.npy", {0: 50})
    other = np.load(tmp_path / "a.npy") * np.array([0.1, 1.0, 30.0], dtype=np.float32)[:, None] + 7.0
    padding = np.arange(7) >= table["frames"].to_numpy()[:, None]
    other[np.broadcast_to(padding[:, None], other.shape)] = 1e4
    np.save(tmp_path / "b.npy", other)
    rows = table["row"].to_numpy()[:, None]
    first, second = (
        RowNeighbours(measured(tmp_path / name, table), 5).fit(rows).kneighbors() for name in ("a.npy", "b.npy")
    )
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_allclose(first[0], second[0], atol=1e-3)


def test_short_rows_do_not_become_neighbours_of_all_others(tmp_path: Path) -> None:
    """As in flattened arrays, where a short row is mostly padding and so is near to every row."""
    generator = np.random.default_rng(3)
    frames = np.r_[np.full(10, 8), generator.integers(60, 101, 190)]
    array = np.zeros((200, 12, 100), dtype=np.float32)
    for row, valid in enumerate(frames):
        level = generator.normal(0.0, 6.0, size=(12, 1))
        array[row, :, :valid] = -40.0 + level + generator.normal(0.0, 6.0, size=(12, valid))
    np.save(tmp_path / "a.npy", array)
    table = pd.DataFrame({"row": np.arange(200), "class_index": 1, "frames": frames})

    normal = np.where(np.arange(100) < frames[:, None, None], (array + 40.0) / 8.5, 0.0).reshape(200, -1)
    apart = ((normal[:, None] - normal[None]) ** 2).sum(axis=2)
    flattened = np.argsort(apart, axis=1)[:, 1:6]
    assert (flattened[10:] < 10).mean() > 0.5, "or the test shows nothing"

    statistics = measured(tmp_path / "a.npy", table)
    neighbours = RowNeighbours(statistics, 5).fit(table["row"].to_numpy()[:, None]).kneighbors()[1][:, 1:]
    assert not (neighbours[10:] < 10).any()
    assert (neighbours[:10] < 10).all()
    used = np.bincount(neighbours.reshape(-1), minlength=200)
    assert used.max() < 40, "no row is a parent of everything"


@pytest.mark.parametrize("method", ["smote", "oversample"])
def test_classes_grow_to_the_largest_but_at_most_threefold(params: Params, method: str) -> None:
    table = balanced(SMOTE_PARAMS.model_copy(update={"method": method}))
    assert list(table.columns) == list(BALANCED_COLUMNS)
    assert sorted(table["fold"].unique()) == list(range(FOLDS))
    training = examples(PATHS, "logmel", SOUNDS, parts=("development",))
    for fold in range(FOLDS):
        counts = training.loc[training["fold"] != fold, "class_index"].value_counts()
        made = table.loc[table["fold"] == fold, "class_index"].value_counts().to_dict()
        wanted = {c: min(counts.max(), 3 * n) - n for c, n in counts.items()}
        assert made == {c: n for c, n in wanted.items() if n}
        assert 2 in made and 0 not in made


@pytest.mark.parametrize("method", ["smote", "oversample"])
def test_parents_are_rows_of_the_same_class_in_other_folds(params: Params, method: str) -> None:
    made = balanced(SMOTE_PARAMS.model_copy(update={"method": method}))
    rows = examples(PATHS, "logmel", SOUNDS, parts=("development",)).set_index("row")
    for column in ("row", "parent"):
        parents = rows.loc[made[column]]
        assert (parents["class_index"].to_numpy() == made["class_index"].to_numpy()).all()
        assert (parents["fold"].to_numpy() != made["fold"].to_numpy()).all()
    assert made["step"].between(0, 1).all()
    assert (made["row"] != made["parent"]).any() == (method == "smote")


def test_augmented_copies_are_never_parents(params: Params) -> None:
    features("augmented", params)
    made = balanced(SMOTE_PARAMS, Experiment(task="sounds", features="augmented", model="cnn1d"))
    rows = examples(PATHS, "augmented", SOUNDS, parts=("development",))
    originals = set(rows.loc[rows["copy"] == "original", "row"])
    assert len(originals) < len(rows)
    assert set(made["row"]) | set(made["parent"]) <= originals


def test_the_same_seed_gives_the_same_bytes(params: Params) -> None:
    balanced(SMOTE_PARAMS)
    first = PATHS.balanced("e").read_bytes()
    balanced(SMOTE_PARAMS)
    assert PATHS.balanced("e").read_bytes() == first
    balanced(SMOTE_PARAMS.model_copy(update={"seed": 1}))
    assert PATHS.balanced("e").read_bytes() != first


def test_method_none_adds_nothing_and_windows_are_balanced(params: Params) -> None:
    table = balanced(SMOTE_PARAMS.model_copy(update={"method": "none"}))
    assert table.empty and list(table.columns) == list(BALANCED_COLUMNS)
    path = PATHS.manifest / "recordings.parquet"
    recordings = read_table(path)
    recordings.loc[recordings["recording_id"] != "rec00", "label"] = "D"
    recordings.loc[recordings["recording_id"].isin(["rec01", "rec02"]), "label"] = "H"
    write_table(path, recordings, RECORDING_COLUMNS)
    made = balanced(SMOTE_PARAMS, Experiment(task="binary", features="logmel", model="cnn2d"))
    windows = examples(PATHS, "logmel", BINARY, parts=("development",))
    assert len(made) and set(made["row"]) <= set(windows["row"])
    assert set(made["class_index"]) == {0}


@pytest.mark.parametrize("padding", ["mask", "tile"])
def test_only_repetitions_count_as_features_after_the_valid_frames(params: Params, padding: str) -> None:
    features("logmel", params.model_copy(update={"features": params.features.model_copy(update={"padding": padding})}))
    before = balanced(SMOTE_PARAMS)
    array = np.load(PATHS.features("logmel") / "segments.npy", mmap_mode="r+")
    index = read_table(PATHS.features("logmel") / "segments.parquet")
    for row, frames in enumerate(index["frames"]):
        array[row, :, frames:] = np.random.default_rng(row).normal(0, 50, array[row, :, frames:].shape)
    array.flush()
    assert balanced(SMOTE_PARAMS).equals(before) == (padding == "mask")


@pytest.mark.parametrize("hidden", [0, 1, 2, -1])
def test_values_of_a_fold_do_not_change_the_rows_that_are_made_for_it(params: Params, hidden: int) -> None:
    before = balanced(SMOTE_PARAMS)
    split = read_table(PATHS.split / "assignment.parquet").set_index("recording_id")["fold"]
    array = np.load(PATHS.features("logmel") / "segments.npy", mmap_mode="r+")
    index = read_table(PATHS.features("logmel") / "segments.parquet")
    own = (index["recording_id"].map(split) == hidden).to_numpy()
    array[own] = np.random.default_rng(1).normal(0.0, 50.0, size=array[own].shape)
    array.flush()
    after = balanced(SMOTE_PARAMS)
    if hidden < 0:
        pd.testing.assert_frame_equal(after, before)
    else:
        pd.testing.assert_frame_equal(after[after["fold"] == hidden], before[before["fold"] == hidden])


def test_class_missing_from_the_development_part_is_an_error(params: Params) -> None:
    segments = read_table(PATHS.manifest / "segments.parquet")
    gone = (segments["label"] == "w") & ~segments["recording_id"].isin(["rec10", "rec11"])
    write_table(PATHS.manifest / "segments.parquet", segments[~gone], SEGMENT_COLUMNS)
    with pytest.raises(DataError, match=r"wheeze.*'sounds'"):
        balanced(SMOTE_PARAMS)


def test_the_command_writes_a_table_per_experiment_and_keeps_none_of_another(params: Params) -> None:
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    raw["balance"]["method"] = "smote"
    raw["experiments"] = {name: EXPERIMENT.model_dump(exclude={"train"}) for name in ("one", "two")}
    raw["combinations"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    balanced(SMOTE_PARAMS)
    balance()
    assert sorted(path.name for path in PATHS.all_balanced.iterdir()) == ["one.parquet", "two.parquet"]
    assert len(read_table(PATHS.balanced("one")))


def test_growth_is_bounded() -> None:
    assert growth({0: 100, 1: 60, 2: 10, 3: 1}, SMOTE_PARAMS) == {0: 0, 1: 40, 2: 20, 3: 2}
    assert growth({0: 5, 1: 5}, SMOTE_PARAMS) == {0: 0, 1: 0}
