"""Recording outputs in MLflow: nothing twice, no import for nothing, and a model that predicts as the pipeline does."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from auscult.audio.resampled import write_audio
from auscult.core import params
from auscult.core.digests import file_sha256
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.records import RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import open_array, read_json, read_table, write_json, write_table
from auscult.core.tasks import Task
from auscult.features.extraction.build import write_features
from auscult.models import architecture
from auscult.registry import outputs
from auscult.training.normaliser import Normaliser
from auscult.training.trained_model import TrainedModel
from tests.training.described import about_model, choices, fold_entry

REPOSITORY = Path(__file__).resolve().parents[3]
TASKS = {
    "whole": Task("binary", "recording", ("healthy", "diseased"), "healthy", {"a": "healthy", "b": "diseased"}),
    "parts": Task("abnormal", "segment", ("normal", "abnormal"), "normal", {"a": "normal", "b": "abnormal"}),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with audio, features by the pipeline, and two models of untrained networks; tracked once."""
    root = tmp_path_factory.mktemp("tracked")
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    (root / "dvc.yaml").touch()
    before = Path.cwd()
    os.chdir(root)
    try:
        paths, loaded = Paths("sample"), params.load()
        _write_recordings(paths)
        write_audio(paths, loaded.resample, 1)
        paths.all_features.mkdir()
        write_features(paths, "logmel", loaded.features, 1, paths.features("logmel"))
        for seed, name in enumerate(TASKS):
            _write_model(paths, name, seed)
        _link(paths.model("parts"), root / "cache")
        judged = file_sha256(paths.model("whole") / "model.json")
        write_json(paths.evaluation("whole") / "evaluation.json", {"model_sha256": judged})
        write_json(paths.data / "version.json", {"name": "sample-0123abcd"})
        write_json(paths.metrics("whole"), {"validation": {"score": 0.5}, "test": {"score": 0.25}})
    finally:
        os.chdir(before)
    printed = _track(root)
    assert "auscult-sample-whole version 1" in printed
    return root


def _link(folder: Path, cache: Path) -> None:
    """Replace the files of a folder by links into a cache, as DVC's ``cache.type symlink`` does."""
    cache.mkdir()
    for number, file in enumerate([path for path in folder.rglob("*") if path.is_file()]):
        file.rename(cache / str(number))
        file.symlink_to((cache / str(number)).resolve())


def test_a_model_whose_files_are_links_is_logged_as_files(root: Path) -> None:
    logged = list((root / "mlartifacts").rglob("artifacts/artifacts/parts/*"))
    assert {"model.json", "weights"} <= {path.name for path in logged}
    assert not any(path.is_symlink() for path in (root / "mlartifacts").rglob("*"))


def test_a_second_call_finds_nothing_new_without_importing_mlflow(root: Path) -> None:
    before = _rows(root)
    assert "2 models, nothing new" in _track(root, "-X", "importtime")
    assert _rows(root) == before


