"""Two registered models asked the same questions in turn, each in a process with its own code."""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("answer.py")
#: A model that does not load within this, or is silent for so long over a recording, counts as broken.
START_S, TIMEOUT_S = 600.0, 300.0
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Question:
    """A recording, and the stretches of it that are to be judged.

    Attributes
    ----------
    path
        Audio file.
    stretches
        (begin, end) in seconds; (None, None) for the whole recording.
    """

    path: Path
    stretches: tuple[tuple[float | None, float | None], ...]


@dataclass
class Replies:
    """What a model said to all questions.

    Attributes
    ----------
    classes
        Their names, in the order of the probabilities.
    labels
        Decided class of each stretch, question by question.
    probabilities
        A list per stretch.
    seconds
        Time for each question.
    fault
        Why it could not answer, or empty.
    """

    classes: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    probabilities: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    fault: str = ""

    @property
    def latency_ms(self) -> float:
        """Median time for a recording; the first one, which warms up, does not count."""
        counted = self.seconds[1:] or self.seconds
        return 1000.0 * statistics.median(counted) if counted else float("nan")


def ask(packages: Sequence[Path], questions: Sequence[Question], timeout_s: float = TIMEOUT_S) -> list[Replies]:
    """Ask every model every question.

    The models take turns, so that an hour in which the machine is slow is slow for both; who is first alternates,
    since the first reads a recording from the disk and the second from memory.

    Parameters
    ----------
    packages
        Folders of logged MLflow models.

    Returns
    -------
    list of Replies
        One per package; a model that fails has its ``fault`` set and is not asked again.
    """
    replies = [Replies() for _ in packages]
    with ExitStack() as started:
        served = [started.enter_context(closing(_Served(package, timeout_s))) for package in packages]
        turn = list(zip(served, replies, strict=True))
        for model, reply in turn:
            reply.fault = model.next(START_S).get("fault", "")
        for question in questions:
            for model, reply in turn:
                if not reply.fault:
                    _take(model.ask(question), question, reply)
            turn.reverse()
    return replies


def _take(said: dict[str, Any], question: Question, reply: Replies) -> None:
    if "fault" in said:
        reply.fault = f"{question.path.name}: {said['fault']}"
    elif len(said["labels"]) != len(question.stretches):
        reply.fault = f"{question.path.name}: {len(said['labels'])} answers to {len(question.stretches)} questions"
    else:
        reply.classes = said["classes"]
        reply.labels += said["labels"]
        reply.probabilities += said["probabilities"]
        reply.seconds.append(said["seconds"])


class _Served:
    """One model's process."""

    def __init__(self, package: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (close() closes it)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | _ENVIRONMENT
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(package.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=tempfile.gettempdir(),  # not the repository: its `stages` are not the model's
        )
        self._pending = b""

    def ask(self, question: Question) -> dict[str, Any]:
        assert self._process.stdin is not None
        asked = {"path": str(question.path.resolve()), "stretches": question.stretches}
        with suppress(OSError):  # its end is found below, with its last words
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        return self.next(self._timeout_s)

    def next(self, timeout_s: float) -> dict[str, Any]:
        """The next reply, or the fault that prevents one."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                self._process.kill()
                return {"fault": f"no answer within {timeout_s:.0f} s"}
            block = os.read(self._process.stdout.fileno(), 1 << 16)
            if not block:
                return {"fault": f"its process ended: {self._last_words()}"}
            self._pending += block
        line, _, self._pending = self._pending.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):  # it may live on without an output; close() ends it
            self._process.wait(timeout=5)
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(words) if line.strip()), f"{self._process.returncode}")

    def close(self) -> None:
        """Let it end, or end it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):  # a model that was killed has left its last question in the pipe
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
