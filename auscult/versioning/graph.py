"""The stages of ``dvc.yaml`` in the order in which they run, and ``dvc repro`` with its output read."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from auscult.versioning.commands import CommandError, dvc, follow
from auscult.versioning.dvc_internals import Repository

#: Advice that DVC prints for a person at a terminal.
_HINTS = {
    "To track the changes with git, run:",
    "\tgit add dvc.lock",
    "To enable auto staging, run:",
    "\tdvc config core.autostage true",
    "Use `dvc push` to send your updates to remote storage.",
}
_LOG = logging.getLogger(__name__)
Outcome = Literal["ran", "taken from cache", "unchanged", "failed", "not reached"]
#: The lines of ``dvc repro`` that name a stage, and what they say of it.
_STARTS: tuple[tuple[re.Pattern[str], Outcome], ...] = (
    (re.compile(r"^Running stage '([^']+)'"), "ran"),
    (re.compile(r"^Stage '([^']+)' is cached - skipping run"), "taken from cache"),
    (re.compile(r"^Stage '([^']+)' didn't change, skipping"), "unchanged"),
)
_SKIPPED = re.compile(r"^(?:WARNING: )?Stages? (.+) will be skipped due to this failure")
_COMMAND_FAILED = re.compile(r"^(?:WARNING: |ERROR: )?failed to run: ")
_FAILED = re.compile(r"^ERROR: failed to reproduce ((?:'[^']+'(?:, )?)+)(.*)")
_NAMES = re.compile(r"'([^']+)'")


@dataclass(frozen=True)
class Node:
    """One stage, as ``dvc repro`` names it, and the stages whose outputs it reads."""

    name: str
    needs: tuple[str, ...]


def nodes(place: Path) -> list[Node]:
    """Return every stage of the pipeline in *place*, each after those that it needs.

    The order is the same in every run: where the graph leaves a choice it is that of ``dvc.yaml``.
    """
    with Repository(place) as repository:
        return [Node(name, needs) for name, needs in repository.pipeline()]


def stale(place: Path) -> set[str]:
    """Return the stages whose code, data or parameters differ from what ``dvc.lock`` records."""
    return set(json.loads(dvc(place, "status", "--json") or "{}"))


def walk(place: Path, run: Callable[[str, bool], Outcome], upto: Sequence[str] = ()) -> None:
    """Call *run* with the name of each stage, in DVC's order, and whether it is due.

    A stage is due if it differs from ``dvc.lock``, or if it reads outputs of a stage that *run* did not return as
    ``unchanged``.

    Parameters
    ----------
    upto
        Only these stages and those that they need, directly or not; by default all.
    """
    ordered, old, changed = nodes(place), stale(place), set[str]()
    wanted = {*upto} or {node.name for node in ordered}
    for node in reversed(ordered):
        if node.name in wanted:
            wanted |= set(node.needs)
    for node in ordered:
        due = node.name in old or not changed.isdisjoint(node.needs)
        if node.name in wanted and run(node.name, due) != "unchanged":
            changed.add(node.name)


@dataclass
class StageRun:
    """What one stage did, for how many seconds, and why it failed."""

    outcome: Outcome
    seconds: float | None = None
    reason: str = ""


@dataclass
class Run:
    """The result of ``dvc repro``.

    Attributes
    ----------
    stages
        Each stage that DVC looked at.
    fault
        Why the pipeline as a whole could not be run, or empty.
    """

    stages: dict[str, StageRun] = field(default_factory=dict)
    fault: str = ""

    def missing_reason(self, stage: str) -> str:
        """Return why a stage has no outputs of this run; empty if it has."""
        work = self.stages.get(stage)
        if self.fault or not self.stages:
            return self.fault
        if work is None:  # DVC was ended, or has no such stage: its outputs, if any, are of an earlier run
            return f"DVC did not check stage {stage}"
        if work.outcome not in ("failed", "not reached"):
            return ""
        return f"stage {stage} {'failed' if work.outcome == 'failed' else 'was not reached'}: {work.reason}"


def reproduce(place: Path, node: str, tell: Callable[[str], None]) -> tuple[Outcome, float]:
    """Bring one stage up to date, and only that one; return what was done and the seconds it took.

    Raises
    ------
    auscult.versioning.commands.CommandError
        The stage failed.
    """
    begin, log = time.monotonic(), _Log(tell, place)
    follow(place, ["dvc", "repro", "--single-item", node], log)
    return log.stages[node].outcome if node in log.stages else "unchanged", time.monotonic() - begin


def reproduce_all(place: Path, targets: Sequence[str] = ()) -> Run:
    """Run ``dvc repro`` so that a stage that fails stops only those that need it; failures are in the result.

    Parameters
    ----------
    targets
        Only these stages and those that they need; by default all.
    """
    log, fault = _Log(_LOG.info, place), ""
    try:
        follow(place, ["dvc", "repro", "--keep-going", *targets], log)
    except CommandError as error:
        if not any(work.outcome == "failed" for work in log.stages.values()):
            fault = f"dvc repro: {_reason(error.lines, place)}"
    log.end_stage()
    return Run(log.stages, fault)


class _Log:
    """Reader of the lines that ``dvc repro`` prints."""

    def __init__(self, tell: Callable[[str], None], place: Path) -> None:
        self.stages: dict[str, StageRun] = {}
        self._tell, self._place = tell, place
        self._running, self._since = "", 0.0
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        if line not in _HINTS:
            self._tell(line)
        for pattern, did in _STARTS:
            if found := pattern.match(line):
                self.end_stage()
                self.stages[found[1]] = StageRun(did)
                if did == "ran":
                    self._running, self._since, self._lines = found[1], time.monotonic(), []
                return
        if found := _SKIPPED.match(line):
            cause = next((name for name, work in self.stages.items() if work.outcome == "failed"), "one before it")
            for name in _NAMES.findall(found[1]):
                self.stages[name] = StageRun("not reached", reason=f"it needs {cause}, which failed")
        elif _COMMAND_FAILED.match(line) and self._running:
            self.stages[self._running].outcome = "failed"
            self.stages[self._running].reason = _reason(self._lines, self._place)
            self.end_stage()
        elif found := _FAILED.match(line):  # also of a stage that could not even begin
            for name in _NAMES.findall(found[1]):
                work = self.stages.setdefault(name, StageRun("failed"))
                work.outcome = "failed"
                work.reason = work.reason or found[2].strip(": ") or _reason(self._lines, self._place)
        else:
            self._lines = [*self._lines[-30:], line]

    def end_stage(self) -> None:
        """Note the duration of the stage that was running."""
        if self._running:
            self.stages[self._running].seconds = round(time.monotonic() - self._since, 1)
            self._running = ""


def without_root(place: Path, text: str) -> str:
    """Return *text* with the files of a checkout named relative to it: others need not see paths of this machine."""
    return text.replace(f"{place.resolve()}/", "").replace(f"{place}/", "")


def _reason(lines: Iterable[str], place: Path) -> str:
    """Return the line that says what failed: the first error message, else the last line, as of a traceback."""
    printed = [line.strip() for line in lines if line.strip() and not line.startswith((">", "Updating", "Generating"))]
    errors = [line.removeprefix("ERROR: ") for line in printed if line.startswith("ERROR: ")]
    return without_root(place, ([*errors, *printed[-1:]] or ["it printed nothing"])[0])[:400]
