"""``python -m benchmarks [--only NAME]``: measure, print, write benchmarks/result.json and result.md."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from auscult.core.process import run, workers
from auscult.core.storage import read_json, write_json, write_text
from benchmarks import Measurement

GROUPS = ("compute", "features", "memory", "smote", "epoch", "instructions", "start", "scale")
RESULT = Path("benchmarks/result.json")
TABLE = Path("benchmarks/result.md")
_LIBRARIES = ("numpy", "scipy", "soxr", "soundfile", "librosa", "imbalanced-learn", "torch", "dvc")


def main() -> None:
    """Run one group of measurements or all; groups that are not run keep their last values."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=GROUPS, help="run this group of measurements only")
    parser.add_argument("--scratch", type=Path, help="folder for 8 GB of temporary files (default: the system's)")
    arguments = parser.parse_args()
    groups = (arguments.only,) if arguments.only else GROUPS
    found: list[Measurement] = []
    for group in groups:
        print(f"{group} …", flush=True)
        with tempfile.TemporaryDirectory(prefix="auscult-bench-", dir=arguments.scratch) as scratch:
            measured = importlib.import_module(f"benchmarks.{group}").measure(Path(scratch))
        for one in measured:
            print(f"  {one.what}: {one.value:.3g} {one.unit}{_verdict(one)}", flush=True)
        found += measured
    _write(_merged(found, groups) if arguments.only else found)
    print(f"written: {RESULT}, {TABLE}")


def _verdict(one: Measurement) -> str:
    if not one.aim:
        return ""
    return f"  (aim: {one.aim}{'' if one.reached is None else '; reached' if one.reached else '; MISSED'})"


def _merged(found: list[Measurement], groups: tuple[str, ...]) -> list[Measurement]:
    """Return the new values, and the last ones of the groups that were not run."""
    if not RESULT.exists():
        return found
    prefixes = {"start": ("start.", "dvc.")}
    replaced = tuple(prefix for group in groups for prefix in prefixes.get(group, (f"{group}.",)))
    kept = [Measurement(**one) for one in read_json(RESULT)["measurements"] if not one["name"].startswith(replaced)]
    return kept + found


def _write(measurements: list[Measurement]) -> None:
    machine = {
        "cores": workers(),
        "architecture": platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    rounded = [asdict(one) | {"value": float(f"{one.value:.4g}")} for one in measurements]
    write_json(RESULT, {"machine": machine, "measurements": rounded})
    write_text(TABLE, _table(measurements, workers()))


def _table(measurements: list[Measurement], cores: int) -> str:
    """Return the measurements as Markdown."""
    verdicts = {None: "", True: "reached", False: "**missed**"}
    rows = (f"| {x.what} | {x.value:.3g} {x.unit} | {x.aim} | {verdicts[x.reached]} |" for x in measurements)
    lead = f"Measured by `python -m benchmarks` on {cores} cores; compare ratios rather than times."
    return "\n".join([lead, "", "| what | value | aim | |", "|---|---:|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    run(main)
