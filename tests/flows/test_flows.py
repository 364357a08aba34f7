"""The flows end to end: a real Prefect server, a bare git remote, a DVC remote in a folder.

The tests share one service. Each test may run alone: what it needs, it makes or asks for as a fixture.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from auscult.publishing.journal import Journal
from auscult.registry.outputs import registered_name
from auscult.registry.versions import CHAMPION, Registry
from tests.flows.repositories import git
from tests.flows.service import DATASET, EXPERIMENT, Service, commit, repository
from tests.pipeline.workspace import run, set_params
from tests.waiting import wait_for


@dataclass
class Run:
    """A retraining that has ended, and what it left at that moment."""

    state: dict[str, Any]
    champion: str | None
    branches: set[str]
    is_clean: bool


def ended(service: Service, number: int, known: set[str]) -> Run:
    """Wait for the end of a retraining; *known* are the branches that the remote had before."""
    state = service.finished(number)
    return Run(state, service.champion(), set(service.branches()) - known, service.is_clean())


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(repository(tmp_path_factory.mktemp("flows")))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def first(started: Service) -> Run:
    """The first retraining, started by a schedule; its branch is merged, as a person would."""
    started.due_in(3.0)
    outcome = ended(started, 0, set())
    assert not (started.root / "dvc.lock").exists(), "the checkout is unchanged"
    for branch in outcome.branches:
        git(started.root, "pull", "-q", "--ff-only", "origin", branch)
    run(started.root, "dvc", "checkout", "-q")
    git(started.root, "push", "-q", "origin", "HEAD")
    return outcome


@pytest.fixture
def service(started: Service, first: Run) -> Service:
    """The service after its first retraining."""
    return started


def test_a_scheduled_retraining_promotes_a_first_model_and_publishes_its_branch(first: Run) -> None:
    assert (first.state["state_name"], first.state["auto_scheduled"]) == ("Promoted", True), first.state["state"]
    assert first.champion == "1"
    (branch,) = first.branches
    assert branch.startswith("retrain/20")
    assert first.is_clean


def test_the_published_branch_gives_another_clone_data_and_model(service: Service, first: Run, tmp_path: Path) -> None:
    (branch,) = first.branches
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", "--branch", branch, git(service.root, "remote", "get-url", "origin"), str(other))
    run(other, "dvc", "pull", "-q")
    assert run(other, "dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert (other / "models" / DATASET / EXPERIMENT / "model.json").exists()


def test_the_cron_schedule_of_prefect_yaml_has_scheduled_runs(service: Service) -> None:
    asked = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    waiting = service.ask("POST", "flow_runs/filter", asked)
    hour = next(s["schedule"]["cron"] for s in service.nightly()["schedules"] if "cron" in s["schedule"]).split()[1]
    assert any(run["expected_start_time"][11:16] == f"{hour:0>2}:00" for run in waiting)


def test_each_stage_is_a_task_run_and_the_decision_an_artifact(service: Service, first: Run) -> None:
    wanted = {"flow_runs": {"id": {"any_": [first.state["id"]]}}}
    tasks = service.ask("POST", "task_runs/filter", wanted)
    names = {task["name"] for task in tasks}
    stages = {"download", "validate", "split", "resample", "features", "balance"}
    assert stages | {f"{stage}@{EXPERIMENT}" for stage in ("train", "evaluate")} <= names
    artifacts = service.ask("POST", "artifacts/filter", wanted)
    assert any("Promote: " in artifact["data"] for artifact in artifacts)


@pytest.fixture(scope="module")
def kept(started: Service, first: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A retraining started by drift, under a rule that no model passes; its server is killed while it works."""
    number, known = len(started.runs()), set(started.branches())
    set_params(started.root, {"train.seed": 99, "flows.gate.min_recall": 1.0})
    commit(started.root, "another seed, and a minimum recall that no model reaches")
    folder = another_device(started.root, tmp_path_factory.mktemp("device"))
    assert json.loads(started.command("monitor", str(folder), "--json").stdout)["drifted"]
    wait_for(lambda: Journal(started.root, "retrain").read(), started.said)
    server = next(p for p in psutil.process_iter() if _is_server(p, started.port))
    server.kill()
    run = ended(started, number, known)
    git(started.root, "revert", "--no-edit", "HEAD")
    git(started.root, "push", "-q", "origin", "HEAD")
    return run


