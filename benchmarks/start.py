"""How long each stage takes to reach its main function; and a ``dvc repro`` with nothing to do.

Large libraries (torch, scikit-learn, Great Expectations) are loaded after that, by what needs
them: a stage that refuses its parameters does so at once.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from auscult.core.errors import AuscultError
from benchmarks import Measurement
from benchmarks.process import REPOSITORY, cost

_TIMES = 3


def measure(scratch: Path) -> list[Measurement]:
    """Median of three starts per stage."""
    scratch.mkdir(exist_ok=True)
    found = []
    for main in sorted((REPOSITORY / "stages").glob("[a-z]*.py")):
        stage = main.stem
        seconds = _median(["-c", f"import stages.{stage}"], scratch)
        found.append(
            Measurement(
                f"start.{stage}",
                f"python -m stages.{stage}: until its main function, which loads what it needs",
                seconds,
                "s",
                "under 1",
                seconds < 1,
            )
        )
    return found + _graph()


def _graph() -> list[Measurement]:
    """``dvc repro`` against ``dvc status`` in this repository, where the pipeline has run."""
    try:
        cost(["-m", "dvc", "status", "--quiet"], REPOSITORY)
    except AuscultError:
        print("  dvc: not measured, the pipeline is not up to date here; run `make repro` first")
        return []
    repro, status = _median(["-m", "dvc", "repro"], REPOSITORY), _median(["-m", "dvc", "status"], REPOSITORY)
    return [
        Measurement("dvc.repro", "dvc repro with nothing to do", repro, "s", "under 5", repro < 5),
        Measurement("dvc.status", "dvc status", status, "s"),
        Measurement("dvc.ratio", "the former / the latter", repro / status, "times", "about 1", repro < 1.5 * status),
    ]


def _median(arguments: list[str], root: Path) -> float:
    return statistics.median(cost(arguments, root).wall_s for _ in range(_TIMES))
