"""The workflow files keep the project's rules, and agree with the code that they call."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
import yaml
from _pytest.mark.expression import Expression

from auscult.comparison import document
from auscult.comparison.comment import artifact
from tests.waiting import HANGS_AFTER_S
from tests.workflows.rules import MAIN_ONLY, ROOT, WORKFLOWS, action, faults, jobs, steps, triggers


def text(name: str) -> str:
    """Return the content of a workflow file."""
    return (ROOT / WORKFLOWS / f"{name}.yml").read_text()


def test_the_workflows_keep_every_rule() -> None:
    assert faults(ROOT) == []


PIN = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
PLANTED = {
    "an action by tag": ("ci", PIN, "actions/checkout@v7", "not pinned"),
    "a pin without a version": ("ci", PIN, PIN.partition(" #")[0], "not pinned"),
    "default permissions": ("ci", "permissions: {}\n", "", "permissions at the top"),
    "an additional permission": ("pr-metrics", "contents: read", "contents: write", "other permissions"),
    "a missing permission": ("pr-comment", "      pull-requests: write # the comment\n", "", "other permissions"),
    "a secret": ("ci", "${{ vars.PIP_EXTRA_INDEX_URL }}", "${{ secrets.INDEX }}", "secrets"),
    "no time limit": ("pr-comment", "    timeout-minutes: 15\n", "", "no time limit"),
    "a branch name in a command": ("pr-metrics", '"$BASE"', "${{ github.head_ref }}", "an expression in a command"),
    "logic in a command": ("ci", 'make "$TARGET"', "make lint && make test", "not a command of the project"),
    "a matrix target that does not exist": (
        "ci",
        "target: test-flows",
        "target: test-flow",
        "not a command of the project",
    ),
    "another variable as the target": (
        "ci",
        "TARGET: ${{ matrix.target }}",
        "TARGET: ${{ matrix.name }}",
        "not a command",
    ),
    "a target that does not exist": ("ci", "make env", "make environment", "not a command of the project"),
    "a module that does not exist": (
        "pr-comment",
        "auscult.comparison.comment",
        "flows.remark",
        "not a command of the project",
    ),
    "a cache that a pull request saves": ("ci", f"if: {MAIN_ONLY} && ", "if: ", "not saved on main only"),
    "a cache that every run saves": ("pr-metrics", "actions/cache/restore@", "actions/cache@", "saves a cache"),
    "pip's cache, which every run saves": (
        "pr-metrics",
        'python-version: "3.11"',
        'python-version: "3.11"\n          cache: pip',
        "saves a cache",
    ),
    "a token that stays in the checkout": ("pr-metrics", "persist-credentials: false", "clean: true", "token stays"),
    "untrusted code with a token": ("pr-metrics", "pull_request:", "pull_request_target:", "untrusted code"),
    "untrusted code checked out": (
        "pr-comment",
        "github.event.repository.default_branch",
        "github.event.workflow_run.head_sha",
        "not the default branch",
    ),
}


@pytest.mark.parametrize(("name", "old", "new", "expected"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_violation_is_found(tmp_path: Path, name: str, old: str, new: str, expected: str) -> None:
    shutil.copytree(ROOT / WORKFLOWS, tmp_path / WORKFLOWS)
    path = tmp_path / WORKFLOWS / f"{name}.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = faults(tmp_path)
    assert any(fault.startswith(f"{name}.yml") and expected in fault for fault in found), found


def test_one_action_has_one_pin_everywhere() -> None:
    used = re.findall(r"uses: (\S+?/\S+?)[/@](?:\S+@)?(\S+) #", "".join(map(text, ("ci", "pr-metrics", "pr-comment"))))
    assert len({name for name, _ in used}) == len(set(used))


def test_pull_requests_restore_the_caches_that_main_saves() -> None:
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
def test_a_branch_name_reaches_the_command_unchanged(base: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "pr-report", "PY=echo", "READY=", f"BASE={base}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    assert done.stdout == f"-m auscult compare -- {base}\n", done.stderr


def test_the_uploaded_artifacts_are_those_that_the_comment_downloads() -> None:
    uploads = {
        step["with"]["name"]: step["with"]["path"]
        for step in steps(text("pr-metrics"))
        if action(step) == "actions/upload-artifact"
    }
    assert set(uploads) == {artifact.DATA, artifact.PAGES}
    assert uploads[artifact.DATA] == f"reports/comparison/{document.JSON}"


def test_the_comment_runs_after_the_workflow_that_uploads() -> None:
    assert triggers(text("pr-comment"))["workflow_run"]["workflows"] == [yaml.safe_load(text("pr-metrics"))["name"]]


def test_artifacts_are_uploaded_also_after_a_failed_comparison() -> None:
    uploads = [step for step in steps(text("pr-metrics")) if action(step) == "actions/upload-artifact"]
    assert all(step["if"] == "${{ !cancelled() }}" for step in uploads)


def test_ci_checks_what_a_merge_must_pass() -> None:
    job = jobs(text("ci"))["check"]
    targets = {each["target"] for each in job["strategy"]["matrix"]["include"]}
    assert targets == {"lint", "coverage", "test-pipeline", "test-flows", "docs", "check-repro"}
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make env", 'make "$TARGET"']
    assert re.search(r"^lint:.*\blint-workflows\b", (ROOT / "Makefile").read_text(), re.M)


def test_the_jobs_of_ci_run_every_test() -> None:
    makefile = (ROOT / "Makefile").read_text()
    expressions = []
    for target in ("coverage", "test-pipeline", "test-flows"):
        (options,) = re.findall(rf"^{target}:.*\n\t\$\(PYTEST\) (.*)", makefile, re.M)
        words = shlex.split(options)
        expressions.append(Expression.compile(words[words.index("-m") + 1]))
    for marks in product((False, True), repeat=3):
        marked = {name for name, has in zip(("pipeline", "flows", "slow"), marks, strict=True) if has}
        assert any(each.evaluate(lambda name, marked=marked: name in marked) for each in expressions), marked
