"""How much a retraining moves each figure: ``python -m auscult.comparison.seed_variance [--seeds 5]``.

Every experiment of ``params.yaml`` is trained again with other seeds (``train.seed``), everything else as it is, in a
throw-away worktree of what is committed. The standard deviations go into ``benchmarks/retraining.json``, which
the comparison of two revisions reads. It takes as many trainings as there are experiments times seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auscult.comparison import noise
from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import read_json, write_json, write_text
from auscult.versioning import worktree
from auscult.versioning.commands import follow, git
from auscult.versioning.graph import reproduce_all

_PARTS = ("validation", "test")
_NAME = "rehearse"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m auscult.comparison.seed_variance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each experiment (default: 5)")
    asked = parser.parse_args()
    if asked.seeds < 3:
        raise AuscultError("a spread needs three trainings at least", next_step="--seeds 5")
    root = Path.cwd()
    worktree.remove(root, root / worktree.FOLDER / _NAME)  # where one was killed
    commit = git(root, "rev-parse", "HEAD")
    place = worktree.create(root, _NAME, commit)
    try:
        worktree.fill(place)
        made = reproduce_all(place, print, ["balance"])
        if fault := made.fault or next((made.why_missing(name) for name in made.stages if made.why_missing(name)), ""):
            raise AuscultError(fault, where="HEAD", next_step="mend it, commit, and run it again")
        params = parameters.load(place / parameters.FILE)
        seeds = [params.train.seed + number for number in range(asked.seeds)]
        figures = {
            name: [_retrained(place, params.dataset, name, seed) for seed in seeds] for name in params.experiments
        }
    finally:
        worktree.remove(root, place)
    section = {"commit": commit, "seeds": seeds, **spread(figures)}
    table: dict[str, Any] = read_json(root / noise.FILE) if (root / noise.FILE).exists() else {"datasets": {}}
    table["datasets"][params.dataset] = section
    write_json(root / noise.FILE, table)
    print(f"written: {noise.FILE}")


def _retrained(place: Path, dataset: str, name: str, seed: int) -> dict[str, dict[str, float]]:
    """Part → figure → value of one training with one seed."""
    text = parameters.read(place / parameters.FILE)
    write_text(place / parameters.FILE, with_seed(text, seed))
    for stage in ("train", "evaluate"):
        follow(place, [sys.executable, "-m", f"stages.{stage}", name], lambda _: None)
    path = place / Paths(dataset).metrics(name)
    figures: dict[str, dict[str, float]] = read_json(path)
    print(f"{name}, seed {seed}: " + ", ".join(f"{part} {figures[part].get('score')}" for part in _PARTS), flush=True)
    return figures


def with_seed(text: str, seed: int) -> str:
    """The parameters' text with another ``train.seed``."""
    import yaml

    data = yaml.safe_load(text)
    data["train"]["seed"] = seed
    return yaml.safe_dump(data, sort_keys=False)


def spread(figures: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> dict[str, Any]:
    """Standard deviations over retrainings.

    Parameters
    ----------
    figures
        Experiment → for each training: part → figure → value. A figure that one of them lacks is left out.

    Returns
    -------
    dict
        ``experiments``: name → part → figure → standard deviation; ``pooled``: part → figure → the root of the mean
        variance over the experiments that have it.
    """
    import numpy as np

    own: dict[str, dict[str, dict[str, float]]] = {}
    for name, trainings in figures.items():
        own[name] = {part: {} for part in _PARTS}
        for part in _PARTS:
            common = [key for key in trainings[0][part] if all(key in each[part] for each in trainings)]
            for key in common:
                own[name][part][key] = round(float(np.std([each[part][key] for each in trainings], ddof=1)), 6)
    pooled: dict[str, dict[str, float]] = {}
    for part in _PARTS:
        keys = sorted({key for each in own.values() for key in each[part]})
        variances = {key: [each[part][key] ** 2 for each in own.values() if key in each[part]] for key in keys}
        pooled[part] = {key: round(float(np.sqrt(np.mean(found))), 6) for key, found in variances.items()}
    return {"experiments": own, "pooled": pooled}


if __name__ == "__main__":
    run(main)
