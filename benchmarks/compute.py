"""Raw recordings to log-mel and MFCC in memory: the computation alone, beside the plain loop.

``features`` measures the commands that a user runs, which start Python, use the cache and write files.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from auscult.audio.resampling import condition
from auscult.core import params as parameters
from auscult.core.process import keep_freed_memory, workers
from auscult.core.threads import in_order
from auscult.features.extraction.spectrogram import LogMel, mfcc
from benchmarks import Measurement
from benchmarks.recordings import ICBHI_RECORDINGS, PATHS, make_root

_ALTERNATIONS = 3
_RECORDINGS = ICBHI_RECORDINGS // 5


def measure(scratch: Path) -> list[Measurement]:
    """Measure medians of alternating runs over the same files, each in its own process, without imports."""
    make_root(scratch, _RECORDINGS)
    times = [(_alone(ours, scratch), _alone(plain, scratch)) for _ in range(_ALTERNATIONS)]
    own, other = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = other / own
    files = f"{_RECORDINGS} recordings, raw to logmel and mfcc in memory"
    return [
        Measurement("compute.seconds", f"{files}, on {workers()} cores", own, "s"),
        Measurement("compute.plain_s", "the same with the plain librosa loop", other, "s"),
        Measurement("compute.ratio", "the latter / the former", ratio, "times", "9, at least 5", ratio >= 5),
    ]


def _alone(run: Callable[[Path], float], root: Path) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, root).result()


def ours(root: Path) -> float:
    """Return the seconds with the functions and the threads of the stages ``resample`` and ``features``."""
    keep_freed_memory()
    params = parameters.load(root / "params.yaml")
    settings = params.resample.model_dump(include={"sample_rate_hz", "low_hz", "high_hz"})
    settings |= params.features.model_dump(include={"n_fft", "window_length", "hop_length", "n_mels"})
    logmel = LogMel(**settings)

    def features(path: Path) -> Any:
        spectrogram = logmel(condition(path, params.resample))
        return spectrogram, mfcc(spectrogram, params.features.n_mfcc)

    return _seconds(features, root, workers())


def plain(root: Path) -> float:
    """Return the seconds with the plain loop."""
    from benchmarks.plain import logmel_and_mfcc

    return _seconds(logmel_and_mfcc, root, 1)


def _seconds(features: Callable[[Path], Any], root: Path, threads: int) -> float:
    files = sorted((root / PATHS.raw).glob("*.wav"))
    for path in files:
        path.read_bytes()  # into the file cache, so that the first run does not wait for the disk
    features(files[0])
    begin = time.perf_counter()
    for _ in in_order(features, files, threads):
        pass
    return time.perf_counter() - begin
