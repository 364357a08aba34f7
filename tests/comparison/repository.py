"""A repository whose models have the accuracy that a test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.flows.repositories import git
from tests.pipeline.workspace import SMALL, clone

EXPERIMENT = "abnormal_logmel_cnn2d"
PREDICTING = "auscult/evaluation/predictions.py"
METRICS = f"reports/sample/metrics/{EXPERIMENT}.json"
_CHANGES: dict[str, Any] = SMALL | {
    "download.sample.patients": 28,
    "validate.max_reject_share": 0.5,
    "train.trials": 1,
    "train.generation": 1,
    "train.epochs": 1,
    "experiments": {EXPERIMENT: {"task": "abnormal", "features": "logmel", "model": "cnn2d"}},
    "combinations": {},
    "flows.retrain.experiments": [EXPERIMENT],
    "flows.compare.min_patients": 4,
    "flows.compare.resamples": 400,
}
#: Appended to the code of evaluate: predictions that are correct in a set share of the units, always the same ones.
_PREDICTIONS = '''

_original = predict_units


def predict_units(paths, representation, model):
    """Return predictions with the accuracy that the test sets."""
    from dataclasses import replace
    from zlib import crc32

    units = _original(paths, representation, model)
    own = units.predictions[MODEL]
    correct = np.array([crc32(f"{{unit}}{salt}".encode()) % 100 < {percent} for unit in units.table["unit_id"]])
    predicted = np.where(correct, own.y, 1 - own.y)
    own = replace(own, predicted=predicted, probabilities=np.eye(2)[predicted] * 0.8 + 0.1)
    return replace(units, predictions={{**units.predictions, MODEL: own}})
'''


def make(root: Path) -> Path:
    """Clone the project with one experiment and the stages that it needs; nothing has run, and all is committed."""
    clone(root, _CHANGES)
    graph = yaml.safe_load((root / "dvc.yaml").read_text())
    del graph["stages"]["report"]
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    (root / "original.py").write_text((root / PREDICTING).read_text())
    set_accuracy(root, 60)
    git(root, "branch", "-M", "main")
    commit(root, "start")
    return root


def set_accuracy(root: Path, percent: int, salt: str = "") -> None:
    """Make the model's predictions correct in so many percent of the units; *salt* selects other units."""
    (root / PREDICTING).write_text((root / "original.py").read_text() + _PREDICTIONS.format(percent=percent, salt=salt))


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def branch(root: Path, name: str) -> None:
    """Check out a new branch from main."""
    git(root, "checkout", "-q", "-f", "-B", name, "main")
