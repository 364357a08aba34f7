"""SMOTE on a training part of the size of ICBHI, beside plain imbalanced-learn on the flattened array."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import Measurement
from benchmarks.process import cost

#: Cycles of each class in the official training part.
_COUNTS = (2063, 1215, 501, 363)
_SHAPE = (64, 251)
_SEED = 29


def measure(scratch: Path) -> list[Measurement]:
    """Measure time and memory of both, each in its own process."""
    generator = np.random.default_rng(0)
    scratch.mkdir(exist_ok=True)
    rows = generator.standard_normal((sum(_COUNTS), *_SHAPE), dtype=np.float32)
    np.save(scratch / "rows.npy", rows)
    ours = cost(["-m", "benchmarks.smote", "ours", str(scratch / "rows.npy")], scratch)
    theirs = cost(["-m", "benchmarks.smote", "plain", str(scratch / "rows.npy")], scratch)
    size = f"{sum(_COUNTS)} rows of {_SHAPE[0]} × {_SHAPE[1]}"
    return [
        Measurement("smote.seconds", f"SMOTE, {size}, start included", ours.wall_s, "s"),
        Measurement("smote.plain_s", "plain imbalanced-learn on the flattened rows, the same", theirs.wall_s, "s"),
        Measurement("smote.memory", "peak memory", ours.peak_mib, "MiB"),
        Measurement("smote.plain_memory", "plain imbalanced-learn's peak memory", theirs.peak_mib, "MiB"),
    ]


def _run(which: str, path: Path) -> None:
    classes = np.repeat(np.arange(len(_COUNTS)), _COUNTS)
    extra = {c: min(max(_COUNTS), 3 * n) - n for c, n in enumerate(_COUNTS)}
    if which == "plain":
        from imblearn.over_sampling import SMOTE

        targets = {c: n + extra[c] for c, n in enumerate(_COUNTS)}
        SMOTE(sampling_strategy=targets, random_state=_SEED).fit_resample(
            np.load(path).reshape(len(classes), -1), classes
        )
        return
    from auscult.core.sections import BalanceParams
    from auscult.training.balancing.smote import RowStatistics, smote

    table = pd.DataFrame({"row": np.arange(len(classes)), "class_index": classes, "frames": _SHAPE[1]})
    rows = RowStatistics.measure(path, table, masked=True)
    smote(rows, table, extra, BalanceParams(method="smote", neighbours=5, max_ratio=3.0, seed=_SEED))


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]))
