"""What is in service, recorded in git: with DVC's cache it restores a registry whose database was lost.

The record of a data set is a JSON object in git that the ref ``refs/auscult/service/<dataset>`` names: experiment →
its champion and every version that served or was rolled back. It changes neither the checkout nor a branch, and all
worktrees share it. ``git push origin 'refs/auscult/*'`` copies it to a remote.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.versioning.commands import git, git_bytes

_REF = "refs/auscult/service/"


def read(root: Path, dataset: str) -> dict[str, Any]:
    """Return the record of a data set: experiment → entry; empty if there is none."""
    content = git_bytes(root, "cat-file", "blob", f"{_REF}{dataset}")
    found: dict[str, Any] = json.loads(content) if content else {}
    return found


def write(root: Path, dataset: str, experiment: str, entry: Mapping[str, Any]) -> None:
    """Replace the entry of an experiment.

    Raises
    ------
    auscult.versioning.commands.CommandError
        The folder is not a git repository.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(read(root, dataset) | {experiment: entry}, file, indent=1, sort_keys=True)
        file.flush()
        git(root, "update-ref", f"{_REF}{dataset}", git(root, "hash-object", "-w", "--no-filters", file.name))


def champion(root: Path, dataset: str, experiment: str) -> dict[str, Any] | None:
    """Return the version in service as it is recorded (``number``, ``digest``, ``md5``, ``tags``); else ``None``."""
    entry = read(root, dataset).get(experiment) or {}
    return next((each for each in entry.get("versions", ()) if each["number"] == entry.get("champion")), None)


def exists(root: Path) -> bool:
    """Return whether a data set has a record with a model in service."""
    names = git_bytes(root, "for-each-ref", "--format=%(refname)", _REF).decode().splitlines()
    datasets = [name.removeprefix(_REF) for name in names]
    return any(entry.get("champion") for dataset in datasets for entry in read(root, dataset).values())
