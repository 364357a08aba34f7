"""Time until each stage reaches its main function, and time of a ``dvc repro`` with nothing to do.

Large libraries (torch, scikit-learn, Great Expectations) are loaded later, so that a stage refuses wrong parameters
at once.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from auscult.core.errors import AuscultError
from benchmarks import Measurement, under
from benchmarks.process import REPOSITORY, cost

_TIMES = 3


def measure(scratch: Path) -> list[Measurement]:
    """Measure the median of three starts per stage."""
    scratch.mkdir(exist_ok=True)
    found = []
    for file in sorted((REPOSITORY / "stages").glob("[a-z]*.py")):
        stage = file.stem
        seconds = _median(["-c", f"import stages.{stage}"], scratch)
        found.append(under(1, f"start.{stage}", f"python -m stages.{stage}: until its main function", seconds, "s"))
    return found + _graph()


def _graph() -> list[Measurement]:
    """Measure ``dvc repro`` and ``dvc status`` in this repository, if the pipeline is up to date."""
    try:
        cost(["-m", "dvc", "status", "--quiet"], REPOSITORY)
    except AuscultError:
        print("  dvc: not measured, the pipeline is not up to date here; run `make repro` first")
        return []
    repro, status = _median(["-m", "dvc", "repro"], REPOSITORY), _median(["-m", "dvc", "status"], REPOSITORY)
    return [
        under(5, "dvc.repro", "dvc repro with nothing to do", repro, "s"),
        Measurement("dvc.status", "dvc status", status, "s"),
        Measurement("dvc.ratio", "the former / the latter", repro / status, "times", "about 1", repro < 1.5 * status),
    ]


def _median(arguments: list[str], root: Path) -> float:
    return statistics.median(cost(arguments, root).wall_s for _ in range(_TIMES))
