"""`auscult run` around DVC: a refused run changes nothing, an interrupted one loses nothing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from auscult import datasets, models
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import CACHE_DIR, Paths
from auscult.features import representations
from auscult.pipeline import run as repro
from auscult.versioning import commands, lockfile, locks

ROOT = Path(__file__).resolve().parents[2]
PARAMS = Path("params.yaml")

#: Stand-in for DVC. `checkout` creates its targets; `repro` removes the trained model and fails.
FAKE_DVC = """
import os, shutil, signal, sys, time
from pathlib import Path
if sys.argv[1] == "checkout":
    for out in sys.argv[2:]:
        if not out.startswith("--"):
            Path(out).mkdir(parents=True)
    raise SystemExit(0)
shutil.rmtree("models/sample", ignore_errors=True)
Path("reports/sample/metrics/one.json").unlink(missing_ok=True)
Path("data/sample/README.md").unlink(missing_ok=True)
if sys.argv[-1] == "interrupted":
    time.sleep(0.5)
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(0.5)
raise SystemExit(1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with parameters and no stages: DVC itself is never started."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The calls of DVC, each with the data set that params.yaml named at that moment."""
    made: list[tuple[str, ...]] = []

    def note(_: str, *arguments: str) -> None:
        made.append((yaml.safe_load(PARAMS.read_text())["dataset"], *arguments))

    monkeypatch.setattr(repro, "_dvc", note)
    monkeypatch.setattr(repro, "_finish", lambda _: None)
    return made


@pytest.fixture
def fake_dvc(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "fake.py"
    script.write_text(FAKE_DVC)
    monkeypatch.setattr(commands, "DVC", (sys.executable, str(script)))
    (folder / "models/sample").mkdir(parents=True)
    (folder / "reports/sample/metrics").mkdir(parents=True)
    (folder / "reports/sample/metrics/one.json").write_text("{}")
    (folder / "data/sample").mkdir(parents=True)
    (folder / "data/sample/README.md").write_text("# The card\n")
    (folder / "dvc.lock").write_text(lock_with("models/sample", "models/icbhi"))


def lock_with(*outs: str) -> str:
    """Return the text of a lock with one stage that has these outputs."""
    entries = [{"path": out, "hash": "md5", "md5": "0" * 32 + ".dir"} for out in outs]
    return yaml.safe_dump({"schema": "2.0", "stages": {"train": {"cmd": "train", "outs": entries}}})


@pytest.fixture
def other_run(folder: Path) -> Iterator[int]:
    """The process id of a running DVC that holds an output."""
    (folder / "dvc").write_text("import time; time.sleep(60)")
    process = subprocess.Popen([sys.executable, "dvc", "repro"], cwd=folder)
    lock = folder / locks.FOLDER / "rwlock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"write": {"/x/data": {"pid": process.pid, "cmd": "dvc repro"}}, "read": {}}))
    yield process.pid
    process.kill()
    process.wait()


def test_run_writes_only_the_data_set_before_dvc_starts(calls: list[tuple[str, ...]]) -> None:
    before = PARAMS.read_text()
    repro.reproduce("icbhi")
    assert calls == [("icbhi", "repro")]
    assert PARAMS.read_text() == before.replace("dataset: sample", "dataset: icbhi", 1)


def test_run_keeps_windows_line_ends(calls: list[tuple[str, ...]]) -> None:
    before = PARAMS.read_bytes().replace(b"\n", b"\r\n")
    PARAMS.write_bytes(before)
    repro.reproduce("icbhi")
    assert PARAMS.read_bytes() == before.replace(b"dataset: sample", b"dataset: icbhi", 1)


def test_run_names_a_missing_addition_and_the_command_that_brings_it(calls: list[tuple[str, ...]]) -> None:
    repro.make_ready("sample")
    assert Path("data/added").is_dir() and Path("data/withdrawn/sample.csv").is_file(), "stages depend on both"
    Path("data/added/icbhi").mkdir()
    Path("data/added/icbhi/0123456789ab.dvc").touch()
    with pytest.raises(DataError, match="0123456789ab") as caught:
        repro.reproduce()
    assert "dvc pull" in caught.value.next_step and not calls


def test_run_remembers_a_source_and_downloads_it_first(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    repro.reproduce("icbhi", str(tmp_path))
    assert calls == [("icbhi", "repro", "--force", "--single-item", "download"), ("icbhi", "repro")]
    assert (CACHE_DIR / "source-icbhi.txt").read_text().strip() == str(tmp_path)


def test_run_forgets_a_source_that_download_refuses(fake_dvc: None, tmp_path: Path) -> None:
    kept = CACHE_DIR / "source-icbhi.txt"
    kept.parent.mkdir()
    kept.write_text("/the/good/copy\n")
    before = PARAMS.read_bytes()
    (tmp_path / "holiday").mkdir()
    with pytest.raises(AuscultError, match="pipeline stopped"):
        repro.reproduce("icbhi", str(tmp_path / "holiday"))
    assert kept.read_text() == "/the/good/copy\n"
    assert PARAMS.read_bytes() == before


def test_run_logs_the_results_when_tracking_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (folder / "models/sample/one").mkdir(parents=True)
    (folder / "models/sample/one/model.json").write_text("no JSON")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("auscult.reporting.report.summary.results_table", lambda *_: "the table")
    with pytest.raises(AuscultError, match="MLflow"):
        repro._finish(repro.parameters.load())
    assert "the table" in caplog.text and "reports/sample/index.html" in caplog.text


@pytest.mark.parametrize(
    ("package", "removed", "words"),
    [
        (models, "DEFAULTS", "does not define DEFAULTS"),
        (models, "def build", "does not define build"),
        (representations, "REPRESENTATION", "does not define REPRESENTATION"),
        (datasets, "DATASET", "does not define DATASET"),
        (models, "(", "is not valid Python"),
    ],
    ids=["defaults", "build", "representation", "data set", "syntax"],
)
def test_a_file_found_by_name_that_lacks_something_is_refused_before_a_stage_runs(
    calls: list[tuple[str, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: ModuleType,
    removed: str,
    words: str,
) -> None:
    """Found only in its stage it would cost the stages before."""
    assert package.__file__ is not None
    place = Path(shutil.copytree(Path(package.__file__).parent, tmp_path / "copied"))
    for file in place.glob("[a-z]*.py"):
        file.write_text(file.read_text().replace(removed, "" if removed == "(" else f"{removed[:4]}_other"))
    monkeypatch.setattr(package, "__file__", str(place / "__init__.py"))
    with pytest.raises(AuscultError, match=words) as caught:
        repro.reproduce()
    assert "copied" in caught.value.where and not calls


def test_unnamed_outputs_are_those_of_removed_experiments(folder: Path) -> None:
    old = ["models/sample/old", "reports/sample/experiments/old"]
    for name in (*old, "models/sample/sounds_logmel_cnn2d", "models/icbhi/old"):
        Path(name).mkdir(parents=True)
    Path("reports/sample/metrics").mkdir()
    Path("reports/sample/metrics/old.json").touch()
    left = repro.unnamed_outputs(Paths("sample"), repro.parameters.load())
    assert [str(path) for path in left] == [*old, "reports/sample/metrics/old.json"]


def test_run_beside_another_run_keeps_the_data_set(calls: list[tuple[str, ...]], other_run: int) -> None:
    """Later stages of the other run read params.yaml."""
    before = PARAMS.read_bytes()
    with pytest.raises(AuscultError, match=f"process {other_run}"):
        repro.reproduce("icbhi")
    assert PARAMS.read_bytes() == before and not calls


@pytest.mark.parametrize(
    ("dataset", "source", "words"),
    [
        ("icbhi", "no/such", "no/such"),
        ("icbhi", "ftp://example.org/a.zip", "http://"),
        ("sample", ".", "SOURCE"),
        ("icbhii", None, "icbhi"),
    ],
)
def test_a_refused_run_changes_no_parameters(
    calls: list[tuple[str, ...]], dataset: str, source: str | None, words: str
) -> None:
    before = PARAMS.read_bytes()
    with pytest.raises(AuscultError) as caught:
        repro.reproduce(dataset, source)
    assert words in str(caught.value)
    assert PARAMS.read_bytes() == before and not calls
    assert not CACHE_DIR.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("folds: 3 ", "folds: 1 ", "split.folds"),
        ("task: binary,", "task: official_2_1,", "icbhi"),
        ("dataset: sample", "data_set: sample", "dataset"),
    ],
    ids=["range", "task of another data set", "no line"],
)
def test_run_refuses_wrong_parameters_and_keeps_them(
    calls: list[tuple[str, ...]], old: str, new: str, words: str
) -> None:
    PARAMS.write_text(PARAMS.read_text().replace(old, new))
    before = PARAMS.read_bytes()
    with pytest.raises(AuscultError, match=words):
        repro.reproduce("icbhi")
    assert PARAMS.read_bytes() == before and not calls


def test_a_failed_run_restores_the_outputs_of_its_data_set(fake_dvc: None) -> None:
    with pytest.raises(AuscultError, match="pipeline stopped"):
        repro._dvc("sample", "repro")
    assert Path("models/sample").is_dir()
    assert Path("reports/sample/metrics/one.json").read_text() == "{}", "git keeps it, DVC cannot restore it"
    assert Path("data/sample/README.md").read_text() == "# The card\n"
    assert not Path("models/icbhi").exists()


def test_a_failed_run_names_a_full_disk(fake_dvc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    with pytest.raises(AuscultError, match=r"\. is full") as caught:
        repro._dvc("sample", "repro")
    assert "dvc gc" in caught.value.next_step


def test_an_interrupted_run_restores_its_outputs(fake_dvc: None) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a test run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            repro._dvc("sample", "repro", "interrupted")
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("models/sample").is_dir()


def test_a_failed_run_restores_outputs_from_the_data_sets_copy_of_the_lock(fake_dvc: None) -> None:
    lockfile.keep("sample")
    other = lock_with("models/icbhi")
    Path("dvc.lock").write_text(other)
    with pytest.raises(AuscultError, match="pipeline stopped"):
        repro._dvc("sample", "repro")
    assert Path("models/sample").is_dir()
    assert Path("dvc.lock").read_text() == other


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< HEAD\nstages: {}\n=======\nstages:\n>>>>>>> other\n",
        "just words",
        "",
        "stages: [train]",
        "stages: {a: b}",
    ],
)
def test_a_damaged_lock_does_not_hide_the_failure_of_dvc(fake_dvc: None, text: str) -> None:
    Path("dvc.lock").write_text(text)
    with pytest.raises(AuscultError, match="pipeline stopped"):
        repro._dvc("sample", "repro")
