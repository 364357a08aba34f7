"""``python -m benchmarks.planted_losses``: how often a comparison marks models that a mistake made worse.

The sample's experiments are trained with several seeds in temporary worktrees of the last commit, as the code is and
with one mistake. Each training with a mistake is compared with the right one of the same seed, as a pull request with
its base, and the right ones with each other. The seed variance is that of ``benchmarks/retraining.json``. A training
with a seed of that file is taken from the cache if the file was measured here.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from auscult import settings
from auscult.comparison.differences import Evaluated, Method
from auscult.comparison.document import Comparison, Metric, Revision
from auscult.comparison.report import compare
from auscult.comparison.revisions import Results
from auscult.comparison.verdict import verdict
from auscult.core import params as parameters
from auscult.core.digests import file_sha256
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.records import SEGMENT_COLUMNS
from auscult.core.storage import read_json, read_table, write_table, write_text
from auscult.core.tasks import Task
from auscult.versioning import worktree
from auscult.versioning.commands import follow, git
from auscult.versioning.graph import reproduce_all
from benchmarks.process import REPOSITORY

DATASET = "sample"
_WORKTREE = "planted-losses"
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
    path = place / Paths(DATASET).manifest / "segments.parquet"
    table = read_table(path)
    crackles = np.flatnonzero(table["label"] == "crackle")[::2]
    table.iloc[crackles, table.columns.get_loc("label")] = "normal"
    path.rename(path.with_suffix(".correct"))
    write_table(path, table, SEGMENT_COLUMNS)


def _mend_labels(place: Path) -> None:
    path = place / Paths(DATASET).manifest / "segments.parquet"
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
    """Train, compare, and print a line per kind of training."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_losses", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each kind (default: 5)")
    parser.add_argument("--only", choices=MISTAKES, help="this mistake only")
    arguments = parser.parse_args()
    how = settings.load(REPOSITORY)[1].compare
    method = Method(how.confidence, how.resamples, how.seed, how.min_patients)
    right = _trained(arguments.seeds)
    pairs = [_comparison(*pair, method) for pair in combinations(right, 2)]
    _print("another seed and nothing else", pairs)
    for mistake in [arguments.only] if arguments.only else MISTAKES:
        wrong = _trained(arguments.seeds, MISTAKES[mistake])
        _print(MISTAKES[mistake].what, [_comparison(*pair, method) for pair in zip(right, wrong, strict=True)])


@contextmanager
def prepared() -> Iterator[Path]:
    """Make a worktree of the last commit, its features up to date; without combinations."""
    place = REPOSITORY / worktree.FOLDER / _WORKTREE
    worktree.remove(REPOSITORY, place)  # of a killed run
    place = worktree.create(REPOSITORY, _WORKTREE, git(REPOSITORY, "rev-parse", "HEAD"))
    try:
        worktree.fill(place)
        made = reproduce_all(place, ["balance"])
        if fault := made.fault or next(filter(None, map(made.missing_reason, made.stages)), ""):
            raise AuscultError(fault, where="HEAD", next_step="make repro, commit, and run the same command again")
        data = yaml.safe_load(parameters.read(place / parameters.FILE))
        data["combinations"] = {}
        write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))
        yield place
    finally:
        worktree.remove(REPOSITORY, place)


def _trained(seeds: int, mistake: Mistake | None = None) -> list[Results]:
    """Train every experiment with each seed, evaluate with the right labels, and return the results."""
    found = []
    with prepared() as place:
        if mistake is not None:
            mistake.before(place)
            for stage in ("resample", "features") * mistake.features:
                follow(place, [sys.executable, "-m", f"stages.{stage}"], lambda _: None)
            follow(place, [sys.executable, "-m", "stages.balance"], lambda _: None)
            mistake.after(place)
        data = yaml.safe_load(parameters.read(place / parameters.FILE))
        first = data["train"]["seed"]
        for seed in range(first, first + seeds):
            data["train"]["seed"] = seed
            write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))
            if mistake is not None:
                mistake.before(place)
            for name in data["experiments"]:
                follow(place, [sys.executable, "-m", "stages.train", name], lambda _: None)
            if mistake is not None:
                mistake.after(place)
            for name in data["experiments"]:
                follow(place, [sys.executable, "-m", "stages.evaluate", name], lambda _: None)
            experiments: dict[str, Evaluated | str] = {name: _evaluated(place, name) for name in data["experiments"]}
            revision = Revision(str(seed), "", False, "")
            found.append(Results(revision, dataset=DATASET, params=data, experiments=experiments))
    return found


def _evaluated(place: Path, name: str) -> Evaluated:
    paths = Paths(DATASET)
    folder = place / paths.evaluation(name)
    task, table = (
        Task.from_json(read_json(folder / "evaluation.json")["task"]),
        read_table(folder / "predictions.parquet"),
    )
    return Evaluated(task, table, file_sha256(place / paths.model(name) / "model.json"), {})


def _comparison(base: Results, head: Results, method: Method) -> Comparison:
    return compare(REPOSITORY, base, head, method, None)


def _print(what: str, found: Sequence[Comparison]) -> None:
    """Print how many verdicts a kind of training got, and the validation scores of the experiments and their mean."""
    kinds = Counter(verdict(each).kind for each in found)
    print(f"{what}: {len(found)} comparisons: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    rows: dict[str, list[Metric]] = defaultdict(list)
    for each in found:
        for row in each.rows:
            score = row.score("validation")
            if row.state == "compared" and score is not None and score.difference is not None:
                rows[row.name].append(score)
    for name, scores in rows.items():
        moved = 100.0 * np.array([score.difference for score in scores])
        marks = Counter(score.mark for score in scores)
        noticed = 100.0 * np.median([score.noticeable or np.nan for score in scores])
        print(
            f"  {name}: {moved.mean():+.1f} ({moved.min():+.1f} to {moved.max():+.1f}), noticed from {noticed:.1f};"
            f" {', '.join(f'{count} {mark}' for mark, count in marks.items())}",
            flush=True,
        )


if __name__ == "__main__":
    run(main)
