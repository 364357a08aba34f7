"""What is read of a side: answers in order, or the reason why there are none."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.comparison.revision import Answered, at_hand, committed, read
from auscult.versioning.graph import Run, Work
from tests.comparison.answers import answered
from tests.contract.imports import ROOT
from tests.flows.repositories import git
from tests.pipeline.workspace import set_params
from tests.registry.gate.simulated import TASK, answers

EXPERIMENT = "one"
FOLDER = Path("reports/sample/experiments") / EXPERIMENT
METRICS = f"reports/sample/metrics/{EXPERIMENT}.json"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one evaluated experiment."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(
        tmp_path,
        {"experiments": {EXPERIMENT: {"task": "abnormal", "features": "logmel", "model": "cnn2d"}}},
    )
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / METRICS).parent.mkdir(parents=True)
    (tmp_path / FOLDER / "evaluation.json").write_text(json.dumps({"task": TASK.to_json()}))
    (given,) = answers(1.0, patients=10)
    answered(given).table.to_parquet(tmp_path / FOLDER / "predictions.parquet")
    (tmp_path / METRICS).write_text('{"validation": {"score": 0.5}, "test": {}}')
    return tmp_path


def found(place: Path, run: Run | None = None) -> tuple[Answered | str, list[tuple[str, str]]]:
    side = read(place, run or Run(), at_hand(place))
    return side.experiments[EXPERIMENT], side.faults


def test_answers_in_order_are_read_without_a_fault(place: Path) -> None:
    side, faults = found(place)
    assert isinstance(side, Answered) and faults == []
    assert side.task == TASK and side.in_git == {"validation": {"score": 0.5}, "test": {}}


FAULTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "lacks the column predicted": lambda table: table.drop(columns="predicted"),
    "names a unit twice": lambda table: pd.concat([table, table[:1]]),
    "a unit without times": lambda table: table.assign(start_s=np.nan),
    "a class in class_index": lambda table: table.assign(class_index=2),
    "a class in predicted": lambda table: table.assign(predicted=-1),
    "probabilities that are none": lambda table: table.assign(p_normal=np.nan),
    "negative, missing": lambda table: table.assign(p_normal=-0.5, p_abnormal=1.5),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_answers_that_are_none_are_not_compared(place: Path, fault: str) -> None:
    path = place / FOLDER / "predictions.parquet"
    FAULTS[fault](pd.read_parquet(path)).to_parquet(path)
    why, faults = found(place)
    assert isinstance(why, str) and fault in why
    assert faults == [(FOLDER.as_posix(), why)]


@pytest.mark.parametrize("file", ["predictions.parquet", "evaluation.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_file_that_is_missing_or_damaged_has_a_reason_without_this_machines_paths(
    place: Path, file: str, damage: str
) -> None:
    path = place / FOLDER / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    why, faults = found(place)
    assert isinstance(why, str) and file in why and str(place) not in why
    assert len(faults) == 1


def test_what_a_failed_stage_left_from_before_is_not_taken_for_its_answers(place: Path) -> None:
    side, faults = found(place, Run({f"evaluate@{EXPERIMENT}": Work("failed", 1.0, "no memory")}))
    assert side == f"stage evaluate@{EXPERIMENT} failed: no memory"
    assert faults == [(f"experiment {EXPERIMENT}", side)]


def test_a_metrics_file_that_git_lacks_is_a_fault_beside_answers_in_order(place: Path) -> None:
    (place / METRICS).unlink()
    side, faults = found(place)
    assert isinstance(side, Answered) and side.in_git == {}
    assert [where for where, _ in faults] == [METRICS]


def test_what_git_holds_is_what_was_committed_whatever_a_run_has_made_of_it(place: Path) -> None:
    (place / "dvc.lock").write_text("stages: {a: {cmd: echo}}\n")
    somebody = "-c", "user.name=Test", "-c", "user.email=test@example.org"
    for arguments in (("init", "-q"), ("add", "-A"), (*somebody, "commit", "-q", "-m", "start")):
        git(place, *arguments)
    (place / METRICS).write_text('{"validation": {"score": 0.9}, "test": {}}')
    (place / "dvc.lock").unlink()
    (place / METRICS).with_name("other.json").write_text("{}")
    assert committed(place).metrics == {METRICS: b'{"validation": {"score": 0.5}, "test": {}}'}
    assert committed(place).lock == {"a": {"cmd": "echo"}}
    assert set(at_hand(place).metrics) == {METRICS, METRICS.replace(EXPERIMENT, "other")} and at_hand(place).lock == {}


def test_figures_of_another_machine_are_no_disagreement_but_edited_or_outdated_ones_are(place: Path) -> None:
    def lock(code: str, features: str) -> None:
        md5 = hashlib.md5((place / METRICS).read_bytes()).hexdigest()
        deps = [
            {"path": "auscult/evaluation/metrics.py", "md5": code},
            {"path": "data/sample/features", "md5": features},
        ]
        stage = {"deps": deps, "outs": [{"path": METRICS, "hash": "md5", "md5": md5, "size": 1}]}
        (place / "dvc.lock").write_text(json.dumps({"stages": {"evaluate": stage}}))

    def checked() -> bool:
        """Whether the figures in git are held against those that were made here."""
        lock("new", "made here")
        side = read(place, Run(), before).experiments[EXPERIMENT]
        assert isinstance(side, Answered)
        return side.in_git != {}

    lock("new", "made elsewhere")
    before = at_hand(place)
    assert not checked()
    lock("old", "made elsewhere")
    before = at_hand(place)
    assert checked(), "nobody ran the pipeline after a change of the code"
    lock("new", "made elsewhere")
    (place / METRICS).write_text('{"validation": {"score": 0.9}, "test": {}}')
    before = at_hand(place)
    assert checked(), "edited by hand"
