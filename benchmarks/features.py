"""Raw recordings to log-mel and MFCC: beside the plain loop, with some new recordings, at the size of ICBHI."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import numpy as np

from auscult.core.storage import read_table
from benchmarks import Measurement, under
from benchmarks.process import Cost, cost
from benchmarks.recordings import ICBHI_RECORDINGS, PATHS, forget_results, make_root

_ALTERNATIONS = 3
_SMALL = ICBHI_RECORDINGS // 5


def measure(scratch: Path) -> list[Measurement]:
    """Measure as a user does: three commands, each starting Python, reading and writing files."""
    small, whole = scratch / "small", scratch / "whole"
    make_root(small, _SMALL)
    ours, theirs = [], []
    for _ in range(_ALTERNATIONS):
        theirs.append(_plain(small).wall_s)
        forget_results(small, cache=True)
        ours.append(_staged(small).wall_s)
    same = _largest_difference(small)
    ratio = statistics.median(theirs) / statistics.median(ours)
    shutil.rmtree(small)
    make_root(whole, ICBHI_RECORDINGS)
    cold = _staged(whole)
    plain = _plain(whole)
    warm = _staged(whole)
    one, hundredth = _partly_new(whole, 1), _partly_new(whole, round(ICBHI_RECORDINGS / 100))
    shutil.rmtree(whole)
    # With one new recording the stages load the libraries that decode and filter; with none they do not.
    share = (hundredth.cpu_s - one.cpu_s) / (cold.cpu_s - one.cpu_s)
    return _measurements(ratio, plain, cold, warm, hundredth, share, same)


def _measurements(
    ratio: float, plain: Cost, cold: Cost, warm: Cost, some: Cost, share: float, same: float
) -> list[Measurement]:
    whole = plain.wall_s / cold.wall_s
    fifth = f"plain librosa loop / this, files to files, {_SMALL} recordings, median of {_ALTERNATIONS}"
    icbhi = f"{ICBHI_RECORDINGS} recordings, 5.5 h, files to files"
    added = "processor time of 1 % new recordings, of what all cost; starts apart"
    differ = "largest difference of any value from the plain loop's"
    return [
        Measurement("features.ratio_fifth", fifth, ratio, "times"),
        Measurement("features.ratio", f"the same, {ICBHI_RECORDINGS} recordings, once", whole, "times"),
        under(30, "features.whole_s", icbhi, cold.wall_s, "s"),
        Measurement("features.plain_s", "the same with the plain loop", plain.wall_s, "s"),
        under(1e-3, "features.difference_db", differ, same, "dB"),
        Measurement("features.warm_s", "the same with nothing new", warm.wall_s, "s"),
        Measurement("features.new_s", "the same with 1 % new recordings", some.wall_s, "s"),
        Measurement("features.new_share", added, 100 * share, "%", "about 1, below 5", share < 0.05),
    ]


def _staged(root: Path) -> Cost:
    total = cost(["-m", "stages.resample"], root)
    return total + cost(["-m", "stages.features"], root)


def _plain(root: Path) -> Cost:
    out = root / "plain"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return cost(["-m", "benchmarks.plain", str(root / PATHS.raw), str(out)], root)


def _partly_new(root: Path, count: int) -> Cost:
    """Return the cost with all but *count* recordings in the cache."""
    checksums = read_table(root / PATHS.manifest / "recordings.parquet")["sha256"]
    for checksum in checksums[:: len(checksums) // count][:count]:
        for entry in (root / ".cache").glob(f"*/*/{checksum}*"):
            entry.unlink()
    return _staged(root)


def _largest_difference(root: Path) -> float:
    """Return the largest absolute difference in dB between both implementations, on some recordings."""
    largest = 0.0
    for name in ("logmel", "mfcc"):
        folder = root / PATHS.features(name)
        rows = np.load(folder / "segments.npy", mmap_mode="r")
        table = read_table(folder / "segments.parquet").iloc[::37]
        for n, item in table.iterrows():
            whole = np.load(root / "plain" / f"{item['recording_id']}.{name}.npy")
            first = int(item["start_s"] * 100 + 0.5)
            count = item["frames"]
            largest = max(largest, float(np.abs(rows[n][:, :count] - whole[:, first : first + count]).max()))
    return largest
