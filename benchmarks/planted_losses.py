"""``python -m benchmarks.planted_losses``: how often a comparison marks a model that a mistake made worse.

One experiment is trained again and again in temporary worktrees of the last commit: with another seed and nothing
else, and with another seed and one mistake. Each of the latter is compared with one of the former as ``auscult
compare`` does it: the error is shared among all experiments and their mean, and the seed variance is that of
``benchmarks/retraining.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from auscult import settings
from auscult.comparison import differences
from auscult.comparison.differences import Evaluated, Method
from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.records import SEGMENT_COLUMNS
from auscult.core.storage import read_json, read_table, write_table, write_text
from auscult.core.tasks import Task
from auscult.registry.gate.noise import Noise, find_noise, load_noise
from auscult.versioning import worktree
from auscult.versioning.commands import follow, git
from auscult.versioning.graph import reproduce_all
from benchmarks.process import REPOSITORY

_WORKTREE = "planted-losses"
_FIRST_SEED = 1001
#: Lowest frequency that a wrong filter lets through, in Hz.
_LOW_HZ = 400.0


@dataclass(frozen=True)
class Mistake:
    """A mistake in the pipeline.

    Attributes
    ----------
    what
        In words.
    before
        Makes it in the folder of a worktree, whose features are then computed again if ``features``.
    after
        Undoes what the evaluation must not see.
    """

    what: str
    before: Callable[[Path], None]
    after: Callable[[Path], None] = lambda _: None
    features: bool = False


def _swap_labels(place: Path) -> None:
    """Label every second segment with crackles as normal."""
    path = place / Paths("sample").manifest / "segments.parquet"
    table = read_table(path)
    crackles = np.flatnonzero(table["label"] == "crackle")[::2]
    table.iloc[crackles, table.columns.get_loc("label")] = "normal"
    path.rename(path.with_suffix(".correct"))
    write_table(path, table, SEGMENT_COLUMNS)


def _mend_labels(place: Path) -> None:
    path = place / Paths("sample").manifest / "segments.parquet"
    path.with_suffix(".correct").rename(path)


def _remove_band(place: Path) -> None:
    """Let the filter remove the low frequencies."""
    data = yaml.safe_load(parameters.read(place / parameters.FILE))
    data["resample"]["low_hz"] = _LOW_HZ
    write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))


def _break_augmentation(place: Path) -> None:
    """Let the random masks cover all frames and half of the bins."""
    path = place / "auscult/training/batches.py"
    right, wrong = (f"TIME_SHARE, BIN_SHARE = {shares}\n" for shares in ("0.2, 0.15", "1.0, 0.5"))
    text = path.read_text(encoding="utf-8")
    if right not in text and wrong not in text:
        raise AuscultError(f"there is no {right!r} to break", where=str(path), next_step=f"adapt {__name__}")
    write_text(path, text.replace(right, wrong))


MISTAKES = {
    "labels": Mistake("every second segment with crackles is labelled normal in training", _swap_labels, _mend_labels),
    "filter": Mistake(f"the filter removes all below {_LOW_HZ:g} Hz", _remove_band, features=True),
    "augmentation": Mistake(
        "the masks of the augmentation may cover all frames and half of the bins", _break_augmentation
    ),
}


def main() -> None:
    """Train, compare, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_losses", description=__doc__)
    parser.add_argument("--experiment", default="abnormal_logmel_cnn2d", help="of the sample, on segments")
    parser.add_argument("--repeats", type=int, default=10, help="trainings of each kind (default: 10)")
    parser.add_argument("--only", choices=MISTAKES, help="this mistake only")
    arguments = parser.parse_args()
    name, repeats = arguments.experiment, arguments.repeats
    shared_by = len(parameters.load(REPOSITORY / parameters.FILE).evaluated) + 1
    how = settings.load(REPOSITORY)[1].compare
    method = Method(1.0 - (1.0 - how.confidence) / shared_by, how.resamples, how.seed, how.min_patients)
    noise = find_noise(load_noise(REPOSITORY, "sample"), name)
    with _prepared(name) as place:
        right = [_trained(place, name, _FIRST_SEED + number) for number in range(repeats)]
    pairs = list(combinations(right, 2))
    _print(f"another seed only, {repeats} trainings in pairs", [_difference(*pair, noise, method) for pair in pairs])
    for key in [arguments.only] if arguments.only else MISTAKES:
        mistake = MISTAKES[key]
        with _prepared(name) as place:
            mistake.before(place)
            stages = ("resample", "features", "balance") if mistake.features else ("balance",)
            for stage in stages:
                follow(place, [sys.executable, "-m", f"stages.{stage}"], lambda _: None)
            mistake.after(place)
            wrong = [_trained(place, name, _FIRST_SEED + repeats + number, mistake) for number in range(repeats)]
        found = [_difference(old, new, noise, method) for old, new in zip(right, wrong, strict=True)]
        _print(mistake.what, found)


@contextmanager
def _prepared(name: str) -> Iterator[Path]:
    """Make a worktree of the last commit with one experiment, its data up to date."""
    place = REPOSITORY / worktree.FOLDER / _WORKTREE
    worktree.remove(REPOSITORY, place)  # of a killed run
    place = worktree.create(REPOSITORY, _WORKTREE, git(REPOSITORY, "rev-parse", "HEAD"))
    try:
        worktree.fill(place)
        made = reproduce_all(place, ["balance"])
        if fault := made.fault or next(filter(None, map(made.missing_reason, made.stages)), ""):
            raise AuscultError(fault, where="HEAD", next_step="make repro, commit, and run the same command again")
        data = yaml.safe_load(parameters.read(place / parameters.FILE))
        data["experiments"], data["combinations"] = {name: data["experiments"][name]}, {}
        write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))
        yield place
    finally:
        worktree.remove(REPOSITORY, place)


def _trained(place: Path, name: str, seed: int, mistake: Mistake | None = None) -> Evaluated:
    """Train with a seed, evaluate with the right labels, and return the evaluated model."""
    data = yaml.safe_load(parameters.read(place / parameters.FILE))
    data["train"]["seed"] = seed
    write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))
    if mistake is not None:
        mistake.before(place)
    follow(place, [sys.executable, "-m", "stages.train", name], lambda _: None)
    if mistake is not None:
        mistake.after(place)
    follow(place, [sys.executable, "-m", "stages.evaluate", name], lambda _: None)
    folder = place / Paths("sample").evaluation(name)
    table = read_table(folder / "predictions.parquet")
    return Evaluated(Task.from_json(read_json(folder / "evaluation.json")["task"]), table, f"{seed} {mistake}", {})


def _difference(old: Evaluated, new: Evaluated, noise: Noise, method: Method) -> Any:
    """Return the comparison of the validation scores."""
    part = differences.compare("validation", old, new, noise, method, same=False)
    return next(metric for metric in part.metrics if metric.name == "score")


def _print(what: str, found: Sequence[Any]) -> None:
    moved = 100.0 * np.array([metric.head - metric.base for metric in found])
    marked = [sum(metric.mark == mark for metric in found) for mark in ("worse", "better")]
    noticeable = 100.0 * np.median([metric.noticeable for metric in found])
    print(
        f"{what}: score {moved.mean():+.1f} (sd {moved.std(ddof=1):.1f}, {moved.min():+.1f} to {moved.max():+.1f});"
        f" marked worse {marked[0]}, better {marked[1]} of {len(found)}; noticed from {noticeable:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    run(main)
