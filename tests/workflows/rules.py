"""What the project asks of its workflow files beyond their syntax; each rule returns what breaks it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = Path(".github/workflows")

#: The rights of each workflow's only job. A workflow that is not listed has none to ask for.
RIGHTS = {
    "ci": {"contents": "read"},
    "pr-metrics": {"contents": "read"},
    "pr-comment": {"actions": "read", "contents": "read", "pull-requests": "write"},
}
MAIN_ONLY = "github.event_name == 'push' && github.ref == 'refs/heads/main'"
_PINNED = re.compile(r"uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<sha>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


def faults(root: Path) -> list[str]:
    """All that is wrong with the workflows below a repository's root."""
    found = []
    for path in sorted((root / WORKFLOWS).iterdir()):
        text = path.read_text()
        rules = (_pins(text), _rights(path.stem, text), _limits(text), _commands(text), _expressions(text))
        found += [f"{path.name}: {fault}" for rule in (*rules, _caches(text), _privileged(text)) for fault in rule]
    return found


def triggers(text: str) -> dict[str, Any]:
    """Events and their filters; YAML 1.1 takes the key ``on`` for true."""
    loaded = yaml.safe_load(text)
    found: dict[str, Any] = loaded.get("on", loaded.get(True))
    return found


def jobs(text: str) -> dict[str, dict[str, Any]]:
    """Jobs by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["jobs"]
    return found


def steps(text: str) -> list[dict[str, Any]]:
    """The steps of all jobs."""
    return [step for job in jobs(text).values() for step in job["steps"]]


def action(step: dict[str, Any]) -> str:
    """Name of the action that a step uses, without its version; empty for a command."""
    return str(step.get("uses", "")).partition("@")[0]


def _pins(text: str) -> list[str]:
    lines = [line.strip().removeprefix("- ") for line in text.splitlines() if re.match(r"\s*(- )?uses:", line)]
    return [
        f"not pinned by commit, with its version beside it: {line}" for line in lines if not _PINNED.fullmatch(line)
    ]


def _rights(name: str, text: str) -> list[str]:
    found = []
    if yaml.safe_load(text).get("permissions") != {}:
        found.append("permissions at the top are not {}")
    for job, content in jobs(text).items():
        if content.get("permissions") != RIGHTS.get(name):
            found.append(f"{job} has other rights than {RIGHTS.get(name)}")
    if "secrets." in text or "secrets:" in text:
        found.append("secrets are used")
    return found


def _limits(text: str) -> list[str]:
    found = [f"{name} has no time limit" for name, job in jobs(text).items() if "timeout-minutes" not in job]
    if "concurrency" not in yaml.safe_load(text):
        found.append("runs of the same thing do not wait for or end each other")
    return found


def _commands(text: str) -> list[str]:
    """The project's own commands only, one a step: what CI does can then be done and tested anywhere."""
    return [f"no command of the project's: {step['run']}" for step in steps(text) if not _ours(step.get("run"))]


def _ours(command: str | None) -> bool:
    if command is None or command == "bash .ci/run":
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
    """Whoever opens a pull request chooses its title and branch: such reach a command as variables, never as text."""
    return [f"an expression in a command: {step['run']}" for step in steps(text) if "${{" in str(step.get("run"))]


def _caches(text: str) -> list[str]:
    found = []
    for step in steps(text):
        name = action(step)
        if name == "actions/cache" or (name.startswith("actions/setup-") and "cache" in step.get("with", {})):
            found.append(f"{step['uses']} saves a cache wherever it runs")
        if name == "actions/cache/save" and not str(step.get("if", "")).startswith(MAIN_ONLY):
            found.append("a cache is saved elsewhere than on main")
        if name == "actions/cache/restore" and "pull_request" not in triggers(text):
            found.append("a cache is read where the token may write")
    return found


def _privileged(text: str) -> list[str]:
    """With a token that may write: only the default branch's code, and nothing brought in by an action."""
    found = []
    if "pull_request_target" in triggers(text):
        found.append("pull_request_target mixes a stranger's code with a token that may write")
    for step in steps(text):
        with_ = step.get("with", {})
        if action(step) == "actions/checkout" and with_.get("persist-credentials") is not False:
            found.append("the token stays in the checkout")
        if "workflow_run" in triggers(text):
            default = with_.get("ref") == "${{ github.event.repository.default_branch }}"
            if action(step) == "actions/checkout" and not (default and "repository" not in with_):
                found.append("something else than the default branch is checked out")
            if action(step) not in ("actions/checkout", ""):
                found.append(f"{step['uses']} has no business where the token may write")
    return found
