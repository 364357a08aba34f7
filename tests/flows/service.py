"""A repository with remotes in folders, and ``make flows`` running in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests
import yaml

from auscult.registry.versions import Registry
from tests.flows.repositories import git
from tests.pipeline.workspace import clone, run
from tests.waiting import HANGS_AFTER_S, wait_for

DATASET, EXPERIMENT = "sample", "abnormal_logmel_cnn2d"
CHANGES: dict[str, Any] = {
    "download.sample.patients": 16,
    "validate.max_reject_share": 0.3,
    "split.folds": 3,
    "split.test_share": 0.3,  # four patients with normal segments, as the gate needs
    "train.trials": 1,
    "train.generation": 1,
    "train.epochs": 3,
    "evaluate.bootstrap": 20,
    "experiments": {EXPERIMENT: {"task": "abnormal", "features": "logmel", "model": "cnn2d"}},
    "combinations": {},
    "flows.retrain.experiments": [EXPERIMENT],
    "flows.retrain.retry_delay_s": 0.5,
    "flows.gate.min_patients": 4,
    "flows.monitor.min_recordings": 10,
    "flows.monitor.max_p_value": 0.1,
    "flows.gate.confidence": 0.5,  # these tests are about what follows from a promotion
    "flows.gate.false_promotions": 100.0,
    "flows.gate.seed_deviation": 0.0,
    "flows.gate.min_recall": 0.0,
    "flows.gate.max_calibration_error": 1.0,
}


#: Prefect polls more often than by default.
FREQUENT_POLLS = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "2",
}


#: Changes of the sample data set: abnormal sounds so loud that three epochs detect them on every processor.
LOUD = {
    "crackle_gain=float(10 ** (rng.normal(13.0,": "crackle_gain=float(10 ** (rng.normal(26.5,",
    "wheeze_gain=float(10 ** (rng.normal(1.5,": "wheeze_gain=float(10 ** (rng.normal(14.0,",
    "hair_gain=float(10 ** (rng.normal(9.0,": "hair_gain=float(10 ** (rng.normal(-20.0,",
}


def repository(folder: Path) -> Path:
    """A clone with one experiment, in which nothing has run yet; git and DVC remotes lie beside it."""
    root = clone(folder / "clone", CHANGES)
    renderer = root / "auscult/datasets/synthesis/renderer.py"
    text = renderer.read_text()
    for quiet, loud in LOUD.items():
        assert text.count(quiet) == 1, quiet
        text = text.replace(quiet, loud)
    renderer.write_text(text)
    graph = yaml.safe_load((root / "dvc.yaml").read_text())
    stages = graph["stages"]
    del stages["report"]
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    run(root, "dvc", "remote", "add", "-q", "-d", "store", str(folder / "store"))
    twelve_hours_from_now(root)
    commit(root, "a remote")
    git(root, "clone", "-q", "--bare", ".", str(folder / "origin.git"))
    git(root, "remote", "add", "origin", str(folder / "origin.git"))
    git(root, "fetch", "-q")
    return root


def commit(root: Path, message: str) -> None:
    """Commit everything, and push it where there is a remote."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    if git(root, "remote"):
        git(root, "push", "-q", "origin", "HEAD")


def twelve_hours_from_now(root: Path) -> None:
    """Move all schedules twelve hours away, so that none starts during the tests."""
    path = root / "prefect.yaml"
    content = yaml.safe_load(path.read_text())
    cron = f"0 {(datetime.now(UTC) + timedelta(hours=12)).hour} * * *"
    for deployment in content["deployments"]:
        for schedule in deployment.get("schedules", ()):
            schedule["cron"] = cron
    path.write_text(yaml.safe_dump(content, sort_keys=False))


