"""A dead owner of DVC's lock is removed, a living one is respected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.locks import clear_dead
from stages.errors import AuscultError


def write_lock(folder: Path, pid: int) -> Path:
    owner = {"pid": pid, "cmd": "dvc repro"}
    path = folder / "rwlock"
    path.write_text(json.dumps({"write": {"/x/data": owner}, "read": {"/x/params.yaml": [owner]}}))
    return path


def test_no_lock_is_fine(tmp_path: Path) -> None:
    assert clear_dead(tmp_path / "none") == []


def test_a_dead_process_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    path = write_lock(tmp_path, process.pid)
    assert clear_dead(tmp_path) == [process.pid]
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


def test_an_id_that_belongs_to_another_program_now_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "30"])
    try:
        write_lock(tmp_path, process.pid)
        assert clear_dead(tmp_path) == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_a_zombie_is_removed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "", "dvc"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    write_lock(tmp_path, process.pid)
    assert clear_dead(tmp_path) == [process.pid]
    process.wait()


def test_a_file_cut_in_the_middle_is_removed(tmp_path: Path) -> None:
    path = write_lock(tmp_path, 1)
    path.write_text(path.read_text()[:20])
    assert clear_dead(tmp_path) == []
    assert not path.exists()


def test_a_living_dvc_is_named_and_kept(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)", "dvc", "repro"])
    try:
        path = write_lock(tmp_path, process.pid)
        before = path.read_text()
        with pytest.raises(AuscultError, match=str(process.pid)):
            clear_dead(tmp_path)
        assert path.read_text() == before
    finally:
        process.kill()
        process.wait()
