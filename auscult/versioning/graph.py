"""The stages of ``dvc.yaml`` in the order in which they run, as DVC itself sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auscult.versioning.commands import DVC, dvc, follow

#: What DVC tells a person to do next; nobody is there.
HINTS = {
    "To track the changes with git, run:",
    "\tgit add dvc.lock",
    "To enable auto staging, run:",
    "\tdvc config core.autostage true",
    "Use `dvc push` to send your updates to remote storage.",
}
Did = Literal["ran", "taken from cache", "unchanged"]


@dataclass(frozen=True)
class Node:
    """One stage, as ``dvc repro`` names it, and those whose outputs it reads."""

    name: str
    needs: tuple[str, ...]


def nodes(place: Path) -> list[Node]:
    """Every stage of the pipeline in *place*, each after those it needs.

    The order is the same in every run: ``dvc.yaml``'s own where the graph leaves a choice.
    """
    import networkx
    from dvc.repo import Repo

    with Repo(str(place)) as repo:
        graph = repo.index.graph
        position = {stage: number for number, stage in enumerate(repo.index.stages)}
        ordered = list(networkx.lexicographical_topological_sort(graph.reverse(copy=True), key=position.__getitem__))
        pipeline = [stage for stage in ordered if stage.cmd]
        return [
            Node(stage.name, tuple(sorted(need.name for need in graph.successors(stage) if need.cmd)))
            for stage in pipeline
        ]


def stale(place: Path) -> set[str]:
    """Stages whose code, data or parameters differ from what ``dvc.lock`` records."""
    said: Mapping[str, object] = json.loads(dvc(place, "status", "--json") or "{}")
    return set(said)


def walk(place: Path, run: Callable[[str, bool], Did], upto: str | None = None) -> None:
    """Call *run* with the name of each stage, in DVC's order, and whether it is due.

    Due is what differs from ``dvc.lock``, and what reads the outputs of a stage that *run* says it has changed.

    Parameters
    ----------
    upto
        Only this stage and those that it needs, directly or not; by default all.
    """
    ordered, old, moved = nodes(place), stale(place), set[str]()
    wanted = {node.name for node in ordered} if upto is None else {upto}
    for node in reversed(ordered):
        if node.name in wanted:
            wanted |= set(node.needs)
    for node in ordered:
        if node.name in wanted and run(node.name, node.name in old or not moved.isdisjoint(node.needs)) != "unchanged":
            moved.add(node.name)


def reproduce(place: Path, node: str, tell: Callable[[str], None]) -> tuple[Did, float]:
    """Bring one stage up to date, and only that one; returns what was done and the seconds it took.

    Raises
    ------
    auscult.versioning.commands.CommandError
        The stage failed.
    """
    begin = time.monotonic()
    did: Did = "unchanged"

    def listen(line: str) -> None:
        nonlocal did
        if line.startswith("Running stage"):
            did = "ran"
        elif "is cached - skipping run" in line:
            did = "taken from cache"
        if line not in HINTS:
            tell(line)

    follow(place, [*DVC, "repro", "--single-item", node], listen)
    return did, time.monotonic() - begin
