"""The search: pruning, and the time budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.core import params as parameters
from auscult.core.sections import Experiment
from auscult.models import cnn1d
from auscult.training.data import load
from auscult.training.search import STARTUP_TRIALS, WARMUP_EPOCHS, Search
from tests.training.prepared_data import prepare

EPOCHS = WARMUP_EPOCHS + 3


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    paths = prepare(tmp_path, trials=9, generation=1, epochs=EPOCHS, patience=9)
    # In this process: a fork may hang after other tests have used torch.
    monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
    monkeypatch.chdir(tmp_path)  # with an empty cache of finished trials
    params = parameters.load().train
    data = load(paths, "demo", Experiment(task="sounds", features="logmel", model="cnn1d"))
    return Search("demo", data, "cnn1d", params)


def earlier(count: int, score: float) -> list[dict[str, Any]]:
    """Finished trials with this validation score in every epoch."""
    epochs = [{"epoch": n + 1, "validation_score": score, "validation_loss": 1.0} for n in range(EPOCHS)]
    hyperparameters = cnn1d.DEFAULTS | {"use_synthetic": True}
    about = {"hyperparameters": hyperparameters, "seed": 1, "state": "complete", "detail": "", "score": score}
    return [about | {"number": n, "rank": score, "best_epoch": 1, "epochs": epochs} for n in range(count)]


def test_trial_below_the_median_is_pruned_after_the_warm_up(search: Search) -> None:
    (record,) = search._generation(earlier(STARTUP_TRIALS, 1.01), 1)
    assert record["state"] == "pruned"
    assert len(record["epochs"]) == WARMUP_EPOCHS
    assert not search.finished.weights("trial-0004").exists()


def test_trial_above_the_median_is_not_pruned(search: Search) -> None:
    (record,) = search._generation(earlier(STARTUP_TRIALS, 0.01), 1)
    assert record["state"] == "complete" and len(record["epochs"]) == EPOCHS


def test_nothing_is_pruned_after_too_few_trials(search: Search) -> None:
    (record,) = search._generation(earlier(STARTUP_TRIALS - 1, 1.01), 1)
    assert record["state"] == "complete"


def test_search_ends_when_the_budget_is_used_up(search: Search, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    params = search.params.model_copy(update={"budget_minutes": 1e-6, "seeds": 1, "epochs": 1})
    trials, seeds = replace(search, params=params).run()
    assert len(trials) == 1 and seeds == ["trial-0000"]
    assert "1e-06 min" in caplog.text