def test_a_drift_event_starts_a_retraining_that_finishes_after_its_server_was_killed(
    service: Service, first: Run, kept: Run
) -> None:
    assert (kept.state["state_name"], kept.state["auto_scheduled"]) == ("Kept", False), kept.state["state"]["message"]
    assert "the minimum is 100.0" in kept.state["state"]["message"]
    assert "server had ended and was started again" in service.said()
    assert (kept.champion, kept.branches) == (first.champion, set())
    assert kept.is_clean


def another_device(root: Path, folder: Path) -> Path:
    """Write the training recordings as a device with too much gain would record them; return the folder."""
    import numpy as np
    import pandas as pd
    import soundfile

    split = pd.read_parquet(root / f"data/{DATASET}/split/assignment.parquet").set_index("recording_id")["part"]
    recordings = pd.read_parquet(root / f"data/{DATASET}/manifest/recordings.parquet")
    for row in recordings[recordings["recording_id"].map(split) == "development"].itertuples():
        audio, rate = soundfile.read(root / "data" / row.path)
        soundfile.write(folder / f"{row.recording_id}.wav", 0.6 * np.tanh(20.0 * audio / audio.std()), rate)
    return folder


def _is_server(process: psutil.Process, port: int) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "server" in words and "start" in words and str(port) in words


def test_the_deployment_manual_promotes_and_the_command_rolls_back(service: Service, kept: Run) -> None:
    before = service.champion()
    assert before is not None and kept.champion == before
    manual = service.ask("GET", "deployments/name/promote/manual")["id"]
    parameters = {"experiment": EXPERIMENT, "because": "a test"}
    service.ask("POST", f"deployments/{manual}/create_flow_run", {"parameters": parameters})
    wait_for(lambda: service.champion() == str(int(before) + 1), service.said)
    said = service.command("models", "rollback", EXPERIMENT, "--because", "only a test").stdout
    assert f"version {before} of" in said
    assert service.champion() == before


def test_a_failed_stage_changes_neither_champion_nor_remote_nor_checkout(service: Service) -> None:
    before = (service.champion(), service.branches())
    set_params(service.root, {"validate.min_duration_s": 1000.0})
    git(service.root, "commit", "-q", "-a", "-m", "no recording is that long")
    git(service.root, "branch", "broken")
    git(service.root, "reset", "-q", "--hard", "HEAD~1")
    failed = service.command("models", "retrain", "--revision", "broken", check=False)
    assert failed.returncode == 2
    assert "dvc repro --single-item validate ended with" in failed.stderr
    assert "no recording left" in failed.stderr
    assert (service.champion(), service.branches()) == before
    assert service.is_clean()


def test_a_kill_at_a_random_moment_publishes_and_promotes_both_or_neither(service: Service) -> None:
    _remove_champion(service)
    before = service.branches()
    moments = random.Random(7)
    for decided, at_most_s in ((False, 15.0), (True, 5.0)):  # before and after the decision
        began = service.begin("models", "retrain", "--experiment", EXPERIMENT)
        wait_for(lambda decided=decided: _is_running(service, decided), service.said, began)  # type: ignore[misc]
        time.sleep(moments.uniform(0.0, at_most_s))
        began.send_signal(signal.SIGKILL)
        began.wait()
        wait_for(lambda: service.runs()[-1]["state_type"] == "CRASHED", service.said)
        if service.champion() is not None:  # decided and published, or neither
            assert len(service.branches()) == len(before) + 1
    with Journal(service.root, "retrain").held("a test"):
        Journal(service.root, "retrain").recover()
    assert (service.champion() is not None) == (len(service.branches()) == len(before) + 1)
    assert service.is_clean()


def _is_running(service: Service, decided: bool = False) -> bool:
    """Return whether a retraining is in progress, with *decided*, one that will promote a model."""
    entry = Journal(service.root, "retrain").read()
    return entry is not None and (not decided or entry.branch != "")


