"""Which revisions are compared, what is read of each, and what their locks and parameters record."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auscult.comparison import revisions
from auscult.comparison.differences import Evaluated
from auscult.comparison.document import Parameter, Revision
from auscult.comparison.report import report
from auscult.comparison.revisions import (
    base_of,
    changed_parameters,
    changed_stages,
    committed,
    head_of,
    read,
    uncommitted,
)
from auscult.core.errors import AuscultError
from auscult.core.process import OWNER
from auscult.versioning import worktree
from auscult.versioning.graph import Run, StageRun
from tests.comparison.predictions import evaluated
from tests.contract.imports import ROOT
from tests.flows.repositories import git, make
from tests.pipeline.workspace import set_params
from tests.registry.gate.simulated import TASK, simulate

EXPERIMENT = "one"
FOLDER = Path("reports/sample/experiments") / EXPERIMENT
HERE = Revision("change", "a" * 40, False, "")
METRICS = f"reports/sample/metrics/{EXPERIMENT}.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "clone")


def commit(root: Path, text: str) -> str:
    (root / "params.yaml").write_text(text)
    git(root, "commit", "-q", "-am", text)
    return git(root, "rev-parse", "HEAD")


def test_the_base_is_the_merge_base(root: Path) -> None:
    fork = commit(root, "seed: 2")
    git(root, "checkout", "-q", "-b", "change")
    mine = commit(root, "seed: 3")
    git(root, "checkout", "-q", "main")
    commit(root, "seed: 4")
    git(root, "checkout", "-q", "change")
    head = head_of(root)
    assert (head.name, head.commit, head.dirty) == ("change", mine, False)
    assert base_of(root, "main", head).commit == fork


def test_a_named_head_is_compared_in_place_of_the_checkout(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "change")
    mine = commit(root, "seed: 3")
    git(root, "checkout", "-q", "main")
    fork = git(root, "rev-parse", "HEAD")
    commit(root, "seed: 4")
    (root / "params.yaml").write_text("seed: being edited")
    head = head_of(root, "change")
    assert (head.name, head.commit, head.dirty, head.fault) == ("change", mine, False, "")
    assert base_of(root, "main", head).commit == fork
    with pytest.raises(AuscultError, match="chaneg"):
        head_of(root, "chaneg")


def test_uncommitted_changes_make_a_checkout_dirty_but_outputs_of_the_pipeline_do_not(root: Path) -> None:
    (root / "dvc.lock").write_text("written by the pipeline")
    (root / "reports/sample/metrics").mkdir(parents=True)
    (root / "reports/sample/metrics/x.json").write_text("{}")
    assert not head_of(root).dirty
    (root / "params.yaml").write_text("seed: being edited")
    assert head_of(root).dirty


def test_outputs_that_the_pipeline_wrote_are_listed_but_nothing_else(root: Path) -> None:
    (root / "dvc.lock").write_text("stages: {}")
    git(root, "add", "dvc.lock")
    git(root, "commit", "-q", "-m", "lock")
    assert revisions.uncommitted_outputs(root) == []
    (root / "dvc.lock").write_text("written by the pipeline")
    (root / "reports/sample/metrics").mkdir(parents=True)
    (root / "reports/sample/metrics/x.json").write_text("{}")
    (root / "params.yaml").write_text("seed: being edited")
    (root / "note.md").write_text("a note")
    assert revisions.uncommitted_outputs(root) == ["dvc.lock", "reports/sample/metrics/x.json"]


def test_an_unknown_revision_is_an_error(root: Path) -> None:
    commit(root, "seed: 2")
    with pytest.raises(AuscultError, match="mian"):
        base_of(root, "mian", head_of(root))


def test_the_first_commit_has_no_base_but_uncommitted_changes_on_it_have(root: Path) -> None:
    head = head_of(root)
    assert "first commit" in base_of(root, "trunk", head).fault
    assert "first commit" in base_of(root, "main", head).fault
    (root / "params.yaml").write_text("seed: being edited")
    assert base_of(root, "main", head_of(root)).commit == head.commit


def test_an_unrelated_history_has_no_base(root: Path) -> None:
    git(root, "checkout", "-q", "--orphan", "other")
    commit(root, "seed: 9")
    commit(root, "seed: 10")
    base = base_of(root, "main", head_of(root))
    assert base.commit == "" and "in common" in base.fault


def test_a_repository_without_a_commit_is_an_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(AuscultError):
        head_of(tmp_path)


def test_the_next_comparison_removes_the_worktree_of_a_killed_one(root: Path) -> None:
    killed = worktree.create(root, f"{revisions.PREFIX}0123456789", "HEAD")
    others = worktree.create(root, "retrain-1", "HEAD")
    revisions.remove_old_worktrees(root)
    assert not killed.exists() and others.exists()
    interrupted = revisions.checked_out(root, "head", git(root, "rev-parse", "HEAD"))
    place = interrupted.__enter__()
    assert (place / "params.yaml").exists()
    interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not place.exists()


def test_the_next_comparison_ends_processes_of_a_killed_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(root, "seed: 2")
    killed = subprocess.Popen(["sleep", "0"])
    killed.wait()
    left = subprocess.Popen(["sleep", "60"], env=os.environ | {OWNER: str(killed.pid)})
    monkeypatch.chdir(root)
    with pytest.raises(AuscultError, match="mian"):
        report("mian")
    left.wait(5)  # it would sleep for 60 s


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with one evaluated experiment."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(
        tmp_path,
        {
            "experiments": {EXPERIMENT: {"task": "abnormal", "features": "logmel", "model": "cnn2d"}},
            "combinations": {},
        },
    )
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / METRICS).parent.mkdir(parents=True)
    (tmp_path / FOLDER / "evaluation.json").write_text(json.dumps({"task": TASK.to_json()}))
    (given,) = simulate(1.0, patients=10)
    evaluated(given).table.to_parquet(tmp_path / FOLDER / "predictions.parquet")
    (tmp_path / METRICS).write_text('{"validation": {"score": 0.5}, "test": {}}')
    return tmp_path


def found(place: Path, run: Run | None = None) -> tuple[Evaluated | str, list[tuple[str, str]]]:
    one = read(place, HERE, run or Run(), uncommitted(place))
    return one.experiments[EXPERIMENT], one.faults


def test_valid_predictions_are_read_without_a_fault(place: Path) -> None:
    one, faults = found(place)
    assert isinstance(one, Evaluated) and faults == []
    assert one.task == TASK and one.in_git == {"validation": {"score": 0.5}, "test": {}}


FAULTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "lacks the column predicted": lambda table: table.drop(columns="predicted"),
    "a unit twice": lambda table: pd.concat([table, table[:1]]),
    "a unit without times": lambda table: table.assign(start_s=np.nan),
    "a class in class_index": lambda table: table.assign(class_index=2),
    "a class in predicted": lambda table: table.assign(predicted=-1),
    "invalid probabilities": lambda table: table.assign(p_normal=np.nan),
    "missing, negative": lambda table: table.assign(p_normal=-0.5, p_abnormal=1.5),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_invalid_predictions_are_not_compared(place: Path, fault: str) -> None:
    path = place / FOLDER / "predictions.parquet"
    FAULTS[fault](pd.read_parquet(path)).to_parquet(path)
    why, faults = found(place)
    assert isinstance(why, str) and fault in why
    assert faults == [(FOLDER.as_posix(), why)]


@pytest.mark.parametrize("file", ["predictions.parquet", "evaluation.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_missing_or_damaged_file_has_a_reason_without_absolute_paths(place: Path, file: str, damage: str) -> None:
    path = place / FOLDER / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    why, faults = found(place)
    assert isinstance(why, str) and file in why and str(place) not in why
    assert len(faults) == 1


def test_old_outputs_of_a_failed_stage_are_not_read(place: Path) -> None:
    one, faults = found(place, Run({f"evaluate@{EXPERIMENT}": StageRun("failed", 1.0, "no memory")}))
    assert one == f"stage evaluate@{EXPERIMENT} failed: no memory"
    assert faults == [(f"experiment {EXPERIMENT}", one)]


def test_a_combination_is_read_as_an_experiment_with_the_stages_that_make_it(place: Path) -> None:
    members = [EXPERIMENT, EXPERIMENT]
    mixed = {"task": "abnormal", "features": "logmel", "members": members, "method": "ensemble"}
    set_params(place, {"combinations": {"mixed": mixed}})
    shutil.copytree(place / FOLDER, place / "reports/sample/experiments/mixed")
    weights = place / "models/combined/sample/mixed/members/one/weights"
    weights.mkdir(parents=True)
    (weights / "fold-0.safetensors").write_bytes(b"x" * 2_000_000)
    (place / "models/combined/sample/mixed/model.json").write_text("{}")
    one = read(place, HERE, Run(), uncommitted(place)).experiments["mixed"]
    assert isinstance(one, Evaluated) and one.size_mb == 2.0
    broken = Run({"combine": StageRun("failed", 1.0, "no memory")})
    failed = read(place, HERE, broken, uncommitted(place)).experiments["mixed"]
    assert failed == "DVC did not check stage evaluate_combined@mixed"
    broken = Run({"combine": StageRun("failed", 1.0, "no memory"), "evaluate_combined@mixed": StageRun("ran", 1.0, "")})
    failed = read(place, HERE, broken, uncommitted(place)).experiments["mixed"]
    assert failed == "stage combine failed: no memory"


def test_a_metrics_file_missing_in_git_is_a_fault_and_predictions_are_read(place: Path) -> None:
    (place / METRICS).unlink()
    one, faults = found(place)
    assert isinstance(one, Evaluated) and one.in_git == {}
    assert [where for where, _ in faults] == [METRICS]


def test_committed_metrics_are_those_of_the_commit_also_after_a_run(place: Path) -> None:
    (place / "dvc.lock").write_text("stages: {a: {cmd: echo}}\n")
    identity = "-c", "user.name=Test", "-c", "user.email=test@example.org"
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "start")):
        git(place, *arguments)
    (place / METRICS).write_text('{"validation": {"score": 0.9}, "test": {}}')
    (place / "dvc.lock").unlink()
    (place / METRICS).with_name("other.json").write_text("{}")
    assert committed(place).metrics == {METRICS: b'{"validation": {"score": 0.5}, "test": {}}'}
    assert committed(place).lock == {"a": {"cmd": "echo"}}
    assert (
        set(uncommitted(place).metrics) == {METRICS, METRICS.replace(EXPERIMENT, "other")}
        and uncommitted(place).lock == {}
    )


def test_metrics_of_another_machine_are_not_checked_but_edited_or_outdated_ones_are(place: Path) -> None:
    def lock(code: str, features: str) -> None:
        md5 = hashlib.md5((place / METRICS).read_bytes()).hexdigest()
        deps = [
            {"path": "auscult/evaluation/metrics.py", "md5": code},
            {"path": "data/sample/features", "md5": features},
        ]
        stage = {"deps": deps, "outs": [{"path": METRICS, "hash": "md5", "md5": md5, "size": 1}]}
        (place / "dvc.lock").write_text(json.dumps({"stages": {"evaluate": stage}}))

    def cause() -> str:
        """Return why the metrics in git are compared with those computed here; empty where they are not."""
        lock("new", "computed here")
        one = read(place, HERE, Run(), before).experiments[EXPERIMENT]
        assert isinstance(one, Evaluated) and (one.in_git != {}) == bool(one.why_outdated)
        return one.why_outdated

    lock("new", "computed elsewhere")
    before = uncommitted(place)
    assert not cause()
    lock("old", "computed elsewhere")
    before = uncommitted(place)
    assert cause().startswith("auscult/evaluation/metrics.py of stage evaluate changed")
    lock("new", "computed elsewhere")
    (place / METRICS).write_text('{"validation": {"score": 0.9}, "test": {}}')
    before = uncommitted(place)
    assert "edited" in cause()
    (place / "dvc.lock").unlink()
    before = uncommitted(place)
    assert "does not record" in cause()


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
def test_an_unreadable_metrics_file_has_a_reason(content: str) -> None:
    metrics, reason = revisions._metrics(content.encode())
    assert metrics == {} and reason


def test_a_missing_metrics_file_and_one_with_nan_have_a_reason() -> None:
    assert "in git" in revisions._metrics(None)[1]
    assert (
        "validation.score"
        in revisions._metrics(json.dumps({"validation": {"score": math.nan}, "test": {}}).encode())[1]
    )


def test_parameters_that_differ_have_dotted_names() -> None:
    old = {"train": {"seed": 1, "gone": None}, "experiments": {"a": {"task": "x"}}, "same": [1, 2]}
    new = {"train": {"seed": "1"}, "experiments": {"a": {"task": "x"}, "b": {}}, "same": [1, 2]}
    found = {each.name: (each.base, each.head) for each in changed_parameters(old, new)}
    assert found == {"train.seed": ("1", '"1"'), "train.gone": ("null", None), "experiments.b": (None, "{}")}


def write_settings(place: Path, text: str) -> None:
    (place / "flows").mkdir(exist_ok=True)
    (place / "flows/settings.yaml").write_text(text)


def test_a_changed_setting_of_the_flows_is_a_changed_parameter(place: Path) -> None:
    found = []
    for margin in (0.02, 0.01):
        write_settings(place, f"gate: {{margin: {margin}}}")
        found.append(read(place, HERE, Run(), uncommitted(place)).params)
    assert changed_parameters(*found) == [Parameter("flows.gate.margin", "0.02", "0.01")]


def test_settings_in_the_earlier_layout_are_compared_with_those_of_today(place: Path) -> None:
    write_settings(place, "gate: {margin: 0.02}")
    head = read(place, HERE, Run(), uncommitted(place)).params
    (place / "flows/settings.yaml").unlink()
    with (place / "params.yaml").open("a") as file:
        file.write("\nflows: {gate: {margin: 0.02}}\n")
    base = read(place, HERE, Run(), uncommitted(place)).params
    assert changed_parameters(base, head) == []


def test_a_change_at_the_end_of_a_long_parameter_is_shown() -> None:
    long = "x" * 1000
    (found,) = changed_parameters({"a": f"{long}1"}, {"a": f"{long}2"})
    assert found.name == "a" and len(found.base or "") == 500


def entry(**changes: Any) -> dict[str, Any]:
    made = {
        "deps": [{"path": "auscult/training/loop.py", "md5": "1"}, {"path": "data/x", "md5": "1"}],
        "params": {"params.yaml": {"train.seed": 1}},
        "outs": [{"path": "models/sample/x", "md5": "1", "size": 100}],
    }
    return made | changes


def test_a_changed_stage_names_what_differs() -> None:
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
    run = Run({"train": StageRun("ran", 2.0), "still": StageRun("unchanged"), "evaluate": StageRun("ran", 1.0)})
    found = {each.name: each for each in changed_stages(old, new, Run(), run)}
    assert {name: each.state for name, each in found.items()} == {
        "train": "changed",
        "evaluate": "unchanged",
        "new": "added",
        "gone": "removed",
    }
    train = found["train"]
    assert (train.code, train.inputs) == (("auscult/training/loop.py",), ("data/x",))
    assert (train.parameters, train.outputs) == (("train.seed",), ("models/sample/x",))
    assert (train.head_outcome, train.head_seconds, train.base_outcome) == ("ran", 2.0, None)
    (models, everything) = revisions.sizes(old, new, both=True)
    assert (models.base, models.head) == (400, 350) and everything.head == 350
