"""One side's pipeline brought up to date, and what each stage did; a stage that fails stops only those that need it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auscult.comparison.document import Did
from auscult.versioning.commands import DVC, CommandError, follow
from auscult.versioning.graph import HINTS

#: What DVC says, and what it means for the stages that it names.
_SAYS: tuple[tuple[re.Pattern[str], Did], ...] = (
    (re.compile(r"^Running stage '([^']+)'"), "ran"),
    (re.compile(r"^Stage '([^']+)' is cached - skipping run"), "taken from cache"),
    (re.compile(r"^Stage '([^']+)' didn't change, skipping"), "unchanged"),
)
_SKIPPED = re.compile(r"^(?:WARNING: )?Stages? (.+) will be skipped due to this failure")
_RAN_BADLY = re.compile(r"^(?:WARNING: |ERROR: )?failed to run: ")
_FAILED = re.compile(r"^ERROR: failed to reproduce ((?:'[^']+'(?:, )?)+)(.*)")
_NAMES = re.compile(r"'([^']+)'")


@dataclass
class Work:
    """What one stage did, for how many seconds, and why it failed."""

    did: Did
    seconds: float | None = None
    reason: str = ""


@dataclass
class Run:
    """A pipeline's run.

    Attributes
    ----------
    stages
        Each stage that DVC looked at.
    fault
        Why the pipeline as a whole could not be run, or empty.
    """

    stages: dict[str, Work] = field(default_factory=dict)
    fault: str = ""

    def why_missing(self, stage: str) -> str:
        """Why a stage has no outputs of this run; empty where it has."""
        work = self.stages.get(stage)
        if self.fault or not self.stages:
            return self.fault
        if work is None:  # DVC was ended, or has no such stage: what lies there is of an earlier run
            return f"DVC did not look at stage {stage}"
        if work.did not in ("failed", "not reached"):
            return ""
        return f"stage {stage} {'failed' if work.did == 'failed' else 'was not reached'}: {work.reason}"


def bring_up(place: Path, tell: Callable[[str], None], targets: Sequence[str] = ()) -> Run:
    """Run ``dvc repro`` in a folder; whatever fails in it is in the result, and nothing is raised for it.

    Parameters
    ----------
    targets
        Only these stages and those that they need; by default all.
    """
    listener = _Listener(tell, place)
    try:
        follow(place, [*DVC, "repro", "--keep-going", *targets], listener)
    except CommandError as error:
        listener.end()
        run = Run(listener.stages)
        if not any(work.did == "failed" for work in run.stages.values()):
            run.fault = f"dvc repro: {_reason(error.lines, place)}"
        return run
    listener.end()
    return Run(listener.stages)


class _Listener:
    """DVC's lines, understood one by one."""

    def __init__(self, tell: Callable[[str], None], place: Path) -> None:
        self.stages: dict[str, Work] = {}
        self._tell, self._place, self._now, self._since = tell, place, "", 0.0
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        if line not in HINTS:
            self._tell(line)
        for pattern, did in _SAYS:
            if found := pattern.match(line):
                self.end()
                self.stages[found[1]] = Work(did)
                if did == "ran":
                    self._now, self._since, self._lines = found[1], time.monotonic(), []
                return
        if found := _SKIPPED.match(line):
            because = next((name for name, work in self.stages.items() if work.did == "failed"), "one before it")
            for name in _NAMES.findall(found[1]):
                self.stages[name] = Work("not reached", reason=f"it needs {because}, which failed")
        elif _RAN_BADLY.match(line) and self._now:
            self.stages[self._now].did = "failed"
            self.stages[self._now].reason = _reason(self._lines, self._place)
            self.end()
        elif found := _FAILED.match(line):  # also of a stage that could not even begin
            for name in _NAMES.findall(found[1]):
                work = self.stages.setdefault(name, Work("failed"))
                work.did, work.reason = (
                    "failed",
                    work.reason or found[2].strip(": ") or _reason(self._lines, self._place),
                )
        else:
            self._lines = [*self._lines[-30:], line]

    def end(self) -> None:
        """The stage that was running runs no more."""
        if self._now:
            self.stages[self._now].seconds = round(time.monotonic() - self._since, 1)
            self._now = ""


def below(place: Path, text: str) -> str:
    """Text for others, in which files of a checkout are not named by where that lies on this machine."""
    return text.replace(f"{place.resolve()}/", "").replace(f"{place}/", "")


def _reason(lines: Iterable[str], place: Path) -> str:
    """The line that says what went wrong: an error in words, else the last one, as of a traceback."""
    said = [line.strip() for line in lines if line.strip() and not line.startswith((">", "Updating", "Generating"))]
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    return below(place, ([*errors, *said[-1:]] or ["it printed nothing"])[0])[:400]
