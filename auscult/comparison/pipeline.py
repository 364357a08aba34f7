"""Reproduce the pipeline of one revision, and note what each stage did; a failed stage stops only its dependants."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auscult.comparison.document import Outcome
from auscult.versioning.commands import DVC, CommandError, follow
from auscult.versioning.graph import HINTS

_LOG = logging.getLogger(__name__)
#: DVC's messages, and the outcome of the stages that they name.
_MESSAGES: tuple[tuple[re.Pattern[str], Outcome], ...] = (
    (re.compile(r"^Running stage '([^']+)'"), "ran"),
    (re.compile(r"^Stage '([^']+)' is cached - skipping run"), "taken from cache"),
    (re.compile(r"^Stage '([^']+)' didn't change, skipping"), "unchanged"),
)
_SKIPPED = re.compile(r"^(?:WARNING: )?Stages? (.+) will be skipped due to this failure")
_RUN_FAILED = re.compile(r"^(?:WARNING: |ERROR: )?failed to run: ")
_FAILED = re.compile(r"^ERROR: failed to reproduce ((?:'[^']+'(?:, )?)+)(.*)")
_NAMES = re.compile(r"'([^']+)'")


@dataclass
class StageRun:
    """What one stage did, its run time in seconds, and why it failed."""

    outcome: Outcome
    seconds: float | None = None
    reason: str = ""


@dataclass
class Run:
    """A run of the pipeline.

    Attributes
    ----------
    stages
        Each stage that DVC looked at.
    fault
        Why the pipeline as a whole could not run; empty where it did.
    """

    stages: dict[str, StageRun] = field(default_factory=dict)
    fault: str = ""

    def missing_reason(self, stage: str) -> str:
        """Return why a stage has no outputs of this run; empty where it has."""
        found = self.stages.get(stage)
        if self.fault or not self.stages:
            return self.fault
        if found is None:  # DVC was stopped or has no such stage: existing outputs are of an earlier run
            return f"DVC did not check stage {stage}"
        if found.outcome not in ("failed", "not reached"):
            return ""
        return f"stage {stage} {'failed' if found.outcome == 'failed' else 'was not reached'}: {found.reason}"


def reproduce(root: Path, targets: Sequence[str] = ()) -> Run:
    """Run ``dvc repro`` in a folder; failures are part of the result, and nothing is raised.

    Parameters
    ----------
    targets
        Only these stages and their dependencies; by default all.
    """
    log = _DvcLog(root)
    try:
        follow(root, [*DVC, "repro", "--keep-going", *targets], log)
    except CommandError as error:
        log.end_stage()
        run = Run(log.stages)
        if not any(stage.outcome == "failed" for stage in run.stages.values()):
            run.fault = f"dvc repro: {_reason(error.lines, root)}"
        return run
    log.end_stage()
    return Run(log.stages)


class _DvcLog:
    """Parser of DVC's output, line by line."""

    def __init__(self, root: Path) -> None:
        self.stages: dict[str, StageRun] = {}
        self._root, self._running, self._since = root, "", 0.0
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        if line not in HINTS:
            _LOG.info("%s", line)
        for pattern, outcome in _MESSAGES:
            if found := pattern.match(line):
                self.end_stage()
                self.stages[found[1]] = StageRun(outcome)
                if outcome == "ran":
                    self._running, self._since, self._lines = found[1], time.monotonic(), []
                return
        if found := _SKIPPED.match(line):
            cause = next((name for name, run in self.stages.items() if run.outcome == "failed"), "a stage before it")
            for name in _NAMES.findall(found[1]):
                self.stages[name] = StageRun("not reached", reason=f"it needs {cause}, which failed")
        elif _RUN_FAILED.match(line) and self._running:
            self.stages[self._running].outcome = "failed"
            self.stages[self._running].reason = _reason(self._lines, self._root)
            self.end_stage()
        elif found := _FAILED.match(line):  # also printed for a stage that could not start
            for name in _NAMES.findall(found[1]):
                run = self.stages.setdefault(name, StageRun("failed"))
                run.outcome = "failed"
                run.reason = run.reason or found[2].strip(": ") or _reason(self._lines, self._root)
        else:
            self._lines = [*self._lines[-30:], line]

    def end_stage(self) -> None:
        """Record the run time of the stage that was running."""
        if self._running:
            self.stages[self._running].seconds = round(time.monotonic() - self._since, 1)
            self._running = ""


def without_root(root: Path, text: str) -> str:
    """Return text in which paths below *root* are relative: the comment must not show this machine's folders."""
    return text.replace(f"{root.resolve()}/", "").replace(f"{root}/", "")


def _reason(lines: Iterable[str], root: Path) -> str:
    """Return the line that says what went wrong: the first error message, else the last line, as of a traceback."""
    printed = [line.strip() for line in lines if line.strip() and not line.startswith((">", "Updating", "Generating"))]
    errors = [line.removeprefix("ERROR: ") for line in printed if line.startswith("ERROR: ")]
    return without_root(root, ([*errors, *printed[-1:]] or ["it printed nothing"])[0])[:400]
