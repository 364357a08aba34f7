"""A command that runs a flow: its mistakes are one message, and its run names the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANGS_AFTER_S

ROOT = Path(__file__).resolve().parents[2]
FLOW = """
import os
from prefect import flow, task
from prefect.runtime import flow_run
from auscult.core.errors import AuscultError

@task
def step(error):
    raise error

@flow
def failing(kind):
    print("tags", *flow_run.tags, os.getpid())
    step(AuscultError("the gate is shut", next_step="open it") if kind == "mistake" else KeyError("a bug"))
"""
RUN = """
import sys
from auscult.core.process import run
from auscult.cli.models import run_flow
run(lambda: run_flow("failing", sys.argv[1]))
"""


@pytest.mark.parametrize(("kind", "code"), [("mistake", 2), ("bug", 3)])
def test_a_mistake_has_no_traceback_and_a_bug_has_one_in_a_file(tmp_path: Path, kind: str, code: int) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/failing.py").write_text(FLOW)
    (tmp_path / "dvc.yaml").touch()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") and name != "CI"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, kind],
        cwd=tmp_path,
        env=variables | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\nERROR: ") == 1
    assert ("Traceback" in done.stderr) == (kind == "bug")
    assert len(list((tmp_path / ".cache").glob("auscult-error-*.log"))) == (1 if kind == "bug" else 0)
    *_, tag, pid = next(line for line in done.stdout.splitlines() if line.startswith("tags")).split()
    assert tag.startswith(f"process-{pid}-")
