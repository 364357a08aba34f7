"""Killed at any moment, the next `make repro` ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.pipeline.workspace import SMALL, clone, environment, lock, repro, run
from tests.waiting import wait_for


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`make repro` in a process group of its own; whatever is left of it is ended."""
    command = [sys.executable, "-m", "auscult", "run"]
    with (folder / "killed.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def stage_process(folder: Path, stage: str) -> psutil.Process | None:
    """The running process of a stage in that folder."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if "-m" in words and f"stages.{stage}" in words and process.info["cwd"] == str(folder):
            return process
    return None


def nobody_works_in(folder: Path) -> bool:
    return not [
        p
        for p in psutil.process_iter(["cwd", "status"])
        if p.info["cwd"] == str(folder) and p.info["status"] != "zombie"
    ]


def half_written(folder: Path) -> list[Path]:
    """Temporary files of outs that a finished run must not leave."""
    found = [path for top in ("data", "models", "reports") for path in (folder / top).rglob(".*.part")]
    return found + [path for top in ("data", "models", "reports") for path in (folder / top).rglob(".*.old")]


def test_another_clone_killed_twice_ends_with_the_same_lock(finished: Path, tmp_path: Path) -> None:
    """Other path, empty caches, one experiment of the two; dvc killed alone, then the whole group during a search."""
    alone = {"experiments": {"abnormal_logmel_cnn2d": SMALL["experiments"]["abnormal_logmel_cnn2d"]}}
    folder = clone(tmp_path / "elsewhere" / "with a blank in its name", SMALL | alone)
    log = (folder / "killed.log").read_text
    with running(folder) as process:
        wait_for(lambda: stage_process(folder, "features"), log, process)
        dvc = next(
            child for child in psutil.Process(process.pid).children(recursive=True) if "repro" in child.cmdline()
        )
        dvc.kill()
        wait_for(lambda: nobody_works_in(folder), log)  # the stage went with it
    with running(folder) as process:
        wait_for(lambda: any((folder / ".cache/search").rglob("*.json")), log, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: nobody_works_in(folder), log)
    repro(folder)
    ours, theirs = lock(folder), lock(finished)
    for of_all in ("features", "balance", "combine", "report"):  # one run for all experiments: their number shows
        assert ours.pop(of_all) != theirs.pop(of_all)
    assert ours == {stage: entry for stage, entry in theirs.items() if "binary_augmented_cnn1d" not in stage}
    assert not half_written(folder)


@pytest.mark.parametrize("stage", ["validate", "train", "evaluate"])
def test_a_stage_killed_alone_fails_the_run_and_the_next_one_mends_it(finished: Path, copy: Path, stage: str) -> None:
    """The stage's outputs were there before; DVC removed them for the run that was killed; they come back."""
    before = lock(copy)
    touched = copy / f"stages/{stage}.py"
    text = touched.read_text()
    touched.write_text(text + "\n# touched\n")
    with running(copy) as process:
        victim = wait_for(lambda: stage_process(copy, stage), (copy / "killed.log").read_text, process)
        victim.kill()
        assert process.wait() == 2
    lost = [out["path"] for entry in before.values() for out in entry["outs"] if not (copy / out["path"]).exists()]
    assert not lost
    touched.write_text(text)
    repro(copy)
    assert lock(copy) == before == lock(finished)


@pytest.mark.parametrize(
    "left", ["", "schema: '2.0'\nstages:\n  download:\n    cmd: python -m stages.download\n    de"]
)
@pytest.mark.parametrize("with_copy", [True, False], ids=["copy", "commit"])
def test_a_lock_cut_in_the_middle_of_a_write_is_mended(copy: Path, left: str, with_copy: bool) -> None:
    """DVC writes its lock in place, so a kill can leave a part of it, or nothing."""
    before = lock(copy)
    if not with_copy:
        run(copy, "git", "add", "dvc.lock")
        run(copy, "git", "commit", "-q", "-m", "results")
        (copy / ".cache/locks/sample.lock").unlink()
    (copy / "dvc.lock").write_text(left)
    done = repro(copy)
    assert "dvc.lock is damaged" in done.stdout
    assert "Running stage" not in done.stdout
    assert lock(copy) == before
    assert (copy / ".cache/locks/damaged.lock").read_text() == left


def test_a_merge_conflict_in_the_lock_is_left_to_the_user(copy: Path) -> None:
    text = "<<<<<<< HEAD\n" + (copy / "dvc.lock").read_text() + "=======\n>>>>>>> other\n"
    (copy / "dvc.lock").write_text(text)
    done = repro(copy, check=False)
    assert done.returncode == 2
    assert (copy / "dvc.lock").read_text() == text
