"""The reader of ``dvc.lock``, and the repair of a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.versioning import lockfile
from auscult.versioning.lockfile import DAMAGED, LOCK, DamagedError
from tests.flows.repositories import git, make

WHOLE = "schema: '2.0'\nstages:\n  one:\n    cmd: one\n    outs:\n    - path: models/sample/a\n      md5: {}\n"


def lock(digit: str = "a") -> str:
    return WHOLE.format(digit * 32)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a committed lock, which is the current directory."""
    root = make(tmp_path / "root", remote=False)
    (root / LOCK).write_text(lock())
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "lock")
    monkeypatch.chdir(root)
    return root


def test_stages_are_read_from_the_workspace_and_a_commit(root: Path) -> None:
    committed = lockfile.stages(lock())
    (root / LOCK).write_text(lock("b"))
    assert lockfile.at_commit(root) == committed != lockfile.in_workspace(root)
    (root / LOCK).unlink()
    assert lockfile.in_workspace(root) == {}
    assert lockfile.at_commit(root, "HEAD~1") is None


@pytest.mark.parametrize("text", ["just text", "stages: [a]", "stages: {a: b}", "<<<<<<< HEAD\nstages: {}\n"])
def test_stages_refuses_what_is_not_a_lock(text: str) -> None:
    with pytest.raises(DamagedError):
        lockfile.stages(text)


def test_restore_keeps_a_complete_lock_and_a_merge_conflict(root: Path) -> None:
    for text in (lock("b"), f"<<<<<<< HEAD\n{lock()}"):
        (root / LOCK).write_text(text)
        assert lockfile.restore("sample") is None
        assert (root / LOCK).read_text() == text


def test_restore_takes_the_copy_of_the_data_set_then_the_committed_lock(root: Path) -> None:
    (root / LOCK).write_text(lock("b"))
    lockfile.keep("sample")
    for dataset, restored in (("sample", lock("b")), ("icbhi", lock())):
        (root / LOCK).write_text(lock("c")[:60])
        assert lockfile.restore(dataset)
        assert (root / LOCK).read_text() == restored
        assert (root / DAMAGED).read_text() == lock("c")[:60]


def test_restore_removes_a_damaged_lock_if_there_is_no_other(root: Path) -> None:
    git(root, "rm", "-q", "--cached", str(LOCK))
    git(root, "commit", "-q", "-m", "no lock")
    (root / LOCK).write_text("schema: '2.0'\nsta")
    assert lockfile.restore("sample")
    assert not (root / LOCK).exists()


def test_a_copy_stands_in_place_of_the_lock_during_the_block(root: Path) -> None:
    (root / LOCK).write_text(lock("b"))
    lockfile.keep("sample")
    (root / LOCK).write_text(lock("c"))
    with lockfile.copy_in_place("sample"):
        assert (root / LOCK).read_text() == lock("b")
    assert (root / LOCK).read_text() == lock("c")
