"""What is held out changes nothing: rows of a fold do not reach the network that the fold is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.records import SEGMENT_COLUMNS
from auscult.core.storage import read_json, read_table, write_table
from auscult.training.experiment import train_experiment
from tests.training.prepared_data import prepare

#: Of each fold: the bytes of its network, and its entry of model.json.
Model = dict[int, tuple[bytes, dict[str, Any]]]


def rows_of(paths: Paths, fold: int) -> np.ndarray:
    """Return which rows of the features belong to a fold; -1 is the test part."""
    split = read_table(paths.split / "assignment.parquet").set_index("recording_id")["fold"]
    items = read_table(paths.features("logmel") / "segments.parquet")
    return (items["recording_id"].map(split) == fold).to_numpy()


def change_features(paths: Paths, fold: int) -> None:
    file = paths.features("logmel") / "segments.npy"
    array, own = np.load(file), rows_of(paths, fold)
    array[own] = np.random.default_rng(fold + 7).normal(10.0, 20.0, size=array[own].shape)
    np.save(file, array)


def change_labels(paths: Paths, fold: int) -> None:
    table, own = read_table(paths.manifest / "segments.parquet"), rows_of(paths, fold)
    table.loc[own, "label"] = table.loc[own, "label"].map({"n": "w", "w": "c", "c": "n"})
    write_table(paths.manifest / "segments.parquet", table, SEGMENT_COLUMNS)


def trained(root: Path, change: Callable[[Paths, int], None] | None, fold: int) -> Model:
    """Train one trial, so that nothing is chosen by the scores of the first fold, and return every fold's part."""
    # Synthetic rows are given: those that SMOTE makes of changed rows would differ.
    paths = prepare(root, trials=1, epochs=2, synthetic=0)
    if change is not None:
        change(paths, fold)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
        train_experiment(paths, "demo", parameters.load())
    folder = paths.model("demo")
    entries = read_json(folder / "model.json")["folds"]
    return {entry["fold"]: ((folder / "weights" / entry["file"]).read_bytes(), entry) for entry in entries}


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("unchanged"), None, 0)


@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize("change", [change_features, change_labels], ids=["features", "labels"])
def test_rows_of_a_fold_do_not_change_its_network_and_its_normaliser(
    unchanged: Model, tmp_path: Path, change: Callable[[Paths, int], None], fold: int
) -> None:
    changed = trained(tmp_path, change, fold)
    assert changed[fold][0] == unchanged[fold][0]
    for key in ("sha256", "epochs", "normaliser", "log_prior"):
        assert changed[fold][1][key] == unchanged[fold][1][key], key
    for other in {0, 1, 2} - {fold}:
        assert changed[other][0] != unchanged[other][0], "a network that learns from the fold is another one"


@pytest.mark.parametrize("change", [change_features, change_labels], ids=["features", "labels"])
def test_rows_of_the_test_part_change_nothing(
    unchanged: Model, tmp_path: Path, change: Callable[[Paths, int], None]
) -> None:
    assert trained(tmp_path, change, -1) == unchanged
