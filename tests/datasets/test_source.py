"""The remembered source, and ``python -m stages.download`` as a process: after a kill, raw is complete."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult import datasets
from auscult.core.errors import DataError
from auscult.datasets.retrieval.retrieve import assemble
from auscult.datasets.retrieval.source import PUBLISHER, recall, remember
from stages.download import main
from tests.waiting import HANGS_AFTER_S

ROOT = Path(__file__).parents[2]
Contents = Callable[[Path], dict[str, bytes]]
Zip = Callable[[Path, Path], Path]

pytestmark = pytest.mark.usefixtures("in_a_root")


def test_raw_is_kept_if_its_source_is_gone(
    official_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    text = Path("params.yaml").read_text().replace("dataset: sample", "dataset: icbhi", 1)
    Path("params.yaml").write_text(text)
    disk = tmp_path / "disk"
    shutil.copytree(official_copy, disk)
    remember("icbhi", str(disk))
    main()
    before = sorted(Path("data/icbhi/raw").rglob("*"))
    shutil.rmtree(disk)
    main()
    assert sorted(Path("data/icbhi/raw").rglob("*")) == before
    assert "does not exist" in caplog.text
    shutil.rmtree("data/icbhi/raw")
    with pytest.raises(DataError, match="does not exist"):
        main()


def test_a_source_is_remembered_until_another_is_given(official_copy: Path) -> None:
    assert recall("icbhi") is None
    assert remember("icbhi", os.path.relpath(official_copy)) == str(official_copy)
    assert recall("icbhi") == str(official_copy)
    assert recall("sprsound") is None
    assert remember("icbhi", "https://host/copy.zip") == "https://host/copy.zip" == recall("icbhi")
    assert remember("icbhi", official_copy.as_uri()) == str(official_copy)
    assert remember("icbhi", PUBLISHER) is None and recall("icbhi") is None


@pytest.mark.parametrize(
    "source",
    [
        "",
        "no/such/folder",
        "ftp://host/a.zip",
        "s3://bucket/a",
        "params.7z",
        "http://host:99999/a.zip",
        "http://host:port/a.zip",
        "http://[x/a.zip",
        "file://[x/a.zip",
    ],
)
def test_an_invalid_source_is_an_error_and_not_remembered(source: str, official_copy: Path) -> None:
    Path("params.7z").write_bytes(b"7z")
    remember("icbhi", str(official_copy))
    with pytest.raises(DataError):
        remember("icbhi", source)
    assert recall("icbhi") == str(official_copy)


def test_a_missing_source_is_named(official_copy: Path) -> None:
    remember("icbhi", str(official_copy))
    shutil.rmtree(official_copy)
    with pytest.raises(DataError) as caught:
        recall("icbhi")
    assert str(official_copy) in str(caught.value) and "--source" in str(caught.value)


def stage(dataset: str) -> subprocess.Popen[str]:
    """Start the stage in the current folder."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("dataset: sample ", f"dataset: {dataset} "), encoding="utf-8")
    command = [sys.executable, "-m", "stages.download"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_exit_codes_of_the_stage_are_0_and_2(sprsound_copy: Path) -> None:
    remember("sprsound", str(sprsound_copy))
    process = stage("sprsound")
    output, errors = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 0, errors
    assert "4 recordings of 3 patients" in output
    shutil.rmtree(sprsound_copy)
    sprsound_copy.mkdir()
    process = stage("sprsound")
    _, errors = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 2 and "Traceback" not in errors
    assert str(sprsound_copy) in errors and "next:" in errors
    assert len(list(Path("data/sprsound/raw").rglob("*.wav"))) == 4


def _recordings(folder: Path) -> int:
    """Count recordings in a folder that another process changes."""
    return sum(name.endswith(".wav") for _, _, names in os.walk(folder) for name in names)


def test_after_a_kill_raw_is_complete(official_copy: Path, tmp_path: Path, zip_of: Zip, content_of: Contents) -> None:
    raw = Path("data/icbhi/raw")
    assemble(datasets.load("icbhi"), str(official_copy), raw)
    before = content_of(raw)
    for number in range(300):
        name = f"{300 + number}_1b1_Al_sc_Meditron"
        (official_copy / "ICBHI_final_database" / f"{name}.wav").write_bytes(b"RIFF" + bytes(20_000))
        (official_copy / "ICBHI_final_database" / f"{name}.txt").write_text("0\t1\t0\t0\n")
    after = content_of(official_copy)
    remember("icbhi", str(zip_of(official_copy, tmp_path / "larger.zip")))
    unpacking = Path("data/icbhi/.unpacked.icbhi.part")
    for moment in (0, 40, 300):  # files unpacked before the kill
        process = stage("icbhi")
        while process.poll() is None and _recordings(unpacking) < moment:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert content_of(Path("data/icbhi/raw")) in (before, after)
    last = stage("icbhi")
    _, errors = last.communicate(timeout=HANGS_AFTER_S)
    assert last.returncode == 0, errors
    assert content_of(Path("data/icbhi/raw")) == after
    assert [path.name for path in Path("data/icbhi").iterdir()] == ["raw"]


def test_a_killed_download_is_resumed(
    official_copy: Path, tmp_path: Path, server: Any, zip_of: Zip, content_of: Contents
) -> None:
    (official_copy / "ICBHI_final_database" / "101_1b1_Al_sc_Meditron.wav").write_bytes(os.urandom(300_000))
    body = zip_of(official_copy, tmp_path / "copy.zip").read_bytes()
    server.put("/copy.zip", body, cut_after=[200_000], hold_s=60.0)
    remember("icbhi", server.url("/copy.zip"))
    process = stage("icbhi")
    while process.poll() is None and not any(
        path.stat().st_size > 150_000 for path in Path(".cache/downloads").glob("*.part")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.release()
    assert stage("icbhi").wait(timeout=HANGS_AFTER_S) == 0
    assert server.log[-1].status == 206 and server.log[-1].sent < len(body) - 150_000
    assert content_of(Path("data/icbhi/raw")) == content_of(official_copy)
