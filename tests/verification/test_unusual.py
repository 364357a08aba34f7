"""Small and lopsided data: absent classes, few patients, undefined metrics; both implementations say the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auscult.core.cohorts import COHORTS
from auscult.core.sections import EvaluateParams
from auscult.core.tasks import Task
from auscult.evaluation.assessment import assess, flat_metrics, prediction_table
from auscult.evaluation.baselines import TITLES
from auscult.evaluation.metrics import Predictions
from auscult.evaluation.predictions import MODEL, UnitPredictions
from auscult.verification.agreement import Findings
from auscult.verification.expected import recompute
from auscult.verification.intervals import Settings

TASKS = (  # each with the seed of its number
    Task("abnormal", "segment", ("normal", "abnormal"), "normal", {}),
    Task("binary", "recording", ("sick", "healthy"), "healthy", {}),
    Task("sounds", "segment", ("normal", "crackle", "wheeze & both"), "normal", {}),
    Task("quality", "recording", ("CAS", "normal", "DAS", "poor"), "normal", {}, unscored=("poor",)),
)
SETTINGS = Settings(25, 3, 0.9)


def some_units(task: Task, seed: int) -> UnitPredictions:
    """Few units, of which some seeds lack classes in a part, and predict one class only."""
    rng = np.random.default_rng(seed)
    n, patients, classes = int(rng.integers(12, 70)), int(rng.integers(2, 14)), len(task.classes)
    y = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.6)))
    owner = rng.integers(0, patients, n)
    parts = np.where(np.arange(patients) % 2, "test", np.where(np.arange(patients) % 6 == 4, "exempt", "validation"))
    part = parts[owner]
    part[:2] = "validation", "test"
    table = pd.DataFrame(
        {
            "unit_id": [f"u{number}" for number in range(n)],
            "recording_id": [f"r{number // 2}" for number in range(n)],
            "patient_id": [f"p{number}" for number in owner],
            "part": part,
            "fold": np.where(part == "validation", owner % 3, -1),
            "start_s": 0.0,
            "end_s": 1.0,
            "duration_s": 1.0,
            "class_index": y,
            "device": rng.choice(np.array(["A", "B", None], dtype=object), n),
            "location": rng.choice(np.array(["Al", None], dtype=object), n) if seed % 2 else None,
            "period": rng.choice(np.array(["period 1", "period 2"], dtype=object), n),
            "age_years": np.where(rng.random(n) < 0.2, np.nan, rng.uniform(0, 90, n)),
            "sex": "female" if seed % 3 else None,
        }
    )

    def predictions() -> Predictions:
        p = rng.dirichlet(np.full(classes, 0.4), n).round(1 if seed % 2 else 9)
        p = (p / np.maximum(p.sum(axis=1, keepdims=True), 1e-9)).round(9)
        predicted = p.argmax(axis=1) if rng.random() < 0.8 else np.full(n, int(rng.integers(0, classes)))
        return Predictions(task, y, predicted, p, table["patient_id"].to_numpy(object))

    found = {name: predictions() for name in (MODEL, *TITLES)}
    kinds = [kind for kind in COHORTS if table.loc[table["part"] == "validation", kind].fillna("unknown").nunique() > 1]
    by_patient = (owner * 7 + 1) % classes if task.unit == "recording" else None
    return UnitPredictions(table, found, {kind: predictions() for kind in kinds}, by_patient)


@pytest.mark.parametrize(("task", "seed"), [(task, number) for number, task in enumerate(TASKS)])
def test_both_implementations_agree(task: Task, seed: int) -> None:
    units = some_units(task, seed)
    rules = {"score": {"out_of_fold": 0.5, "worst_cohort": None, "cohort": None}}
    about: dict[str, Any] = {"decision": {"rule": "score"}, "rules": rules}
    fitted = SimpleNamespace(decision=SimpleNamespace(rule="score"))
    params = EvaluateParams(bootstrap=SETTINGS.resamples, seed=SETTINGS.seed, confidence=SETTINGS.confidence)
    evaluated = assess(units, SimpleNamespace(task=task, fitted=fitted, about=about), params)  # type: ignore[arg-type]
    names = dict.fromkeys(("experiment", "dataset", "features", "model"), "any")
    recomputed = recompute(prediction_table(units), task, SETTINGS, about, {})
    findings = Findings("any")
    findings.compare("evaluation.json", names | evaluated, recomputed.evaluation)
    flat = {part: flat_metrics(evaluated["parts"][part]) for part in ("validation", "test")}
    findings.compare("metrics", flat, recomputed.metrics)
    assert not findings.differences, "\n".join(map(str, findings.differences))
    assert findings.figures > 50
