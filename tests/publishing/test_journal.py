"""After a kill: what was begun is taken back, what was decided and handed over is completed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from auscult.core.errors import AuscultError
from auscult.publishing import push
from auscult.publishing.journal import Entry, InProgressError, Journal, advanced
from auscult.registry.versions import REASON, RULE, Registry
from auscult.versioning import worktree
from tests.flows.registries import DATASET, EXPERIMENT, fill, in_service
from tests.flows.repositories import git, make

HOLDER = """
import sys, time
from pathlib import Path
from auscult.publishing.journal import Journal
with Journal(Path(sys.argv[1]), "retrain").held("retrain-the-first"):
    print("held", flush=True)
    time.sleep(60)
"""

PUSHER = """
import os, sys
from pathlib import Path
from auscult.publishing.push import hand_over
hand_over(Path(sys.argv[1]), "origin", sys.argv[2], sys.argv[3])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "my clinic ü")


def cut_off(root: Path, **changes: Any) -> Entry:
    """A retraining that was killed with a worktree and a commit of its own."""
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / "dvc.lock").write_text("schema: '2.0'\n")
    commit = push.commit(place, "retrain", ["dvc.lock"])
    entry = Entry("retrain-1", "retrain", place=str(place), branch="retrain/2026-01-01", commit=commit, remote="origin")
    return Journal(root, "retrain").write(advanced(entry, **changes))


def promotion(version: str, champion: str | None = None) -> dict[str, Any]:
    """What the journal keeps of a version that is to be promoted in place of *champion*."""
    decision = {"rule": "better", "reason": "why"}
    return {"experiment": EXPERIMENT, "version": version, "champion": champion, "decision": decision}


def test_a_push_that_outlived_its_flow_does_not_arrive_after_the_run_was_taken_back(root: Path) -> None:
    entry = cut_off(root, state="handing over")
    bare = root.with_name(f"{root.name}.git")
    hook, reached, passed = bare / "hooks/pre-receive", root.parent / "reached", root.parent / "passed"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{reached}'\nsleep 2\ntouch '{passed}'\n")
    hook.chmod(0o755)
    flow = subprocess.Popen(
        [sys.executable, "-c", PUSHER, str(root), entry.branch, entry.commit],
        cwd=Path(__file__).resolve().parents[2],
    )
    while not reached.exists():
        time.sleep(0.05)
    flow.kill()
    flow.wait()
    said = Journal(root, "retrain").recover()
    assert said is not None and "taken back" in said
    time.sleep(2.5)
    assert not passed.exists()
    assert git(root, "ls-remote", "--heads", "origin", entry.branch) == ""


def test_a_second_run_is_refused_with_the_firsts_name(root: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(AuscultError, match=rf"retrain-the-first, process {holder.pid}"),
            Journal(root, "retrain").held("second"),
        ):
            raise AssertionError("both held it")
        with Journal(root, "ingest").held("another flow with a long name"):
            pass
        with Journal(root, "ingest").held("second", "id-2"), pytest.raises(InProgressError) as error:
            Journal(root, "ingest").held("third").__enter__()
        assert error.value.what == f"another ingest is in progress: second, process {os.getpid()}"
        assert error.value.flow_run_id == "id-2"
    finally:
        holder.kill()
        holder.wait()
    for _ in range(50):
        try:
            with Journal(root, "retrain").held("second"):
                return
        except AuscultError:
            time.sleep(0.1)
    raise AssertionError("the lock of a dead process is still held")


def test_a_run_cut_off_at_work_leaves_nothing(root: Path) -> None:
    entry = cut_off(root)
    journal = Journal(root, "retrain")
    assert "taken back" in str(journal.recover())
    assert not Path(entry.place).exists()
    assert git(root, "ls-remote", "--heads", "origin").count("\n") == 0
    assert git(root, "status", "--porcelain") == ""
    assert journal.recover() is None


def test_a_run_cut_off_before_its_branch_arrived_promotes_nothing(root: Path) -> None:
    registry = fill(root)
    cut_off(root, state="handing over", dataset=DATASET, promotions=[promotion("2")])
    assert "taken back" in str(Journal(root, "retrain").recover())
    assert in_service(registry) is None