def _remove_champion(service: Service) -> None:
    """Remove the alias of the champion, so that the next retraining promotes."""
    from mlflow.exceptions import MlflowException

    set_params(service.root, {"train.seed": 31, "flows.gate.min_recall": 0.0})
    if git(service.root, "status", "--porcelain"):
        commit(service.root, "the first seed again, and no minimum recall")
    registry = Registry(service.root)
    with suppress(MlflowException):
        registry.client.delete_registered_model_alias(registered_name(DATASET, EXPERIMENT), CHAMPION)
    registry.record(DATASET, EXPERIMENT)  # git must not take it for a registry that was lost


def test_new_recordings_start_a_retraining_and_a_kill_of_all_processes_marks_it_as_crashed(
    service: Service, tmp_path: Path
) -> None:
    shutil.copytree(more_patients(service.root, tmp_path / "made"), service.root / "data/inbox" / DATASET)
    head = git(service.root, "rev-parse", "HEAD")
    number = len(service.runs())
    said = service.command("data", "ingest").stdout
    assert "Added: " in said and "left out" in said
    assert git(service.root, "rev-parse", "HEAD") == head
    git(service.root, "fetch", "-q")
    changed = git(service.root, "diff", "--name-only", "HEAD", "origin/ingest").splitlines()
    assert changed and all(path.startswith(f"data/added/{DATASET}/") for path in changed)
    wait_for(lambda: len(service.runs()) > number and _is_running(service), service.said)
    begun = service.runs()[number]
    assert begun["parameters"]["revision"] == git(service.root, "rev-parse", "origin/ingest")

    deployment = service.nightly()
    schedule, path = deployment["schedules"][0]["id"], f"deployments/{deployment['id']}"
    service.ask("PATCH", f"{path}/schedules/{schedule}", {"active": False})
    assert _is_running(service) and service.process is not None
    everything = [service.process.pid, *(p.pid for p in psutil.Process(service.process.pid).children(recursive=True))]
    for pid in everything:
        with suppress(ProcessLookupError):  # a short command of a flow may have ended
            os.kill(pid, signal.SIGKILL)
    service.process.wait()
    service.start()
    assert "marked as crashed" in service.said()
    assert service.ask("GET", f"flow_runs/{begun['id']}")["state_type"] == "CRASHED"
    active = {each["id"]: each["active"] for each in service.nightly()["schedules"]}
    assert active == {each["id"]: each["id"] != schedule for each in deployment["schedules"]}
    assert service.is_clean()


def more_patients(root: Path, folder: Path) -> Path:
    """Write a delivery of new patients."""
    code = (
        "import sys; from pathlib import Path; from auscult.core import params; from auscult.datasets import load\n"
        "p = params.load(); s = p.download.sample.model_copy(update={'patients': 8, 'seed': 5})\n"
        "d = p.download.model_copy(update={'sample': s})\n"
        "load('sample').make(Path(sys.argv[1]), p.model_copy(update={'download': d}))\n"
    )
    folder.mkdir()
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=root, check=True)
    return folder


def test_without_remotes_a_retraining_with_new_recordings_promotes_and_keeps_a_local_branch(
    service: Service, tmp_path: Path
) -> None:
    _remove_champion(service)
    url = git(service.root, "remote", "get-url", "origin")
    git(service.root, "remote", "remove", "origin")
    run(service.root, "dvc", "remote", "remove", "-q", "store")
    commit(service.root, "no remote")
    before = set(git(service.root, "branch", "--format=%(refname:short)").splitlines())
    delivery = more_patients(service.root, tmp_path / "made")
    said = service.command("models", "retrain", "--data", str(delivery))
    assert "Promoted: " in said.stdout, said.stdout + said.stderr
    assert "recordings added" in said.stderr and "stays here" in said.stderr
    (branch,) = set(git(service.root, "branch", "--format=%(refname:short)").splitlines()) - before
    assert branch.startswith("retrain/20")
    changed = git(service.root, "diff", "--name-only", "HEAD", branch).splitlines()
    assert "dvc.lock" in changed and any(path.startswith(f"data/added/{DATASET}/") for path in changed)
    assert service.champion() is not None
    assert service.is_clean()
    git(service.root, "remote", "add", "origin", url)
    git(service.root, "reset", "-q", "--hard", "HEAD~1")
