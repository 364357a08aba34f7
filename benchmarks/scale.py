"""Costs that grow with the number of recordings: validation, split, a data diff, and runs with nothing to do.

The recordings are short, so that the cost per recording shows rather than the cost of the audio.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Measurement, under
from benchmarks.many_recordings import make_repository, withdraw_first, write_placeholders
from benchmarks.process import Cost, cost

_SMALL, _LARGE = 1_000, 10_000
_SECONDS, _MIB = 10.0, 2048.0
#: Short name → description, and whether it must stay below ``_SECONDS``.
_WHAT = {
    "validate": ("stage validate", False),
    "split": ("stage split", False),
    "describe": ("stage describe", False),
    "commit": ("first dvc commit of the raw folder (two files per recording)", False),
    "status": ("dvc status", True),
    "repro": ("dvc repro with nothing to do", True),
    "make_repro": ("auscult run with nothing to do", True),
    "diff": ("data diff HEAD~1 HEAD, one patient withdrawn", True),
    "diff_workspace": ("data diff HEAD, against the workspace", True),
}


def measure(scratch: Path) -> list[Measurement]:
    """Measure each at both sizes; the best of three runs, as the machine may be busy."""
    small, large = (dict(_measured(scratch / str(size), size)) for size in (_SMALL, _LARGE))
    return [one for name in _WHAT for one in _measurements(name, small[name], large[name])]


def _measured(root: Path, size: int) -> Iterator[tuple[str, Cost]]:
    make_repository(root, size)
    yield "validate", _best(root, ["-m", "stages.validate"], 2)
    yield "split", _best(root, ["-m", "stages.split"])
    yield "describe", _best(root, ["-m", "stages.describe"])
    yield "commit", _best(root, ["-m", "dvc", "commit", "--force", "--quiet", "download"], 1)
    write_placeholders(root)
    yield "status", _best(root, ["-m", "dvc", "status"])
    yield "repro", _best(root, ["-m", "dvc", "repro"])
    yield "make_repro", _best(root, ["-m", "auscult", "run"])
    withdraw_first(root)
    yield "diff", _best(root, ["-m", "auscult", "data", "diff", "HEAD~1", "HEAD"], code=1)
    yield "diff_workspace", _best(root, ["-m", "auscult", "data", "diff", "HEAD"])
    shutil.rmtree(root)


def _best(root: Path, command: list[str], times: int = 3, code: int = 0) -> Cost:
    return min((cost(command, root, code) for _ in range(times)), key=lambda one: one.wall_s)


def _measurements(name: str, small: Cost, large: Cost) -> list[Measurement]:
    words, bound = _WHAT[name]
    seconds = f"{words}, {_LARGE:,} recordings ({small.wall_s:.2g} s with {_SMALL:,})"
    memory = f"its peak memory ({small.peak_mib:.0f} MiB with {_SMALL:,})"
    growth = large.cpu_s / small.cpu_s
    time = (f"scale.{name}", seconds, large.wall_s, "s")
    ten = f"its processor time / that with {_SMALL:,}"
    return [
        under(_SECONDS, *time) if bound else Measurement(*time),
        under(_MIB, f"scale.{name}_memory", memory, large.peak_mib, "MiB"),
        Measurement(f"scale.{name}_growth", ten, growth, "times", "at most 10", growth <= 10.5),
    ]
