"""``dvc.lock`` and DVC's other YAML, read without DVC: from the workspace, a commit, a copy, the run cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LOCK = Path("dvc.lock")


class DamagedError(ValueError):
    """It is not what DVC writes; the text says in a line why."""


def parse(content: bytes | str) -> Any:
    """YAML as plain data; no object of Python's is ever made of it.

    Raises
    ------
    DamagedError
        It is no YAML, such as half of it, or with the marks of a merge.
    """
    from ruamel.yaml import YAML  # with the C parser, as DVC reads it
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(content)
    except (YAMLError, ValueError) as error:
        raise DamagedError(" ".join(str(error).split())[:200]) from error


def stages(content: bytes | str) -> dict[str, dict[str, Any]]:
    """The entries of a lock, by stage.

    Raises
    ------
    DamagedError
        It is no lock.
    """
    said = parse(content)
    found = said.get("stages") if isinstance(said, dict) else None
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise DamagedError("it does not list stages")
    return found
