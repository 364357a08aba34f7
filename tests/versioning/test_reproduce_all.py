"""Reproduction of one revision's pipeline, and what each stage did."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.versioning.graph import Outcome, reproduce_all, walk
from tests.flows.repositories import make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "clone")


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


def test_a_failed_stage_stops_only_its_dependants(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (root / "dvc.yaml").write_text(GRAPH)
    run = reproduce_all(root)
    assert {name: stage.outcome for name, stage in run.stages.items()} == {
        "a": "ran",
        "b": "failed",
        "c": "not reached",
        "d": "ran",
    }
    assert run.fault == "" and "working" in caplog.messages
    assert run.missing_reason("b") == "stage b failed: no such thing as b.txt", "no absolute paths"
    assert run.missing_reason("c") == "stage c was not reached: it needs b, which failed"
    assert run.missing_reason("e") == "DVC did not check stage e"
    assert run.missing_reason("d") == "" and run.stages["d"].seconds is not None
    assert run.stages["b"].seconds is not None and run.stages["c"].seconds is None
    (root / "d.txt").unlink()
    again = reproduce_all(root, ["d"])
    assert {name: stage.outcome for name, stage in again.stages.items()} == {"a": "unchanged", "d": "taken from cache"}


def test_an_invalid_dvc_yaml_is_a_fault_of_the_run(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages:\n  a: {cmd: echo a, outs: a.txt}\n")
    run = reproduce_all(root)
    assert run.stages == {} and run.fault.startswith("dvc repro: ")
    assert run.missing_reason("evaluate@x") == run.fault


def test_a_walk_up_to_some_stages_leaves_out_what_they_do_not_need(root: Path) -> None:
    (root / "dvc.yaml").write_text(GRAPH)
    seen: list[str] = []

    def run(name: str, due: bool) -> Outcome:
        seen.append(name)
        return "ran"

    walk(root, run, ["d", "a stage of a later revision"])
    assert seen == ["a", "d"]
    walk(root, run)
    assert sorted(seen[2:]) == ["a", "b", "c", "d"]
