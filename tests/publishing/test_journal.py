"""After a kill: an unpublished run is undone, a published one is completed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.core.errors import AuscultError
from auscult.publishing import push
from auscult.publishing.journal import Entry, InProgressError, Journal
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
from auscult.publishing.push import publish
publish(Path(sys.argv[1]), "origin", sys.argv[2], sys.argv[3])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "my data ü")


def interrupted(root: Path, **changes: Any) -> Entry:
    """Return the entry of a retraining that was killed with a worktree and a commit of its own."""
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / "dvc.lock").write_text("schema: '2.0'\n")
    commit = push.commit(place, "retrain", ["dvc.lock"])
    entry = Entry(
        "retrain-1", "retrain", worktree=str(place), branch="retrain/2026-01-01", commit=commit, remote="origin"
    )
    return Journal(root, "retrain").write(replace(entry, **changes))


def promotion(version: str, champion: str | None = None) -> dict[str, Any]:
    """Return the journal's record of a version to promote in place of *champion*."""
    decision = {"rule": "better", "reason": "why"}
    return {"experiment": EXPERIMENT, "version": version, "champion": champion, "decision": decision}


def test_a_push_that_outlives_its_flow_is_ended_before_the_run_is_undone(root: Path) -> None:
    entry = interrupted(root, state="publishing")
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
    done = Journal(root, "retrain").recover()
    assert done is not None and "undone" in done
    time.sleep(2.5)
    assert not passed.exists()
    assert git(root, "ls-remote", "--heads", "origin", entry.branch) == ""


def test_a_second_run_is_refused_with_the_name_of_the_first(root: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(AuscultError, match=rf"retrain-the-first, process {holder.pid}"),
            Journal(root, "retrain").held("second"),
        ):
            pytest.fail("both hold the lock")
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
    pytest.fail("the lock of a dead process is still held")


def test_a_run_killed_while_working_leaves_nothing(root: Path) -> None:
    entry = interrupted(root)
    journal = Journal(root, "retrain")
    assert "undone" in str(journal.recover())
    assert not Path(entry.worktree).exists()
    assert git(root, "ls-remote", "--heads", "origin").count("\n") == 0
    assert git(root, "status", "--porcelain") == ""
    assert journal.recover() is None


def test_a_run_killed_before_its_branch_was_published_promotes_nothing(root: Path) -> None:
    registry = fill(root)
    interrupted(root, state="publishing", dataset=DATASET, promotions=[promotion("2")])
    assert "undone" in str(Journal(root, "retrain").recover())
    assert in_service(registry) is None


def test_a_run_killed_after_its_branch_was_published_is_completed_once(root: Path) -> None:
    fill(root)
    entry = interrupted(root, state="publishing", dataset=DATASET, promotions=[promotion("2")])
    push.publish(root, "origin", entry.branch, entry.commit)
    journal = Journal(root, "retrain")
    assert "completed" in str(journal.recover())
    champion = Registry(root).champion(DATASET, EXPERIMENT)
    assert champion is not None and champion.number == "2"
    assert (champion.tags[RULE], champion.tags[REASON]) == ("better", "why")
    assert not Path(entry.worktree).exists()
    assert journal.recover() is None


def test_without_a_remote_the_local_branch_counts(root: Path) -> None:
    fill(root)
    entry = interrupted(root, state="publishing", dataset=DATASET, promotions=[promotion("1")], remote="")
    push.publish(root, "", entry.branch, entry.commit)
    Journal(root, "retrain").recover()
    assert in_service(Registry(root)) == "1"


@pytest.mark.parametrize("meanwhile", ["rolled back after the promotion", "another was promoted"])
def test_a_manual_change_in_the_meantime_is_kept(root: Path, meanwhile: str) -> None:
    registry = fill(root)
    registry.promote(
        DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "1"), {"rule": "first", "reason": "why"}
    )
    decision = {"rule": "better", "reason": "why"}
    entry = interrupted(root, state="publishing", dataset=DATASET, promotions=[promotion("2", champion="1")])
    push.publish(root, "origin", entry.branch, entry.commit)
    registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "2"), decision)
    if meanwhile == "another was promoted":
        registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "3"), decision)
    else:
        registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    before = in_service(registry)
    done = str(Journal(root, "retrain").recover())
    assert ("version 3" if meanwhile == "another was promoted" else "rolled back") in done
    assert in_service(registry) == before
    assert Journal(root, "retrain").read() is None


def test_a_failed_completion_is_tried_again(root: Path) -> None:
    entry = interrupted(root, state="publishing", dataset=DATASET, promotions=[promotion("2")])
    push.publish(root, "origin", entry.branch, entry.commit)
    with pytest.raises(AuscultError, match="no model registry here yet"):
        Journal(root, "retrain").recover()
    assert Journal(root, "retrain").read() == entry


def test_no_remote_is_needed_to_undo_a_run_that_published_nothing(root: Path) -> None:
    interrupted(root)
    bare = Path(git(root, "remote", "get-url", "origin"))
    bare.rename(bare.with_name("away"))
    assert "undone" in str(Journal(root, "retrain").recover())


def test_a_journal_with_unknown_fields_counts_as_not_published(root: Path) -> None:
    entry = interrupted(root)
    file = root / ".cache/flows/retrain.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unheard_of": 1}))
    Journal(root, "retrain").recover()
    assert not Path(entry.worktree).exists()


def test_a_remote_that_does_not_respond_leaves_the_run_for_the_next_start(root: Path) -> None:
    entry = interrupted(root, state="publishing")
    bare = Path(git(root, "remote", "get-url", "origin"))
    bare.rename(bare.with_name("away"))
    journal = Journal(root, "retrain")
    with pytest.raises(AuscultError, match="retrain/2026-01-01"):
        journal.recover()
    assert journal.read() == entry
    bare.with_name("away").rename(bare)
    assert "undone" in str(journal.recover())


def test_a_worktree_that_no_journal_names_is_removed(root: Path) -> None:
    place = worktree.create(root, "retrain-lost", "HEAD")
    other = worktree.create(root, "ingest-at-work", "HEAD")
    Journal(root, "retrain").recover()
    assert not place.exists()
    assert other.exists()


def test_a_truncated_journal_counts_as_not_published(root: Path) -> None:
    entry = interrupted(root)
    file = root / ".cache/flows/retrain.json"
    file.write_text(file.read_text()[:40])
    Journal(root, "retrain").recover()
    assert not Path(entry.worktree).exists()
