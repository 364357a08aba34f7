"""``auscult measure seed-variance``: how much retraining with another seed moves each metric.

Every experiment of ``params.yaml`` is trained again with other seeds (``train.seed``), everything else unchanged, and
the combinations are fitted again, in a temporary worktree of the last commit. The standard deviations go into
``benchmarks/retraining.json``, which :mod:`auscult.registry.gate.noise` reads.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from auscult.core import params as parameters
from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.sections import Params
from auscult.core.storage import read_json, write_json, write_text
from auscult.registry.gate.noise import NOISE_FILE, PARTS
from auscult.versioning import worktree
from auscult.versioning.commands import follow, git
from auscult.versioning.graph import reproduce_all

_LOG = logging.getLogger(__name__)
_WORKTREE = "seed-variance"


def measure(seeds: int) -> None:
    """Train every experiment with *seeds* seeds, three or more, and write the standard deviations of its metrics.

    Raises
    ------
    AuscultError
        The pipeline of the last commit fails.
    """
    root = Path.cwd()
    worktree.remove(root, root / worktree.FOLDER / _WORKTREE)  # of a killed measurement
    commit = git(root, "rev-parse", "HEAD")
    place = worktree.create(root, _WORKTREE, commit)
    try:
        worktree.fill(place)
        made = reproduce_all(place, ["balance"])
        if fault := made.fault or next(filter(None, map(made.missing_reason, made.stages)), ""):
            raise AuscultError(fault, where="HEAD", next_step="fix it, commit, and run the same command again")
        params = parameters.load(place / parameters.FILE)
        used = [params.train.seed + number for number in range(seeds)]
        trainings = [_retrained(place, params, seed) for seed in used]
    finally:
        worktree.remove(root, place)
    table: dict[str, Any] = read_json(root / NOISE_FILE) if (root / NOISE_FILE).exists() else {"datasets": {}}
    by_name = {name: [each[name] for each in trainings] for name in params.evaluated}
    table["datasets"][params.dataset] = {"commit": commit, "seeds": used, **spread(by_name)}
    write_json(root / NOISE_FILE, table)
    _LOG.info("written: %s", NOISE_FILE)


def _retrained(place: Path, params: Params, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Train every experiment with one seed, combine them, and return name → part → metric → value."""
    data = yaml.safe_load(parameters.read(place / parameters.FILE))
    data["train"]["seed"] = seed
    write_text(place / parameters.FILE, yaml.safe_dump(data, sort_keys=False))
    stages: list[tuple[str, ...]] = [(stage, name) for name in params.experiments for stage in ("train", "evaluate")]
    if params.combinations:
        stages += [("combine",), *(("evaluate_combined", name) for name in params.combinations)]
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for stage, *names in stages:
        follow(place, [sys.executable, "-m", f"stages.{stage}", *names], lambda _: None)
        if stage.startswith("evaluate"):
            (name,) = names
            found = metrics[name] = read_json(place / Paths(params.dataset).metrics(name))
            _LOG.info("%s, seed %s: %s", name, seed, ", ".join(f"{part} {found[part].get('score')}" for part in PARTS))
    return metrics


def spread(metrics: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> dict[str, Any]:
    """Return standard deviations over retrainings.

    Parameters
    ----------
    metrics
        Experiment → for each training: part → metric → value. Metrics that a training lacks are left out.

    Returns
    -------
    dict
        ``experiments``: name → part → metric → standard deviation; ``pooled``: part → metric → root of the mean
        variance over the experiments that have the metric.
    """
    own: dict[str, dict[str, dict[str, float]]] = {name: {} for name in metrics}
    pooled: dict[str, dict[str, float]] = {}
    for part in PARTS:
        deviations = {}
        for name, trainings in metrics.items():
            table = pd.DataFrame([each[part] for each in trainings]).dropna(axis="columns")
            deviations[name] = table.std(ddof=1).round(6)
            own[name][part] = deviations[name].to_dict()
        variances = pd.DataFrame(deviations).pow(2).mean(axis="columns")
        pooled[part] = variances.pow(0.5).round(6).sort_index().to_dict()
    return {"experiments": own, "pooled": pooled}
