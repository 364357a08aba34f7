"""What it costs that every processor uses the same instruction set: the same work with the libraries' own choice."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from auscult.core import instruction_set
from benchmarks import Measurement
from benchmarks.recordings import make_root

_ALTERNATIONS = 5
_RECORDINGS = 60


def measure(scratch: Path) -> list[Measurement]:
    """Measure medians of alternating runs, each in its own process, as the libraries choose when they are loaded."""
    make_root(scratch, _RECORDINGS)
    found = []
    for name, what, work in (
        ("features", f"{_RECORDINGS} recordings, raw to logmel and mfcc in memory", _features),
        ("epoch", "training epoch of cnn2d", _epoch),
    ):
        times = [(_alone(work, scratch), _freely(work, scratch)) for _ in range(_ALTERNATIONS)]
        own, other = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(mine / free for mine, free in times)
        found += [
            Measurement(f"instructions.{name}_s", f"{what}, with the instructions that all processors have", own, "s"),
            Measurement(f"instructions.{name}_free_s", "the same with those that the libraries choose", other, "s"),
            Measurement(f"instructions.{name}_ratio", "the former / the latter, median of pairs", ratio, "times"),
        ]
    return found


def _alone(work: Callable[[Path], float], root: Path) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, root).result()


def _freely(work: Callable[[Path], float], root: Path) -> float:
    with _unpinned():
        return _alone(work, root)


@contextmanager
def _unpinned() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in instruction_set.PINNED if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _features(root: Path) -> float:
    from benchmarks.compute import ours  # after the variables are set or removed

    return ours(root)


def _epoch(root: Path) -> float:
    from benchmarks.epoch import seconds

    return seconds()
