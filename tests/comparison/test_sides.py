"""Which revisions are compared, what each side's pipeline did, and what can be read of it."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auscult.comparison import recorded, revision, revisions
from auscult.comparison.report import report
from auscult.core.errors import AuscultError
from auscult.core.process import OWNER
from auscult.versioning import worktree
from auscult.versioning.graph import Run, Work, reproduce_all
from tests.flows.repositories import git, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "clone")


def commit(root: Path, text: str) -> str:
    (root / "params.yaml").write_text(text)
    git(root, "commit", "-q", "-am", text)
    return git(root, "rev-parse", "HEAD")


def test_the_base_is_where_the_branch_left_it(root: Path) -> None:
    fork = commit(root, "seed: 2")
    git(root, "checkout", "-q", "-b", "change")
    mine = commit(root, "seed: 3")
    git(root, "checkout", "-q", "main")
    commit(root, "seed: 4")
    git(root, "checkout", "-q", "change")
    head = revisions.head_of(root)
    assert (head.revision, head.commit, head.dirty) == ("change", mine, False)
    assert revisions.base_of(root, "main", head).commit == fork


def test_changes_that_are_not_committed_are_said_and_what_the_pipeline_writes_is_none(root: Path) -> None:
    (root / "dvc.lock").write_text("written by the pipeline")
    (root / "reports/sample/metrics").mkdir(parents=True)
    (root / "reports/sample/metrics/x.json").write_text("{}")
    assert not revisions.head_of(root).dirty
    (root / "params.yaml").write_text("seed: being edited")
    assert revisions.head_of(root).dirty


def test_a_revision_that_is_not_there_is_the_users_mistake(root: Path) -> None:
    commit(root, "seed: 2")
    with pytest.raises(AuscultError, match="no revision 'mian'"):
        revisions.base_of(root, "mian", revisions.head_of(root))


def test_on_the_first_commit_there_is_no_base_but_a_changed_checkout_has_one(root: Path) -> None:
    head = revisions.head_of(root)
    assert "first commit" in revisions.base_of(root, "trunk", head).fault
    assert "first commit" in revisions.base_of(root, "main", head).fault
    (root / "params.yaml").write_text("seed: being edited")
    assert revisions.base_of(root, "main", revisions.head_of(root)).commit == head.commit


def test_an_unrelated_history_has_no_base(root: Path) -> None:
    git(root, "checkout", "-q", "--orphan", "other")
    commit(root, "seed: 9")
    commit(root, "seed: 10")
    base = revisions.base_of(root, "main", revisions.head_of(root))
    assert base.commit == "" and "no commit in common" in base.fault


def test_a_folder_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(AuscultError, match="no commit here"):
        revisions.head_of(tmp_path)


def test_the_worktree_of_a_killed_comparison_is_removed_by_the_next(root: Path) -> None:
    killed = worktree.create(root, f"{revisions.PREFIX}0123456789", "HEAD")
    others = worktree.create(root, "retrain-1", "HEAD")
    revisions.sweep(root)
    assert not killed.exists() and others.exists()
    with pytest.raises(KeyboardInterrupt), revisions.checked_out(root, git(root, "rev-parse", "HEAD")) as place:
        assert (place / "params.yaml").exists()
        raise KeyboardInterrupt
    assert not place.exists()


def test_what_a_killed_comparison_left_running_is_ended_by_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(root, "seed: 2")
    killed = subprocess.Popen(["sleep", "0"])
    killed.wait()
    left = subprocess.Popen(["sleep", "60"], env=os.environ | {OWNER: str(killed.pid)})
    monkeypatch.chdir(root)
    with pytest.raises(AuscultError, match="no revision"):
        report("mian", lambda line: None)
    left.wait(5)  # long before its time


GRAPH = """
stages:
  a: {cmd: echo a > a.txt, outs: [a.txt]}
  b:
    cmd: |-
      echo working
      echo "ERROR: no such thing as $PWD/b.txt"
      echo '  next:  mend it'
      exit 2
    deps: [a.txt]
    outs: [b.txt]
  c: {cmd: cat b.txt > c.txt, deps: [b.txt], outs: [c.txt]}
  d: {cmd: cat a.txt > d.txt, deps: [a.txt], outs: [d.txt]}