def test_a_run_cut_off_after_its_branch_arrived_is_completed_once(root: Path) -> None:
    fill(root)
    entry = cut_off(root, state="handing over", dataset=DATASET, promotions=[promotion("2")])
    push.hand_over(root, "origin", entry.branch, entry.commit)
    journal = Journal(root, "retrain")
    assert "completed" in str(journal.recover())
    champion = Registry(root).champion(DATASET, EXPERIMENT)
    assert champion is not None and champion.number == "2"
    assert (champion.tags[RULE], champion.tags[REASON]) == ("better", "why")
    assert not Path(entry.place).exists()
    assert journal.recover() is None


def test_without_a_remote_the_branch_here_counts(root: Path) -> None:
    fill(root)
    entry = cut_off(root, state="handing over", dataset=DATASET, promotions=[promotion("1")], remote="")
    push.hand_over(root, "", entry.branch, entry.commit)
    Journal(root, "retrain").recover()
    assert in_service(Registry(root)) == "1"


@pytest.mark.parametrize("meanwhile", ["rolled back after the promotion", "another was promoted"])
def test_what_a_person_did_meanwhile_stands(root: Path, meanwhile: str) -> None:
    registry = fill(root)
    registry.promote(
        DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "1"), {"rule": "first", "reason": "why"}
    )
    decision = {"rule": "better", "reason": "why"}
    entry = cut_off(root, state="handing over", dataset=DATASET, promotions=[promotion("2", champion="1")])
    push.hand_over(root, "origin", entry.branch, entry.commit)
    registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "2"), decision)
    if meanwhile == "another was promoted":
        registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "3"), decision)
    else:
        registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    before = in_service(registry)
    said = str(Journal(root, "retrain").recover())
    assert ("was compared with version 1, now serves version 3" in said) or ("withdrawn meanwhile" in said)
    assert in_service(registry) == before
    assert Journal(root, "retrain").read() is None


def test_what_cannot_be_completed_is_tried_again(root: Path) -> None:
    entry = cut_off(root, state="handing over", dataset=DATASET, promotions=[promotion("2")])
    push.hand_over(root, "origin", entry.branch, entry.commit)
    with pytest.raises(AuscultError, match="no model registry here yet"):
        Journal(root, "retrain").recover()
    assert Journal(root, "retrain").read() == entry


def test_before_it_hands_over_no_remote_is_asked(root: Path) -> None:
    cut_off(root)
    bare = Path(git(root, "remote", "get-url", "origin"))
    bare.rename(bare.with_name("away"))
    assert "taken back" in str(Journal(root, "retrain").recover())


def test_a_journal_of_another_version_counts_as_nothing_handed_over(root: Path) -> None:
    entry = cut_off(root)
    file = root / ".cache/flows/retrain.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unheard_of": 1}))
    Journal(root, "retrain").recover()
    assert not Path(entry.place).exists()


def test_a_remote_that_cannot_be_asked_leaves_everything_for_the_next_start(root: Path) -> None:
    entry = cut_off(root, state="handing over")
    bare = Path(git(root, "remote", "get-url", "origin"))
    bare.rename(bare.with_name("away"))
    journal = Journal(root, "retrain")
    with pytest.raises(AuscultError, match="whether its branch retrain/2026-01-01 arrived cannot be asked"):
        journal.recover()
    assert journal.read() == entry
    bare.with_name("away").rename(bare)
    assert "taken back" in str(journal.recover())


def test_a_kill_between_the_worktree_and_the_journal_is_swept(root: Path) -> None:
    place = worktree.create(root, "retrain-lost", "HEAD")
    other = worktree.create(root, "ingest-at-work", "HEAD")
    Journal(root, "retrain").recover()
    assert not place.exists()
    assert other.exists()


def test_a_journal_cut_in_the_middle_counts_as_nothing_handed_over(root: Path) -> None:
    entry = cut_off(root)
    file = root / ".cache/flows/retrain.json"
    file.write_text(file.read_text()[:40])
    Journal(root, "retrain").recover()
    assert not Path(entry.place).exists()
