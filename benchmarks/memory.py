"""Peak memory of the stages with one and with four times the data."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import Measurement
from benchmarks.process import cost
from benchmarks.recordings import make_root

_SIZES = (60, 240)
_COMMANDS = {
    "resample": ["-m", "stages.resample"],
    "features": ["-m", "stages.features"],
    "balance": ["-m", "stages.balance"],
}


def measure(scratch: Path) -> list[Measurement]:
    """Measure the peak of each stage at both sizes; only balance may grow."""
    peaks: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for size in _SIZES:
        root = scratch / f"memory-{size}"
        make_root(root, size)
        for name, command in _COMMANDS.items():
            peaks[name].append(cost(command, root).peak_mib)
        shutil.rmtree(root)
    found = []
    for name, (small, large) in peaks.items():
        what = f"{name}: peak memory with {_SIZES[1]} recordings ({small:.0f} MiB with {_SIZES[0]})"
        flat = None if name == "balance" else large < 1.25 * small
        aim = "holds the rare classes" if name == "balance" else f"flat: below {1.25 * small:.0f}"
        found.append(Measurement(f"memory.{name.replace(' ', '_')}", what, large, "MiB", aim, flat))
    return found
