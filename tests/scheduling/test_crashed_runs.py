"""Runs of killed commands do not stay Running in Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import HANGS_AFTER_S

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, subprocess, sys
from auscult.scheduling.serving import configure_prefect
configure_prefect()
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Running
from auscult.scheduling.crashed_runs import mark_crashed
from auscult.scheduling.processes import tag_of

@flow
def mine(): ...

dead = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
tags = {"alive": [tag_of(os.getpid())], "dead": [tag_of(dead.pid)], "untagged": []}
dead.kill(); dead.wait()
with get_client(sync_client=True) as client:
    runs = {name: client.create_flow_run(mine, tags=tags[name], name=name, state=Running()) for name in tags}
    def states():
        return " ".join(f"{name}:{client.read_flow_run(run.id).state.type.value}" for name, run in runs.items())
    list(mark_crashed()); print(states())
    list(mark_crashed(set())); print(states())
"""


def test_a_run_whose_process_was_killed_is_marked_and_no_other(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    while_a_worker_runs, before_it_starts = done.stdout.splitlines()[-2:]
    assert while_a_worker_runs == "alive:RUNNING dead:CRASHED untagged:RUNNING", done.stderr
    assert before_it_starts == "alive:RUNNING dead:CRASHED untagged:CRASHED"
