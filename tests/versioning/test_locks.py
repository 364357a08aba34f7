"""Locks: dead owners are removed, living ones are respected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from auscult.core.errors import AuscultError
from auscult.versioning.locks import clear_dead, only_run

SLEEP = "import time; time.sleep(30)"
HOLD = """
import sys, time
from pathlib import Path
from auscult.versioning.locks import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(30)
"""


def started(command: list[str], cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a process and wait until it has its command line: Linux lets Popen return a moment before."""
    process = subprocess.Popen(command, cwd=cwd)
    while process.poll() is None and not psutil.Process(process.pid).cmdline():
        time.sleep(0.01)
    return process


def write_lock(folder: Path, pid: int) -> Path:
    owner = {"pid": pid, "cmd": "dvc repro"}
    path = folder / "rwlock"
    path.write_text(json.dumps({"write": {"/x/data": owner}, "read": {"/x/params.yaml": [owner]}}))
    return path


def test_clear_dead_accepts_a_missing_lock(tmp_path: Path) -> None:
    assert clear_dead(tmp_path / "none") == []


def test_clear_dead_removes_a_dead_process(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    path = write_lock(tmp_path, process.pid)
    assert clear_dead(tmp_path) == [process.pid]
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


def test_clear_dead_removes_an_id_that_belongs_to_another_program(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "30"])
    try:
        write_lock(tmp_path, process.pid)
        assert clear_dead(tmp_path) == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_clear_dead_removes_a_zombie(tmp_path: Path) -> None:
    (tmp_path / "dvc").write_text("")
    process = subprocess.Popen([sys.executable, "dvc"], cwd=tmp_path)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    write_lock(tmp_path, process.pid)
    assert clear_dead(tmp_path) == [process.pid]
    process.wait()


def test_clear_dead_removes_a_truncated_lock_file(tmp_path: Path) -> None:
    path = write_lock(tmp_path, 1)
    path.write_text(path.read_text()[:20])
    assert clear_dead(tmp_path) == []
    assert not path.exists()


@pytest.mark.parametrize("words", [["dvc.yaml"], ["--note", "/home/me/dvc-notes/dvc"]])
def test_clear_dead_removes_a_program_that_only_mentions_dvc(tmp_path: Path, words: list[str]) -> None:
    """`vim dvc.yaml` was given a dead owner's id."""
    process = started([sys.executable, "-c", SLEEP, *words])
    try:
        write_lock(tmp_path, process.pid)
        assert clear_dead(tmp_path) == [process.pid]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("words", [["dvc", "repro"], ["-m", "dvc", "repro"], ["-u", "-X", "utf8", "-m", "dvc"]])
def test_clear_dead_keeps_and_names_a_running_dvc(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "dvc").write_text(SLEEP)
    (tmp_path / "dvc.py").write_text(SLEEP)
    process = started([sys.executable, *words], cwd=tmp_path)
    try:
        path = write_lock(tmp_path, process.pid)
        before = path.read_text()
        with pytest.raises(AuscultError, match=str(process.pid)):
            clear_dead(tmp_path)
        assert path.read_text() == before
    finally:
        process.kill()
        process.wait()


def test_clear_dead_keeps_a_program_that_calls_dvc_as_a_library(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(SLEEP)
    process = started([sys.executable, "flow.py", "--all"], cwd=tmp_path)
    try:
        path = write_lock(tmp_path, process.pid)
        path.write_text(path.read_text().replace("dvc repro", "flow.py --all"))
        with pytest.raises(AuscultError, match=f"{process.pid}, flow.py --all"):
            clear_dead(tmp_path)
    finally:
        process.kill()
        process.wait()


def test_only_run_refuses_a_second_run_until_the_first_dies(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(AuscultError, match=f"process {first.pid}"), only_run(tmp_path):
        pass
    first.kill()
    first.communicate()
    with only_run(tmp_path):
        pass