def test_runs_trials_curves_and_the_data_hash_are_recorded(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        names = dict(database.execute("select name, count(*) from runs group by name"))
        assert names == {"whole": 1, "parts": 1, "trial 0": 2, "trial 1": 2}
        parents = database.execute("select count(distinct value) from tags where key = 'mlflow.parentRunId'").fetchone()
        assert parents == (2,)
        metrics = set(database.execute("select key, value from metrics"))
        assert {("test.score", 0.25), ("validation.score", 0.5)} <= metrics
        curve = database.execute("select count(distinct step) from metrics where key = 'validation_score' and step > 0")
        assert curve.fetchone() == (2,)
        shown = dict(
            database.execute(
                "select r.name, l.value from latest_metrics l join runs r using (run_uuid)"
                " where l.key = 'model.out_of_fold_score'"
            )
        )
        assert shown == dict.fromkeys(TASKS, 0.5), "the final model's, not the last epoch's"
        hashes = database.execute("select distinct value from params where key = 'data_hash'").fetchall()
        assert len(hashes) == 1 and len(hashes[0][0]) == 32


def test_runs_and_versions_have_the_names_of_dvc_and_git(root: Path) -> None:
    with (root / "models/sample/parts/model.json").open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    with sqlite3.connect(root / "mlflow.db") as database:
        run = "select t.key, t.value from tags t join runs r using (run_uuid) where r.name = 'parts'"
        version = "select key, value from model_version_tags where name = 'auscult-sample-parts'"
        for query in (run, version):
            tags = dict(database.execute(query))
            assert (tags["auscult.model_md5"], tags["auscult.data"]) == (md5, "sample-0123abcd")


@pytest.mark.parametrize(("described", "named"), [("0", "sample-0123abcd"), ("1", "")])
def test_a_model_of_older_tables_does_not_get_the_name_of_the_present_data_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Paths("sample").model("whole") / "model.json", {})
    write_json(Paths("sample").data / "version.json", {"name": "sample-0123abcd"})
    stages = {
        stage: {"deps": [{"path": "data/sample/manifest/recordings.parquet", "md5": md5}]}
        for stage, md5 in (("describe", described), ("train@whole", "0"))
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (found,) = outputs.find()
    assert found.data_version == named


def test_a_damaged_lock_is_a_users_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text("stages:\n  train@whole: {deps: [", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        list(outputs.find())


def test_the_registered_models_predict_as_the_pipeline(root: Path, tmp_path: Path) -> None:
    expected = {}
    for name in TASKS:
        rows, expected[name] = _pipeline_predictions(root, name)
        table = rows[["path"]] if name == "whole" else rows[["path", "start_s", "end_s"]]
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    load = (
        "import sys, mlflow, pandas as pd\n"
        "mlflow.set_registry_uri(sys.argv[1]); mlflow.set_tracking_uri(sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    model = mlflow.pyfunc.load_model(f'models:/auscult-sample-{name}/1')\n"
        "    model.predict(pd.read_csv(f'{name}.csv')).to_csv(f'{name}.out', index=False)\n"
    )
    # in another folder, with the wheel that was logged instead of the repository
    wheel = next((root / "mlartifacts").rglob("*.whl"))
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    arguments = [sys.executable, "-P", "-c", load, f"sqlite:///{root / 'mlflow.db'}", *TASKS]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, task in TASKS.items():
        predicted = pd.read_csv(tmp_path / f"{name}.out")
        np.testing.assert_allclose(predicted[[f"probability_{c}" for c in task.classes]], expected[name], atol=1e-6)
        decided = TrainedModel.load(root / "models" / "sample" / name).decide(expected[name])
        assert predicted["label"].tolist() == [task.classes[i] for i in decided]


def test_nothing_is_pickled(root: Path) -> None:
    logged = {path.suffix for path in (root / "mlartifacts").rglob("*") if path.is_file()}
    assert not logged & {".pkl", ".pickle", ".pt", ".pth"}


def test_new_metrics_change_the_run_and_a_new_model_adds_a_version(root: Path) -> None:
    metrics = root / "reports" / "sample" / "metrics" / "whole.json"
    write_json(metrics, {"test": {"score": 0.75}})
    assert "sample/whole: new metrics" in _track(root)
    runs = _rows(root)["runs"]
    about = read_json(root / "models" / "sample" / "whole" / "model.json")
    write_json(root / "models" / "sample" / "whole" / "model.json", about | {"out_of_fold_score": 0.7})
    assert "auscult-sample-whole version 2" in _track(root)
    assert _rows(root)["runs"] == runs + 3
    with sqlite3.connect(root / "mlflow.db") as database:
        scores = database.execute(
            "select m.value from metrics m join tags t on t.run_uuid = m.run_uuid and t.key = 'auscult.name'"
            " where t.value = 'auscult-sample-whole' and m.key = 'test.score' order by m.value"
        ).fetchall()
    assert 0.75 in {value for (value,) in scores}
    assert len(scores) == len({0.25, 0.75} & {value for (value,) in scores}), "the new model has the old one's score"


def _track(root: Path, *options: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *options, "-m", "auscult", "models", "track"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if options:
        assert "mlflow" not in done.stderr
    return done.stdout


def _rows(root: Path) -> dict[str, int]:
    with sqlite3.connect(root / "mlflow.db") as database:
        tables = ("runs", "metrics", "params", "model_versions")
        return {table: database.execute(f"select count(*) from {table}").fetchone()[0] for table in tables}


def _write_recordings(paths: Paths) -> None:
    rng = np.random.default_rng(7)
    recordings, segments = [], []
    for index, (rate, seconds) in enumerate([(4000, 3.2), (10000, 12.7), (44100, 8.0)]):
        name = f"r{index}"
        file = paths.raw / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, rng.normal(0, 0.1, int(rate * seconds)), rate, subtype="PCM_16")
        known = {"recording_id": name, "patient_id": name, "path": f"sample/raw/{name}.wav"}
        known |= {
            "sha256": file_sha256(file),
            "sample_rate_hz": rate,
            "channels": 1,
            "duration_s": int(rate * seconds) / rate,
            "label": "ab"[index % 2],
        }
        filler = {"string": "x", "int64": 1, "Int64": 1, "float64": 1.0}
        recordings.append({column: known.get(column, filler[kind]) for column, (kind, _) in RECORDING_COLUMNS.items()})
        for number, start in enumerate(np.arange(0.1, seconds - 1.5, 2.7)):
            about = {"segment_id": f"{name}:{number:03d}", "recording_id": name, "patient_id": name, "label": "a"}
            segments.append(about | {"start_s": float(start), "end_s": float(start + 1.3)})
    write_table(paths.manifest / "recordings.parquet", pd.DataFrame(recordings), RECORDING_COLUMNS)
    write_table(paths.manifest / "segments.parquet", pd.DataFrame(segments), SEGMENT_COLUMNS)


def _write_model(paths: Paths, name: str, seed: int) -> None:
    import torch
    from safetensors.torch import save_file

    task, spec = TASKS[name], read_json(paths.features("logmel") / "spec.json")
    array = open_array(paths.features("logmel") / ("windows.npy" if task.unit == "recording" else "segments.npy"))
    frames = np.full(len(array), array.shape[2])
    torch.manual_seed(seed)
    module = architecture("cnn2d")
    network = module.build(array.shape[1], array.shape[2], 2, module.DEFAULTS)
    folder = paths.model(name)
    weights = folder / "weights" / "fold-0.safetensors"
    weights.parent.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    normaliser = Normaliser.fit(array, frames, spec["padding"], np.arange(len(array)))
    named = {"experiment": name, "model": "cnn2d", "hyperparameters": module.DEFAULTS, "out_of_fold_score": 0.5}
    about = about_model(task, spec, array.shape[1:], [fold_entry(task, 0, weights, normaliser)], **named)
    write_json(folder / "model.json", about | choices(task, biases=[0.0, 0.1], offsets=[0.1, 0.0]))
    epochs = [{"epoch": epoch, "validation_score": epoch / 10} for epoch in (1, 2)]
    trial = {"hyperparameters": module.DEFAULTS, "seed": 1, "state": "complete", "score": 0.2, "best_epoch": 2}
    trials = [trial | {"number": number, "epochs": epochs} for number in (0, 1)]
    write_json(folder / "trials.json", {"best": 1, "trials": trials})
    lines = ["fold,epoch,validation_score", "0,1,0.1", "0,2,0.2"]
    (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pipeline_predictions(root: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of recordings or segments with the path of their audio, and the pipeline's probabilities for them."""
    model = TrainedModel.load(root / "models" / "sample" / name)
    folder = root / "data" / "sample" / "features" / "logmel"
    array = "windows" if name == "whole" else "segments"
    rows = read_table(folder / f"{array}.parquet")
    units = rows["recording_id" if name == "whole" else "item_id"].factorize()[0]
    p = model.probabilities(open_array(folder / f"{array}.npy"), rows["frames"].to_numpy(), units)
    rows["path"] = [str(root / "data" / "sample" / "raw" / f"{r}.wav") for r in rows["recording_id"]]
    return (rows if name == "parts" else rows.drop_duplicates("recording_id")).reset_index(drop=True), p


def test_a_segment_outside_the_recording_is_refused(root: Path) -> None:
    from auscult.inference.predictor import predict

    model = TrainedModel.load(root / "models" / "sample" / "parts")
    with pytest.raises(DataError, match=r"lasts 3\.20 s"):
        predict(model, root / "data" / "sample" / "raw" / "r0.wav", [(5.0, 6.0)])


def test_an_interrupted_run_is_made_again(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("update runs set status = 'RUNNING' where name = 'parts'")
    assert "sample/parts: 2 trials" in _track(root)
    with sqlite3.connect(root / "mlflow.db") as database:
        active = "select count(*) from runs where name = 'parts' and lifecycle_stage = 'active'"
        assert database.execute(active).fetchone() == (1,)
        versions = database.execute("select count(*) from model_versions where name = 'auscult-sample-parts'")
        assert versions.fetchone() == (1,)


def test_a_deleted_experiment_is_restored(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("update experiments set lifecycle_stage = 'deleted' where name = 'sample'")
        database.execute("update runs set lifecycle_stage = 'deleted', deleted_time = 1")
    _track(root)
    with sqlite3.connect(root / "mlflow.db") as database:
        found = database.execute("select lifecycle_stage from experiments where name = 'sample'").fetchall()
        assert found == [("active",)]
        active = dict(
            database.execute(
                "select r.name, count(*) from runs r join experiments e using (experiment_id) where e.name = 'sample'"
                " and r.lifecycle_stage = 'active' and r.status = 'FINISHED' group by r.name"
            )
        )
        assert {"whole", "parts"} <= set(active)
    assert "nothing new" in _track(root)
