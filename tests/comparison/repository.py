"""A repository whose models are as good as a test says, whatever a training makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.flows.repositories import git
from tests.pipeline.workspace import SMALL, clone

EXPERIMENT = "abnormal_logmel_cnn2d"
JUDGING = "auscult/evaluation/predictions.py"
METRICS = f"reports/sample/metrics/{EXPERIMENT}.json"
_CHANGES: dict[str, Any] = SMALL | {
    "download.sample.patients": 28,
    "validate.max_reject_share": 0.5,
    "train.trials": 1,
    "train.generation": 1,
    "train.epochs": 1,
    "experiments": {EXPERIMENT: {"task": "abnormal", "features": "logmel", "model": "cnn2d"}},
    "flows.retrain.experiments": [EXPERIMENT],
    "flows.compare.min_patients": 4,
    "flows.compare.resamples": 400,
}
#: Goes to the end of evaluate's code: answers that are right in so many of 100 units, the same ones every time.
_ANSWERS = '''

_heard = judge


def judge(paths, representation, model):
    """Answers that are right as often as the test says."""
    from dataclasses import replace
    from zlib import crc32

    judged = _heard(paths, representation, model)
    own = judged.answers[MODEL]
    right = np.array([crc32(f"{{unit}}{salt}".encode()) % 100 < {right} for unit in judged.table["unit_id"]])
    predicted = np.where(right, own.y, 1 - own.y)
    own = replace(own, predicted=predicted, probabilities=np.eye(2)[predicted] * 0.8 + 0.1)
    return replace(judged, answers={{**judged.answers, MODEL: own}})
'''


def make(root: Path) -> Path:
    """A clone with one experiment, and of the pipeline only what it needs; nothing has run, ``start`` is its commit."""
    clone(root, _CHANGES)
    graph = yaml.safe_load((root / "dvc.yaml").read_text())
    del graph["stages"]["report"]
    graph["stages"]["features"]["foreach"] = {"logmel": graph["stages"]["features"]["foreach"]["logmel"]}
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    (root / "judging.py").write_text((root / JUDGING).read_text())
    answer(root, 60)
    git(root, "branch", "-M", "main")
    commit(root, "start")
    return root


def answer(root: Path, right: int, salt: str = "") -> None:
    """Have the model right in so many of 100 units; *salt* chooses other ones."""
    (root / JUDGING).write_text((root / "judging.py").read_text() + _ANSWERS.format(right=right, salt=salt))


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def branch(root: Path, name: str) -> None:
    """A branch from main, with main's outputs as DVC left them where only answers differ."""
    git(root, "checkout", "-q", "-f", "-B", name, "main")
