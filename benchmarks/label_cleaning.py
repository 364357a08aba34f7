"""``python -m benchmarks.label_cleaning``: how many planted wrong labels are found, and what correcting them gains.

In temporary worktrees of the last commit, one in twenty segments of the sample's development part gets a wrong label.
An experiment is trained, its hard examples are ranked, and the wrong labels among the first tenth are corrected, as a
listener would who hears every one of them. The experiment is trained again. Test labels are right throughout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.core import corrections, withdrawals
from auscult.core import params as parameters
from auscult.core.corrections import Correction
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import read_json, read_table
from auscult.core.tasks import Task
from auscult.curation.current_split import current_folds
from auscult.reporting.hard_examples import ranked
from auscult.splitting import pinned
from auscult.versioning.commands import follow
from benchmarks.planted_losses import DATASET, prepared

SHARE, LOOKED_AT = 0.05, 0.1
PATHS = Paths(DATASET)


def main() -> None:
    """Plant, find, correct, and print a line per repeat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_cleaning", description=__doc__)
    parser.add_argument("--experiment", default="abnormal_logmel_boosting", help="of segments, with two classes")
    parser.add_argument("--repeats", type=int, default=5, help="draws of the wrong labels (default: 5)")
    arguments = parser.parse_args()
    rows = []
    with prepared() as place:
        params = parameters.load(place / parameters.FILE)
        pinned.write(current_folds(params, withdrawals.read(DATASET, place), place), place)
        clean = _test_score(place, arguments.experiment, ())
        draws = [_wrong_labels(place, seed) for seed in range(arguments.repeats)]  # from the manifest without any
        for number, wrong in enumerate(draws):
            before = _test_score(place, arguments.experiment, wrong)
            found = {ranking: _found(place, arguments.experiment, wrong, ranking) for ranking in ("loss", "margin")}
            left = [each for each in wrong if each.item not in found["loss"]]
            after = _test_score(place, arguments.experiment, left)
            shares = {ranking: len(items) / len(wrong) for ranking, items in found.items()}
            rows.append({"clean": clean, "wrong": before, "corrected": after, **shares})
            print(_line(f"draw {number}", rows[-1], len(wrong)), flush=True)
    mean = pd.DataFrame(rows)
    gain = 100.0 * (mean["corrected"] - mean["wrong"])
    print(_line("mean", mean.mean().to_dict(), len(wrong)))
    print(f"gain by correcting: {gain.mean():+.1f} points, standard deviation {gain.std():.1f}")


def _wrong_labels(place: Path, seed: int) -> list[Correction]:
    """Return lines that give segments of the development part wrong labels: normal ones crackles, others none."""
    segments = read_table(place / PATHS.manifest / "segments.parquet").merge(
        read_table(place / PATHS.split / "assignment.parquet")[["recording_id", "part"]], on="recording_id"
    )
    own = segments[segments["part"] == "development"]
    drawn = own.sample(frac=SHARE, random_state=seed)
    return [
        Correction(item, label, "crackle" if label == "normal" else "normal", "benchmark", "planted", "2026-01-01")
        for item, label in zip(drawn["segment_id"], drawn["label"], strict=True)
    ]


def _test_score(place: Path, name: str, lines: Sequence[Correction]) -> float:
    """Train and evaluate with these corrections, and return the test score."""
    corrections.write(DATASET, lines, place)
    for stage in (["validate"], ["split"], ["balance"], ["train", name], ["evaluate", name]):
        follow(place, [sys.executable, "-m", f"stages.{stage[0]}", *stage[1:]], lambda _: None)
    return float(read_json(place / PATHS.metrics(name))["test"]["score"])


def _found(place: Path, name: str, wrong: Sequence[Correction], ranking: Any) -> set[str]:
    """Return the wrong labels among the first tenth of the hard examples."""
    folder = place / PATHS.evaluation(name)
    task = Task.from_json(read_json(folder / "evaluation.json")["task"])
    table = ranked(read_table(folder / "predictions.parquet"), task, ranking)
    first = table["item"].head(int(np.ceil(LOOKED_AT * len(table))))
    return {each.item for each in wrong} & set(first)


def _line(what: str, row: dict[str, float], wrong: int) -> str:
    found = {ranking: f"{100 * row[ranking]:.0f} %" for ranking in ("loss", "margin")}
    scores = {name: f"{100 * row[name]:.1f}" for name in ("wrong", "corrected", "clean")}
    return (
        f"{what}: of {wrong} wrong labels {found['loss']} in the first tenth by loss, {found['margin']} by margin;"
        f" test score {scores['wrong']}, after correcting them {scores['corrected']}, with all labels right"
        f" {scores['clean']}"
    )


if __name__ == "__main__":
    run(main)
