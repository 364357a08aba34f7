"""``python -m stages.train`` as a command: reproducible to the byte, and without use of the test part."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from auscult.core.errors import DataError
from auscult.core.records import SEGMENT_COLUMNS
from auscult.core.storage import read_table, write_table
from auscult.training.trained_model import TrainedModel
from tests.training.prepared_data import BINS, FRAMES, command, options, outputs, prepare, train
from tests.waiting import wait_for

Bytes = dict[str, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bytes]:
    """A root where the stage ran without interruption with one worker, and its outputs."""
    root = tmp_path_factory.mktemp("finished")
    prepare(root)
    train(root, workers=1)
    return root, outputs(root)


def test_model_learns_a_difference_that_the_features_show(finished: tuple[Path, Bytes]) -> None:
    root, files = finished
    about = json.loads(files["model.json"])
    assert about["out_of_fold_score"] > 0.7
    assert [entry["fold"] for entry in about["folds"]] == [0, 1, 2]
    model = TrainedModel.load(root / "models" / "sample" / "demo")
    x = np.random.default_rng(0).normal(-40, 6, size=(2, BINS, FRAMES)).astype(np.float32)
    p = model.probabilities(x, np.array([FRAMES, 9]))
    assert p.shape == (2, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert model.decide(p).shape == (2,)


def test_history_and_trials_are_complete(finished: tuple[Path, Bytes]) -> None:
    root, files = finished
    history = pd.read_csv(root / "models" / "sample" / "demo" / "history.csv")
    assert sorted(history["fold"].unique()) == [0, 1, 2]
    assert history.notna().all(axis=None)
    trials = json.loads(files["trials.json"])
    assert [trial["number"] for trial in trials["trials"]] == [0, 1, 2]
    best = trials["trials"][trials["best"]]
    assert best["score"] == max(trial["score"] or 0 for trial in trials["trials"])
    chosen = history[(history["fold"] == 0) & (history["epoch"] == best["best_epoch"])]
    assert best["best_epoch"] == history["epoch"].max(), "the last epoch, without a choice on the held-out fold"
    assert float(chosen["validation_score"].iloc[0]) == pytest.approx(best["score"], rel=1e-6)


def test_likelihood_chooses_if_the_score_is_undefined(tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    split = read_table(paths.split / "assignment.parquet")
    held_out = set(split.loc[split["fold"] == 0, "recording_id"])
    segments = read_table(paths.manifest / "segments.parquet")
    segments.loc[segments["recording_id"].isin(held_out) & (segments["label"] == "n"), "label"] = "w"
    write_table(paths.manifest / "segments.parquet", segments, SEGMENT_COLUMNS)
    assert "likelihood" in train(tmp_path).stdout
    files = outputs(tmp_path)
    folds = json.loads(files["model.json"])["folds"]
    assert folds[0]["score"] is None and folds[1]["score"] is not None
    trials = json.loads(files["trials.json"])
    assert all(trial["score"] is None for trial in trials["trials"])
    lowest = [trial["epochs"][-1]["validation_loss"] for trial in trials["trials"]]
    assert trials["best"] == lowest.index(min(lowest))
    history = pd.read_csv(tmp_path / "models" / "sample" / "demo" / "history.csv")
    undefined = history.groupby("fold")["validation_score"].apply(lambda score: score.isna().all())
    assert undefined.tolist() == [True, False, False]
    assert history["validation_loss"].notna().all()


def test_killed_search_resumes_with_the_same_bytes(finished: tuple[Path, Bytes], tmp_path: Path) -> None:
    prepare(tmp_path)
    process = subprocess.Popen(command(), **options(tmp_path, 2), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: list(tmp_path.glob(".cache/search/*/trial-*.json")), process=process)
    children = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "models").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".cache/search/*/trial-*.json")}
    assert kept
    wait_for(lambda: not any(map(_alive, children)))
    train(tmp_path, workers=2)
    assert outputs(tmp_path) == finished[1]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items()), "a finished trial ran again"


def test_values_of_the_test_part_change_nothing(finished: tuple[Path, Bytes], tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    split = read_table(paths.split / "assignment.parquet")
    hidden = set(split.loc[split["part"] == "test", "recording_id"])
    file = paths.features("logmel") / "segments.npy"
    array = np.load(file)
    rows = read_table(paths.features("logmel") / "segments.parquet")["recording_id"].isin(hidden).to_numpy()
    assert rows.any()
    array[rows] = 1e6 * np.random.default_rng(9).normal(size=array[rows].shape)
    np.save(file, array)
    train(tmp_path)
    assert outputs(tmp_path) == finished[1]


def test_training_without_its_logits_runs_again(finished: tuple[Path, Bytes], tmp_path: Path) -> None:
    # as after a full disk between the weights and the logits
    root = tmp_path / "cut"
    shutil.copytree(finished[0], root)
    lost = next(root.glob(".cache/search/*/trial-*-fold-1.logits"))
    lost.unlink()
    train(root, workers=1)
    assert lost.exists()
    assert outputs(root) == finished[1]


def test_more_trials_continue_the_same_search(finished: tuple[Path, Bytes], tmp_path: Path) -> None:
    root = tmp_path / "more"
    shutil.copytree(finished[0], root)
    raw = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    raw["train"]["trials"] = 4
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    printed = train(root, workers=2).stdout
    assert "trial-0003 epoch 1" in printed
    assert "trial-0000 epoch 1" not in printed
    before, after = (json.loads(files["trials.json"])["trials"] for files in (finished[1], outputs(root)))
    assert after[:3] == before
    assert len(after) == 4


def test_class_missing_from_the_development_part_is_an_error_and_the_last_model_stays(
    finished: tuple[Path, Bytes], tmp_path: Path
) -> None:
    root = tmp_path / "missing"
    shutil.copytree(finished[0], root)
    manifest = root / "data" / "sample" / "manifest"
    segments = read_table(manifest / "segments.parquet")
    write_table(manifest / "segments.parquet", segments.replace({"label": {"c": "n"}}), SEGMENT_COLUMNS)
    done = train(root, check=False)
    assert done.returncode == 2
    assert "crackle" in done.stderr and "sounds" in done.stderr and "next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(root) == finished[1]


def test_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    paths = prepare(tmp_path, trials=2)
    file = paths.features("logmel") / "segments.npy"
    array = np.load(file)
    array[0, 0, 0] = np.nan
    np.save(file, array)
    done = train(tmp_path, check=False)
    assert done.returncode == 2
    assert "'demo'" in done.stderr and "epoch 1" in done.stderr and "Traceback" not in done.stderr


def test_few_rows_with_a_last_batch_of_one_train(tmp_path: Path) -> None:
    # Without fold 1 there are nine rows: a batch of eight and a single row.
    prepare(tmp_path, patients=4, per_patient=3, synthetic=0, trials=1, epochs=1, batch_size=8)
    assert "12 rows and 0 synthetic ones in 3 folds" in train(tmp_path).stdout


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda folder: (folder / "weights" / "fold-1.safetensors").unlink(), "does not exist"),
        (lambda folder: (folder / "weights" / "fold-0.safetensors").write_bytes(b"x" * 99), "checksum"),
        (lambda folder: (folder / "model.json").write_text("{}"), "not a description"),
        (lambda folder: (folder / "model.json").write_text('{"format": 2}'), "of format 3"),
        (lambda folder: (folder / "model.json").write_text('{"format": 3}'), "KeyError"),
    ],
)
def test_damaged_model_is_an_error(finished: tuple[Path, Bytes], tmp_path: Path, fault: object, why: str) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(finished[0] / "models" / "sample" / "demo", folder)
    assert callable(fault)
    fault(folder)
    with pytest.raises(DataError, match=why):
        TrainedModel.load(folder)


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
