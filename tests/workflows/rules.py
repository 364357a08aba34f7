"""The project's rules for workflow files, beyond their syntax; each rule returns its violations."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = Path(".github/workflows")

#: Permissions of each workflow's jobs; a workflow that is not listed gets none.
RIGHTS = {
    "ci": {"contents": "read"},
    "pr-metrics": {"contents": "read"},
    "pr-comment": {"actions": "read", "contents": "read", "pull-requests": "write"},
}
MAIN_ONLY = "github.event_name == 'push' && github.ref == 'refs/heads/main'"
_PINNED = re.compile(r"uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<sha>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


def faults(root: Path) -> list[str]:
    """Return the violations of all workflows below a repository's root."""
    found = []
    for path in sorted((root / WORKFLOWS).iterdir()):
        text = path.read_text()
        rules = (_pins(text), _rights(path.stem, text), _limits(text), _commands(text), _expressions(text))
        found += [f"{path.name}: {fault}" for rule in (*rules, _caches(text), _privileged(text)) for fault in rule]
    return found


def triggers(text: str) -> dict[str, Any]:
    """Return events and their filters; YAML 1.1 parses the key ``on`` as true."""
    loaded = yaml.safe_load(text)
    found: dict[str, Any] = loaded.get("on", loaded.get(True))
    return found


def jobs(text: str) -> dict[str, dict[str, Any]]:
    """Return the jobs by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["jobs"]
    return found


def steps(text: str) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in jobs(text).values() for step in job["steps"]]


def action(step: dict[str, Any]) -> str:
    """Return the action that a step uses, without its version; empty for a command."""
    return str(step.get("uses", "")).partition("@")[0]


def _pins(text: str) -> list[str]:
    lines = [line.strip().removeprefix("- ") for line in text.splitlines() if re.match(r"\s*(- )?uses:", line)]
    return [f"not pinned by commit with a version comment: {line}" for line in lines if not _PINNED.fullmatch(line)]


def _rights(name: str, text: str) -> list[str]:
    found = []
    if yaml.safe_load(text).get("permissions") != {}:
        found.append("permissions at the top are not {}")
    for job, content in jobs(text).items():
        if content.get("permissions") != RIGHTS.get(name):
            found.append(f"{job} has other permissions than {RIGHTS.get(name)}")
    if "secrets." in text or "secrets:" in text:
        found.append("secrets are used")
    return found


def _limits(text: str) -> list[str]:
    found = [f"{name} has no time limit" for name, job in jobs(text).items() if "timeout-minutes" not in job]
    if "concurrency" not in yaml.safe_load(text):
        found.append("no concurrency group")
    return found


def _commands(text: str) -> list[str]:
    """Allow one command of the project per step, so that CI's work can be run and tested anywhere."""
    found = []
    for job in jobs(text).values():
        targets = [each["target"] for each in job.get("strategy", {}).get("matrix", {}).get("include", [])]
        for step in job["steps"]:
            command = step.get("run")
            from_matrix = command == 'make "$TARGET"' and step.get("env") == {"TARGET": "${{ matrix.target }}"}
            commands = [f"make {target}" for target in targets] if from_matrix else [command]
            found += [f"not a command of the project: {each}" for each in commands if not _ours(each)]
    return found


def _ours(command: str | None) -> bool:
    if command is None:
        return True
    if "\n" in command.strip() or set(command) & set(";&|`<>"):
        return False
    words = shlex.split(command)
    if words[0] == "make":
        named = [word for word in words[1:] if "=" not in word]
        return all(re.search(rf"^{re.escape(name)}:", (ROOT / "Makefile").read_text(), re.M) for name in named)
    if words[:2] == ["python3", "-m"]:
        return (ROOT / words[2].replace(".", "/") / "__main__.py").is_file()
    return False


def _expressions(text: str) -> list[str]:
    """Refuse expressions in commands: titles and branches are untrusted input, so they are passed as variables."""
    return [f"an expression in a command: {step['run']}" for step in steps(text) if "${{" in str(step.get("run"))]


def _caches(text: str) -> list[str]:
    found = []
    for step in steps(text):
        name = action(step)
        if name == "actions/cache" or (name.startswith("actions/setup-") and "cache" in step.get("with", {})):
            found.append(f"{step['uses']} saves a cache on every branch")
        if name == "actions/cache/save" and not str(step.get("if", "")).startswith(MAIN_ONLY):
            found.append("a cache is not saved on main only")
        if name == "actions/cache/restore" and "pull_request" not in triggers(text):
            found.append("a cache is read in a job whose token may write")
    return found


def _privileged(text: str) -> list[str]:
    """Allow a token with write access only beside the default branch's code, and no further actions."""
    found = []
    if "pull_request_target" in triggers(text):
        found.append("pull_request_target runs untrusted code with a token that may write")
    for step in steps(text):
        with_ = step.get("with", {})
        if action(step) == "actions/checkout" and with_.get("persist-credentials") is not False:
            found.append("the token stays in the checkout")
        if "workflow_run" in triggers(text):
            default = with_.get("ref") == "${{ github.event.repository.default_branch }}"
            if action(step) == "actions/checkout" and not (default and "repository" not in with_):
                found.append("not the default branch is checked out")
            if action(step) not in ("actions/checkout", ""):
                found.append(f"{step['uses']} is used in a job whose token may write")
    return found
