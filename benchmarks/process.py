"""Run a command in its own process, and measure its time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from auscult.core.errors import AuscultError

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cost:
    """Time and memory of a command.

    Attributes
    ----------
    wall_s, cpu_s
        Time from start to end, with the start of Python; processor time of the process and its children.
    peak_mib
        Largest resident memory of the process.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, max(self.peak_mib, other.peak_mib))


def cost(arguments: list[str], root: Path, code: int = 0) -> Cost:
    """Return the cost of ``python <arguments>`` in *root*, which must exit with *code*.

    Raises
    ------
    AuscultError
        The command exits with another code; the message holds its output.
    """
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            output.seek(0)
            text = output.read().decode(errors="replace")[-2000:]
            raise AuscultError(f"python {' '.join(arguments)} ended with code {process.returncode}:\n{text}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
