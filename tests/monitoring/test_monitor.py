"""Monitoring a folder of recordings, end to end: the verdict, the report, and errors."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult.core.digests import file_sha256, patient_key
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS
from auscult.core.storage import read_json, write_table
from auscult.monitoring import reference, steps
from auscult.monitoring.drift import CLASSES, REJECTED
from auscult.monitoring.page import markdown
from auscult.monitoring.steps import monitor
from auscult.training.trained_model import TrainedModel
from tests.contract.imports import imported_files, module_file
from tests.contract.test_cache_keys import GROUND_FLOOR
from tests.monitoring.untrained import EXPERIMENT, write_untrained

REPOSITORY = Path(__file__).resolve().parents[2]
PATHS = Paths("sample")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the recordings of 20 patients, an untrained model, and three folders of recent ones."""
    root = tmp_path_factory.mktemp("watched")
    _copy_settings(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _write_data()
        write_untrained(PATHS.model(EXPERIMENT), [patient_key("sample", f"p{n:02d}") for n in range(15)])
        rng = np.random.default_rng(12)
        for number in range(36):
            breath = _breath(rng)
            _write(Path("week") / f"day {number % 5}" / f"r{number}.flac", breath)
            _write(Path("other") / f"r{number}.wav", _through_another_device(breath))
        for number in range(12):
            _write(Path("few") / f"r{number}.wav", _breath(rng))
            (Path("other") / f"cut{number}.wav").write_bytes(b"RIFF")
        Path("week/notes.txt").write_text("not audio", encoding="utf-8")
        (Path("week") / "._r1.flac").write_bytes(b"what another system left")
    return root


@pytest.fixture
def root(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Path:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.chdir(made)
    caplog.set_level(logging.INFO, logger="auscult")
    return made


def test_a_week_like_the_training_part_has_no_drift(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    drift = monitor("week")
    assert drift.verdict == "no drift"
    assert (drift.rejected.examined, drift.rejected.count) == (36, 0), "hidden files are skipped"
    assert f"no model is in service for {EXPERIMENT} of sample yet" in caplog.text
    assert caplog.messages[-2:] == ["monitor: no drift", "monitor: report: reports/sample/drift/index.html"]
    page = Path("reports/sample/drift/index.html").read_text(encoding="utf-8")
    assert "<h1>No drift" in page and "<svg" not in page and "36 recordings in <code>week</code>" in page
    assert not re.search(r"(?:src|href)=.?(?:http|/)", page), "the page opens offline"


def test_another_device_is_found_and_shown(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    drift = monitor("other")
    assert drift.drifted[0] == REJECTED
    assert {"level_dbfs", "band_1000_hz"} <= set(drift.drifted)
    assert not {"duration_s", "sample_rate_hz"} & set(drift.drifted)
    assert (drift.rejected.examined, drift.rejected.reasons) == (48, {"truncated": 12})
    assert f"monitor: {drift.verdict}" in caplog.messages
    page = Path("reports/sample/drift/index.html").read_text(encoding="utf-8")
    assert "<h1>Drift" in page and page.count("<svg") == sum(feature.drifts for feature in drift.features)
    assert "cut11.wav" in page and "less than a header" in page
    record = read_json(Path("reports/sample/drift/drift.json"))
    assert record["verdict"] == drift.verdict
    assert record["learned_from"] == {"recordings": 60, "patients": 15, "compared": 60}
    assert record["rejected"]["reference_share"] == pytest.approx(1 / 82, abs=1e-6), "wrong labels do not count"


def test_the_report_is_a_function_of_the_recordings(root: Path, tmp_path: Path) -> None:
    monitor("week")
    before = {path.name: path.read_bytes() for path in Path("reports/sample/drift").iterdir()}
    shutil.copytree("week", tmp_path / "week")
    monitor(str(tmp_path / "week"))
    assert {path.name: path.read_bytes() for path in Path("reports/sample/drift").iterdir()} == before
    assert str(tmp_path) not in before["drift.json"].decode()


def test_too_few_recordings_give_no_verdict(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    drift = monitor("few")
    assert not drift.enough and "12 of 30" in drift.verdict
    assert "compared with" not in caplog.text
    assert "Too few recordings" in Path("reports/sample/drift/index.html").read_text(encoding="utf-8")


def test_the_training_recordings_are_measured_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor("few")
    caplog.clear()
    monitor("few")
    assert "(once)" not in caplog.text
    for kept in Path(".cache/drift").iterdir():
        kept.write_bytes(kept.read_bytes()[:1000])
    assert monitor("few").learned_from == 60
    assert "(once)" in caplog.text, "a damaged cache entry is made again"
    about = read_json(PATHS.model(EXPERIMENT) / "model.json")
    retrained = TrainedModel.load(PATHS.model(EXPERIMENT))
    retrained.about = about | {"out_of_fold_score": 0.7}
    known = reference.learned_from(PATHS, retrained)
    validate = steps.load_model().validate
    assert reference._key(retrained, validate, known) != reference._key(TrainedModel(about, []), validate, known)


def test_the_cache_key_names_every_module_that_determines_the_reference() -> None:
    imported = imported_files("auscult.monitoring.observe", "auscult.training.trained_model") - GROUND_FLOOR
    assert imported == {str(module_file(name)) for name in reference._CODE}


def test_the_reference_is_the_training_part_that_the_model_learned_from(root: Path) -> None:
    model = TrainedModel.load(PATHS.model(EXPERIMENT))
    assert set(reference.learned_from(PATHS, model)["patient_id"]) == {f"p{n:02d}" for n in range(15)}
    older = TrainedModel(model.about | {"learned_from": [patient_key("sample", f"p{n:02d}") for n in (3, 17)]}, [])
    assert set(reference.learned_from(PATHS, older)["patient_id"]) == {"p03"}, "p17 is in the test part now"
    silent = TrainedModel({key: value for key, value in model.about.items() if key != "learned_from"}, [])
    assert len(reference.learned_from(PATHS, silent)) == 60
    other = TrainedModel(model.about | {"learned_from": ["0" * 16]}, [])
    with pytest.raises(AuscultError, match="learned from"):
        reference.learned_from(PATHS, other)


def test_of_many_recordings_whole_patients_are_drawn_with_a_fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pd.DataFrame({"patient_id": [f"p{n // 8:03d}" for n in range(800)], "recording_id": range(800)})
    drawn = reference.sample_patients(known)
    assert 400 <= len(drawn) < 408 and set(drawn["patient_id"].value_counts()) == {8}
    assert drawn["patient_id"].unique().tolist() != known["patient_id"].unique().tolist()[:50]
    assert drawn.equals(reference.sample_patients(known.sample(frac=1, random_state=1)).sort_index())


def test_a_path_of_an_older_manifest_is_found(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reference.audio_path(PATHS, "sample/raw/p00_0.wav") == Path("data/sample/raw/p00_0.wav")
    assert reference.audio_path(PATHS, "p00_0.wav") == Path("data/sample/raw/p00_0.wav")
    with pytest.raises(AuscultError, match="p99_0"):
        reference.audio_path(PATHS, "sample/raw/p99_0.wav")


def test_wrong_arguments_are_errors_with_a_next_step(root: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.mp3").write_bytes(b"ID3")
    for folder, words in (
        ("nowhere", "does not exist"),
        ("params.yaml", "is a file"),
        (str(tmp_path), r"\.mp3"),
    ):
        with pytest.raises(AuscultError, match=words) as caught:
            monitor(folder)
        assert caught.value.next_step
    with pytest.raises(AuscultError, match=f"unknown experiment 'sounds'.*{EXPERIMENT}"):
        steps.load_model("sounds")
    with pytest.raises(AuscultError, match="does not exist"):
        steps.load_model("binary_mfcc_cnn2d")


def test_a_missing_manifest_is_an_error_that_names_its_stage(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _copy_settings(tmp_path)
    shutil.copytree(made / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AuscultError, match=r"recordings\.parquet does not exist") as caught:
        monitor(str(made / "week"))
    assert "auscult run" in caught.value.next_step


def test_the_event_names_the_model_and_carries_what_drifted(root: Path) -> None:
    monitored = steps.load_model()
    folder = Path("other")
    known = steps.observe_reference(monitored)
    finding = steps.conclude(monitored, folder, steps.observe_recent(monitored, folder), known)
    assert finding.event_resource()["prefect.resource.id"] == f"auscult.sample.{EXPERIMENT}"
    payload = finding.event_payload()
    assert payload["verdict"] == finding.drift.verdict and payload["rejected"]["count"] == 12
    named = {each["name"] for each in payload["features"]} | {REJECTED, CLASSES}
    assert named >= set(payload["drifted"])
    text = markdown(finding.drift, finding.record)
    assert text.count("**drifts**") >= len(payload["features"]) and "| level_dbfs |" in text


def test_the_command_works_without_a_server(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: {}\n")
    done = _python("-m", "auscult", "monitor", "few")
    assert "12 of 30" in done.stdout and "Flow run" not in done.stderr


def _copy_settings(root: Path) -> None:
    (root / "flows").mkdir()
    for name in ("params.yaml", "flows/settings.yaml"):
        shutil.copy(REPOSITORY / name, root / name)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def _breath(rng: np.random.Generator) -> np.ndarray:
    """Return two to three seconds at 8 kHz: noise that falls off with frequency, with a random level."""
    n = int(8000 * rng.uniform(2.0, 3.0))
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / 8000)
    sound = np.fft.irfft(spectrum / (1 + (hz / 300) ** 2) ** rng.uniform(0.5, 1.0), n)
    return sound / sound.std() * 10 ** (rng.normal(-34, 2) / 20)


def _through_another_device(sound: np.ndarray) -> np.ndarray:
    """Return the sound 12 dB louder and low-passed at 400 Hz."""
    from scipy import signal

    return 4 * signal.sosfilt(signal.butter(4, 400, fs=8000, output="sos"), sound)


def _write(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -0.99, 0.99), 8000, subtype="PCM_16")
    return path


def _write_data() -> None:
    """Write four recordings of each of 20 patients, the first 15 of them in the development part, and three rejects."""
    rng = np.random.default_rng(11)
    rows, assignment = [], []
    filler = {"string": "x", "int64": 1, "Int64": 1, "float64": 1.0}
    for number in range(80):
        name, patient = f"p{number // 4:02d}_{number % 4}", f"p{number // 4:02d}"
        file = _write(PATHS.raw / f"{name}.wav", _breath(rng))
        known = {"recording_id": name, "patient_id": patient, "path": f"sample/raw/{name}.wav"}
        known |= {"sha256": file_sha256(file), "part": "development" if number < 60 else "test"}
        for table, columns in ((rows, RECORDING_COLUMNS), (assignment, ASSIGNMENT_COLUMNS)):
            table.append({column: known.get(column, filler[kind]) for column, (kind, _) in columns.items()})
    write_table(PATHS.manifest / "recordings.parquet", pd.DataFrame(rows), RECORDING_COLUMNS)
    write_table(PATHS.split / "assignment.parquet", pd.DataFrame(assignment), ASSIGNMENT_COLUMNS)
    rejects = [("s0", "silent"), ("l0", "unknown_label"), ("m0", "missing_audio")]
    table = pd.DataFrame([(*reject, "") for reject in rejects], columns=list(REJECT_COLUMNS))
    write_table(PATHS.manifest / "rejects.parquet", table, REJECT_COLUMNS)