class Service:
    """``make flows`` on a port of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.log = root.parent / "flows.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it prints the address of its page."""
        seen = len(self.said())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "auscult", "serve-flows", "--port", str(self.port)],
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "Prefect's page" in self.said()[seen:], self.said, self.process)

    def stop(self) -> None:
        """End it like Ctrl-C."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=HANGS_AFTER_S)

    def environment(self) -> dict[str, str]:
        """Return the caller's environment without variables of Prefect."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | FREQUENT_POLLS

    def said(self) -> str:
        """Return what it has printed."""
        return self.log.read_text() if self.log.exists() else ""

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """Return the response of the API; repeat the request while its database is busy, as Prefect's client does."""
        for attempt in range(20):
            answer = requests.request(method, f"{self.api}/{path}", json=content, timeout=HANGS_AFTER_S)
            if answer.status_code != 503:
                break
            time.sleep(0.2 * (attempt + 1))
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def nightly(self) -> dict[str, Any]:
        """Return the deployment of ``retrain``."""
        found: dict[str, Any] = self.ask("GET", "deployments/name/retrain/nightly")
        return found

    def due_in(self, seconds: float) -> None:
        """Add a schedule with one run in so many seconds.

        Prefect's scheduler never makes up for a run whose time was over before it read the schedule, as may happen on
        a busy machine: then the schedule is replaced by a later one.
        """
        path = f"deployments/{self.nightly()['id']}"
        while True:
            due = datetime.now(UTC) + timedelta(seconds=seconds)
            schedule = {"interval": 86400, "anchor_date": due.isoformat(), "timezone": "UTC"}
            (made,) = self.ask("POST", f"{path}/schedules", [{"schedule": schedule, "active": True}])
            # The scheduler examines changed deployments within seconds, all others once a minute.
            self.ask("PATCH", path, {"description": f"due at {due}"})
            if wait_for(partial(self._first_run_of, made["id"]), self.said) < due + timedelta(hours=12):
                return
            self.ask("DELETE", f"{path}/schedules/{made['id']}")
            seconds = 2.0 * seconds + 1.0

    def _first_run_of(self, schedule: str) -> datetime | None:
        runs = self.ask("POST", "flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        times = (run["expected_start_time"] for run in runs if (run["created_by"] or {}).get("id") == schedule)
        first = next(times, None)
        return datetime.fromisoformat(first) if first else None

    def runs(self, flow: str = "retrain") -> list[dict[str, Any]]:
        """Return the flow runs that have begun, the oldest first."""
        asked = {
            "sort": "EXPECTED_START_TIME_ASC",
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        }
        found: list[dict[str, Any]] = self.ask("POST", "flow_runs/filter", asked)
        return found

    def finished(self, number: int) -> dict[str, Any]:
        """Wait for the end of the retraining of that number, counted from zero, and return it."""

        def ended() -> dict[str, Any] | None:
            try:
                run = next(iter(self.runs()[number:]), None)
            except requests.RequestException:  # the server does not respond
                return None
            return run if run and run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

        return wait_for(ended, self._states)

    def _states(self) -> str:
        """Return the states of all flow runs, and what the service has printed."""
        try:
            runs = self.ask("POST", "flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        except requests.RequestException as problem:
            runs = [{"name": "no answer", "state_name": str(problem), "expected_start_time": ""}]
        states = [f"{run['expected_start_time']} {run['name']}: {run['state_name']}" for run in runs]
        return "\n".join([self.said()[-2000:], *states])

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``auscult …`` in the repository."""
        done = subprocess.run(
            [sys.executable, "-m", "auscult", *arguments],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=HANGS_AFTER_S,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the same in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "auscult", *arguments],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def champion(self) -> str | None:
        """Return the version in service."""
        if not (self.root / "mlflow.db").exists():
            return None
        found = Registry(self.root).champion(DATASET, EXPERIMENT)
        return found.number if found is not None else None

    def branches(self) -> list[str]:
        """Return the remote's branches except main."""
        heads = git(self.root, "ls-remote", "--heads", "origin").splitlines()
        names = (head.partition("refs/heads/")[2] for head in heads)
        return sorted(name for name in names if name not in ("main", "master"))

    def is_clean(self) -> bool:
        """Return whether git has no change and no worktree except the repository itself."""
        return git(self.root, "status", "--porcelain") == "" and "\n" not in git(self.root, "worktree", "list")