"""


def test_a_stage_that_fails_stops_only_those_that_need_it(root: Path) -> None:
    (root / "dvc.yaml").write_text(GRAPH)
    lines: list[str] = []
    run = reproduce_all(root, lines.append)
    assert {name: work.did for name, work in run.stages.items()} == {
        "a": "ran",
        "b": "failed",
        "c": "not reached",
        "d": "ran",
    }
    assert run.fault == "" and "working" in lines
    assert run.why_missing("b") == "stage b failed: no such thing as b.txt", "not where that is on this machine"
    assert run.why_missing("c") == "stage c was not reached: it needs b, which failed"
    assert run.why_missing("e") == "DVC did not look at stage e", "as where DVC was ended after a failure"
    assert run.why_missing("d") == "" and run.stages["d"].seconds is not None
    assert run.stages["b"].seconds is not None and run.stages["c"].seconds is None
    (root / "d.txt").unlink()
    again = reproduce_all(root, lines.append, ["d"])
    assert {name: work.did for name, work in again.stages.items()} == {"a": "unchanged", "d": "taken from cache"}


def test_a_graph_that_dvc_cannot_read_is_a_fault_of_the_side(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages:\n  a: {cmd: echo a, outs: a.txt}\n")
    run = reproduce_all(root, lambda line: None)
    assert run.stages == {} and run.fault.startswith("dvc repro: ")
    assert run.why_missing("evaluate@x") == run.fault


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"validation": {}}',
        '{"validation": {"score": "x"}, "test": {}}',
        '{"validation": [], "test": 1}',
    ],
)
def test_a_metrics_file_that_cannot_be_read_has_no_figures_and_a_reason(content: str) -> None:
    figures, why = revision._figures(content.encode())
    assert figures == {} and why


def test_a_missing_metrics_file_and_one_with_nan_have_a_reason_too() -> None:
    assert "no such file in git" in revision._figures(None)[1]
    assert "no number" in revision._figures(json.dumps({"validation": {"score": math.nan}, "test": {}}).encode())[1]


def test_leaves_that_differ_are_named_with_dots() -> None:
    old = {"train": {"seed": 1, "gone": None}, "experiments": {"a": {"task": "x"}}, "same": [1, 2]}
    new = {"train": {"seed": "1"}, "experiments": {"a": {"task": "x"}, "b": {}}, "same": [1, 2]}
    found = {each.name: (each.base, each.head) for each in recorded.parameters(old, new)}
    assert found == {"train.seed": ("1", '"1"'), "train.gone": ("null", None), "experiments.b": (None, "{}")}


def entry(**changes: Any) -> dict[str, Any]:
    made = {
        "deps": [{"path": "auscult/training/loop.py", "md5": "1"}, {"path": "data/x", "md5": "1"}],
        "params": {"params.yaml": {"train.seed": 1}},
        "outs": [{"path": "models/sample/x", "md5": "1", "size": 100}],
    }
    return made | changes


def test_a_stage_says_which_of_its_parts_differ() -> None:
    old = {"train": entry(), "gone": entry(), "still": entry(), "evaluate": entry()}
    new = {
        "train": entry(
            deps=[{"path": "auscult/training/loop.py", "md5": "2"}, {"path": "data/x", "md5": "2"}],
            params={"params.yaml": {"train.seed": 2}},
            outs=[{"path": "models/sample/x", "md5": "2", "size": 50}],
        ),
        "still": entry(),
        "evaluate": entry(),
        "new": entry(),
    }
    run = Run({"train": Work("ran", 2.0), "still": Work("unchanged"), "evaluate": Work("ran", 1.0)})
    found = {each.name: each for each in recorded.stages(old, new, Run(), run)}
    assert {name: each.state for name, each in found.items()} == {
        "train": "changed",
        "evaluate": "unchanged",
        "new": "added",
        "gone": "removed",
    }
    train = found["train"]
    assert (train.code, train.inputs) == (("auscult/training/loop.py",), ("data/x",))
    assert (train.parameters, train.outputs) == (("train.seed",), ("models/sample/x",))
    assert (train.head_did, train.head_seconds, train.base_did) == ("ran", 2.0, None)
    (models, everything) = recorded.sizes(old, new, both=True)
    assert (models.base, models.head) == (400, 350) and everything.head == 350
