"""The workflow files against the project's own rules, and against the code that they call and upload for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from auscult.comparison import document
from auscult.comparison.comment import artifact
from tests.workflows.rules import MAIN_ONLY, ROOT, WORKFLOWS, action, faults, jobs, steps, triggers


def text(name: str) -> str:
    """A workflow file."""
    return (ROOT / WORKFLOWS / f"{name}.yml").read_text()


def test_the_workflows_keep_every_rule() -> None:
    assert faults(ROOT) == []


PIN = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
PLANTED = {
    "an action by its tag": ("ci", PIN, "actions/checkout@v7", "not pinned"),
    "a pin that does not say its version": ("ci", PIN, PIN.partition(" #")[0], "not pinned"),
    "every right for every job": ("ci", "permissions: {}\n", "", "permissions at the top"),
    "a right more": ("pr-metrics", "contents: read", "contents: write", "other rights"),
    "a right less": ("pr-comment", "      pull-requests: write # the comment\n", "", "other rights"),
    "a secret": ("ci", "${{ vars.PIP_EXTRA_INDEX_URL }}", "${{ secrets.INDEX }}", "secrets"),
    "no time limit": ("pr-comment", "    timeout-minutes: 15\n", "", "no time limit"),
    "a branch name in a command": ("pr-metrics", '"$BASE"', "${{ github.head_ref }}", "an expression in a command"),
    "logic in a command": ("ci", "bash .ci/run", "make lint && make test", "no command of the project's"),
    "a target that is not there": ("ci", "make env", "make environment", "no command of the project's"),
    "a module that is not there": (
        "pr-comment",
        "auscult.comparison.comment",
        "flows.remark",
        "no command of the project's",
    ),
    "a cache that a pull request saves": ("ci", f"if: {MAIN_ONLY} && ", "if: ", "saved elsewhere than on main"),
    "a cache that is saved at the end": ("pr-metrics", "actions/cache/restore@", "actions/cache@", "saves a cache"),
    "pip's cache, which is saved at the end": (
        "pr-metrics",
        'python-version: "3.11"',
        'python-version: "3.11"\n          cache: pip',
        "saves a cache",
    ),
    "a token that stays in the checkout": ("pr-metrics", "persist-credentials: false", "clean: true", "token stays"),
    "a stranger's code beside a token": ("pr-metrics", "pull_request:", "pull_request_target:", "stranger's code"),
    "a stranger's code checked out": (
        "pr-comment",
        "github.event.repository.default_branch",
        "github.event.workflow_run.head_sha",
        "something else than the default branch",
    ),
}


@pytest.mark.parametrize(("name", "old", "new", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    shutil.copytree(ROOT / WORKFLOWS, tmp_path / WORKFLOWS)
    path = tmp_path / WORKFLOWS / f"{name}.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = faults(tmp_path)
    assert any(fault.startswith(f"{name}.yml") and said in fault for fault in found), found


def test_one_action_has_one_pin_everywhere() -> None:
    used = re.findall(r"uses: (\S+?/\S+?)[/@](?:\S+@)?(\S+) #", "".join(map(text, ("ci", "pr-metrics", "pr-comment"))))
    assert len({name for name, _ in used}) == len(set(used))


def test_pull_requests_look_for_the_caches_that_main_saves() -> None:
    restored = {
        name: [step["with"] for step in steps(text(name)) if action(step) == "actions/cache/restore"]
        for name in ("ci", "pr-metrics")
    }
    keys = {name: [(each["path"], each["key"]) for each in found] for name, found in restored.items()}
    assert keys["ci"] == keys["pr-metrics"]
    assert "hashFiles('requirements.lock')" in keys["ci"][0][1]
    assert "hashFiles('dvc.lock')" in keys["ci"][1][1]
    (prefix,) = [each["restore-keys"] for each in restored["pr-metrics"] if "restore-keys" in each]
    assert keys["ci"][1][1].startswith(prefix)


@pytest.mark.parametrize("base", ["origin/release", 'x";id;"', "x`id`", "ü b"])
def test_a_branchs_name_reaches_the_command_as_it_is(base: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "pr-report", "PY=echo", "READY=", f"BASE={base}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"-m auscult compare -- {base}\n", done.stderr


def test_what_is_uploaded_is_what_the_comment_asks_for() -> None:
    uploads = {
        step["with"]["name"]: step["with"]["path"]
        for step in steps(text("pr-metrics"))
        if action(step) == "actions/upload-artifact"
    }
    assert set(uploads) == {artifact.DATA, artifact.PAGES}
    assert uploads[artifact.DATA] == f"reports/comparison/{document.JSON}"


def test_the_comment_follows_the_run_that_uploads() -> None:
    assert triggers(text("pr-comment"))["workflow_run"]["workflows"] == [yaml.safe_load(text("pr-metrics"))["name"]]


def test_what_is_uploaded_is_uploaded_also_where_the_comparison_failed() -> None:
    uploads = [step for step in steps(text("pr-metrics")) if action(step) == "actions/upload-artifact"]
    assert all(step["if"] == "${{ !cancelled() }}" for step in uploads)


def test_ci_does_what_a_merge_must_pass() -> None:
    commands = [step["run"] for step in jobs(text("ci"))["ci"]["steps"] if "run" in step]
    assert commands == ["make env", "bash .ci/run"]
    ran = (ROOT / ".ci/run").read_text()
    assert [ran.count(f"\nmake {target}") for target in ("lint", "test", "repro")] == [1, 1, 2]
    assert re.search(r"^lint:.*\blint-workflows\b", (ROOT / "Makefile").read_text(), re.M)
