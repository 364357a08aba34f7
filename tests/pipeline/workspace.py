"""A copy of the repository in which the pipeline runs on a small sample, as a user's clone would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

#: Changes to params.yaml that bring the whole pipeline down to well under a minute.
SMALL: dict[str, Any] = {
    "download.sample.patients": 12,
    "validate.max_reject_share": 0.3,
    "split.folds": 3,
    "train.trials": 2,
    "train.generation": 2,
    "train.epochs": 2,
    "evaluate.bootstrap": 20,
    "experiments": {
        "abnormal_logmel_cnn2d": {"task": "abnormal", "features": "logmel", "model": "cnn2d"},
        "binary_augmented_cnn1d": {"task": "binary", "features": "augmented", "model": "cnn1d"},
    },
    "combinations": {
        "binary_slide": {
            "task": "binary",
            "features": "logmel",
            "method": "slide",
            "members": ["abnormal_logmel_cnn2d"],
        },
    },
}


def clone(target: Path, changes: dict[str, Any] | None = None, *, empty_cache: bool = True) -> Path:
    """Copy the tracked and untracked-not-ignored files, without DVC's lock, into a git repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        kept = name == "data/added/README.md" or name.startswith(("data/withdrawn/", "data/corrections/"))
        output = name.startswith(("data/", "models/", "reports/")) and not kept
        if source.is_file() and not output and name != "dvc.lock":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    set_params(target, SMALL if changes is None else changes)
    for command in (
        ["git", "init", "-q"],
        ["git", "config", "user.name", "Test"],
        ["git", "config", "user.email", "test@example.org"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "start"],
    ):
        subprocess.run(command, cwd=target, check=True)
    return target


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Set dotted keys in the folder's params.yaml; those that begin with ``flows.`` in its flows/settings.yaml."""
    flows = {key.removeprefix("flows."): value for key, value in changes.items() if key.startswith("flows.")}
    pipeline = {key: value for key, value in changes.items() if not key.startswith("flows.")}
    for path, chosen in ((folder / "params.yaml", pipeline), (folder / "flows/settings.yaml", flows)):
        if not chosen:
            continue
        data = yaml.safe_load(path.read_text())
        for key, value in chosen.items():
            *sections, leaf = key.split(".")
            place = data
            for section in sections:
                place = place[section]
            place[leaf] = value
        path.write_text(yaml.safe_dump(data, sort_keys=False))


def environment() -> dict[str, str]:
    """Return the caller's environment, with this interpreter's commands first on the path."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str, check: bool = True, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace; ``python`` and ``dvc`` are this environment's."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=timeout)
    return checked(command, done) if check else done


def checked(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return the finished command; fail with what it printed if it ended with an error."""
    if done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


#: Python runs it at its start: a connection to another machine is refused and noted in a file.
NO_NETWORK = """
import os, socket
def refuse(*address, **_):
    with open(os.environ["AUSCULT_NETWORK_NOTES"], "a") as notes:
        notes.write(repr(address) + "\\n")
    raise OSError("no network in this test")
connect = socket.socket.connect
socket.getaddrinfo = refuse
socket.socket.connect = lambda self, to: connect(self, to) if self.family == socket.AF_UNIX else refuse(to)
"""


def without_network(folder: Path) -> dict[str, str]:
    """Return an environment in which Python reaches no other machine; attempts are listed in ``<folder>/notes``."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    return os.environ | {"PYTHONPATH": str(folder), "AUSCULT_NETWORK_NOTES": str(folder / "notes")}


def repro(
    folder: Path, *arguments: str, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run what ``make repro`` calls, without an activated environment."""
    command = [sys.executable, "-m", "auscult", "run", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=1800)
    return checked(command, done) if check else done


def lock(folder: Path) -> dict[str, Any]:
    """Return the stages of dvc.lock."""
    stages: dict[str, Any] = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return stages
