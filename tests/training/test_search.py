"""The search: pruning, the time budget, the ranges, and the best trial on every fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.core import params as parameters
from auscult.core.errors import AuscultError, ParameterError
from auscult.core.paths import Paths
from auscult.core.sections import Range
from auscult.models import cnn1d
from auscult.training.experiment import train_experiment
from auscult.training.search import STARTUP_TRIALS, WARMUP_EPOCHS, Search
from tests.training.prepared_data import load_data, prepare

EPOCHS = WARMUP_EPOCHS + 3


@pytest.fixture(autouse=True)
def _in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process, with an empty cache of finished trials: a fork may hang after a test has used torch."""
    monkeypatch.setattr("auscult.training.search.run_all", lambda jobs: [job() for _, job in jobs])
    monkeypatch.chdir(tmp_path)


def searching(paths: Paths, **changes: Any) -> Search:
    loaded = parameters.load()
    params = loaded.training_of("demo").model_copy(update=changes)
    return Search("demo", load_data(paths), "cnn1d", params, loaded.search["cnn1d"])


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return searching(prepare(tmp_path, trials=9, generation=1, epochs=EPOCHS))


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
    params = search.params.model_copy(update={"budget_minutes": 1e-6, "epochs": 1})
    trials, names = replace(search, params=params).run()
    assert len(trials) == 1
    assert names == {0: "trial-0000", 1: "trial-0000-fold-1", 2: "trial-0000-fold-2"}
    assert "1e-06 min" in caplog.text


def test_every_fold_is_trained_with_the_hyperparameters_that_the_first_fold_chose(search: Search) -> None:
    short = replace(search, params=search.params.model_copy(update={"trials": 3, "epochs": 2}))
    trials, names = short.run()
    records = {fold: short.finished.read(name) or {} for fold, name in names.items()}
    best = max(trials, key=lambda trial: trial["rank"])
    assert all(record["hyperparameters"] == best["hyperparameters"] for record in records.values())
    assert len({trial["hyperparameters"]["learning_rate"] for trial in trials}) > 1
    assert len({record["seed"] for record in records.values()}) == 3, "each network has its own start"


def test_with_patience_the_first_fold_chooses_the_epoch_and_the_others_train_just_that_long(tmp_path: Path) -> None:
    # One epoch without a better score ends the training: far before the 30 that the schedule is made for.
    search = searching(prepare(tmp_path), trials=1, epochs=30, patience=1)
    _, names = search.run()
    first, *others = (search.finished.read(name) for name in names.values())
    assert first is not None
    assert first["best_epoch"] == len(first["epochs"]) - 1 < 29
    assert len(others) == 2
    for record in others:
        assert record is not None
        assert record["best_epoch"] == len(record["epochs"]) == first["best_epoch"]


def test_hyperparameters_are_drawn_from_the_ranges_in_the_parameters(tmp_path: Path) -> None:
    space = {
        "filters": {"low": 16, "high": 48, "step": 16},
        "dropout": {"low": 0.2, "high": 0.4, "step": 0.1},
        "learning_rate": {"low": 0.002, "high": 0.004, "log": True},
    }
    search = searching(prepare(tmp_path, search=space), trials=1)
    drawn = [search._suggest(earlier(6, 0.5), slot) for slot in range(12)]
    assert {each["filters"] for each in drawn} <= {16, 32, 48} and len({each["filters"] for each in drawn}) > 1
    assert all(isinstance(each["filters"], int) for each in drawn)
    assert {round(float(each["dropout"]), 6) for each in drawn} <= {0.2, 0.3, 0.4}
    assert all(0.002 <= each["learning_rate"] <= 0.004 for each in drawn)
    assert len({each["learning_rate"] for each in drawn}) == 12
    assert {each["units"] for each in drawn} == {cnn1d.DEFAULTS["units"]}, "not searched: the default"


def test_the_defaults_are_the_first_trial(search: Search) -> None:
    first = search._suggest([], 0)
    assert {name: first[name] for name in cnn1d.DEFAULTS} == cnn1d.DEFAULTS and not first["use_synthetic"]
    assert search._suggest([], 1) == first | {"use_synthetic": True}


def test_ranges_without_the_default_are_searched(tmp_path: Path) -> None:
    space = {"filters": {"low": 4, "high": 8, "step": 4}, "learning_rate": {"low": 0.005, "high": 0.006}}
    search = searching(prepare(tmp_path, search=space), trials=3, epochs=1)
    trials, _ = search.run()
    assert {trial["hyperparameters"]["filters"] for trial in trials} <= {4, 8}
    assert all(0.005 <= trial["hyperparameters"]["learning_rate"] <= 0.006 for trial in trials)


def test_a_hyperparameter_that_the_model_lacks_is_named(tmp_path: Path) -> None:
    paths = prepare(tmp_path, search={"filter": {"low": 4, "high": 8}})
    with pytest.raises(AuscultError, match="filter") as caught:
        train_experiment(paths, "demo", parameters.load())
    assert "search" in str(caught.value) and "filters" in str(caught.value)


def test_chosen_hyperparameters_replace_the_defaults_of_their_model(tmp_path: Path) -> None:
    chosen = {"cnn1d": {"units": 48, "dropout": 0.2}, "cnn2d": {"units": 7}}
    own = {"hyperparameters": {"cnn1d": {"filters": 20}}}
    space = {"dropout": {"low": 0.1, "high": 0.5, "step": 0.1}}
    search = searching(prepare(tmp_path, hyperparameters=chosen, search=space, own=own))
    expected = {"units": 48, "dropout": 0.2, "filters": 20}
    assert search._suggest([], 0) == cnn1d.DEFAULTS | expected | {"use_synthetic": False}
    drawn = [search._suggest(earlier(6, 0.5), slot) for slot in range(8)]
    assert {each["units"] for each in drawn} == {48}, "not searched: as chosen"
    assert len({each["dropout"] for each in drawn}) > 1
    assert search.params.hyperparameters == {"cnn1d": expected}, "another model's is no part of the search"


@pytest.mark.parametrize(
    ("chosen", "needed"),
    [
        ({"units": 0}, "1 or more"),
        ({"units": 2.5}, "1 or more"),
        ({"units": True}, "same type"),
        ({"dropout": 1.0}, "less than 1"),
        ({"learning_rate": 0.0}, "positive"),
    ],
)
def test_chosen_hyperparameters_that_cannot_be_are_refused(tmp_path: Path, chosen: dict[str, Any], needed: str) -> None:
    paths = prepare(tmp_path, hyperparameters={"cnn1d": chosen})
    with pytest.raises(ParameterError, match=needed) as refused:
        train_experiment(paths, "demo", parameters.load())
    assert refused.value.where == f"params.yaml: train.hyperparameters.cnn1d.{next(iter(chosen))}"


@pytest.mark.parametrize(("chosen", "wrong"), [({"cnn1d": {"unit": 4}}, "unit"), ({"cnn3d": {"units": 4}}, "cnn3d")])
def test_chosen_hyperparameters_that_do_not_exist_are_named(tmp_path: Path, chosen: dict[str, Any], wrong: str) -> None:
    paths = prepare(tmp_path, hyperparameters=chosen)
    with pytest.raises(AuscultError, match=f"'{wrong}'") as caught:
        train_experiment(paths, "demo", parameters.load())
    assert "train.hyperparameters" in str(caught.value)


def test_other_ranges_and_other_epochs_are_another_search(tmp_path: Path) -> None:
    paths = prepare(tmp_path)
    base = searching(paths)
    folders = {
        base.finished.folder,
        searching(paths, epochs=7).finished.folder,
        replace(base, space={"filters": Range(low=4, high=8)}).finished.folder,
    }
    assert len(folders) == 3
    assert searching(paths, trials=99, budget_minutes=3.0).finished.folder == base.finished.folder


def test_an_experiment_trains_with_its_own_parameters(tmp_path: Path) -> None:
    paths = prepare(tmp_path, trials=1, epochs=3, own={"epochs": 2})
    train_experiment(paths, "demo", parameters.load())
    rows = (paths.model("demo") / "history.csv").read_text().splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == ["0", "0", "1", "1", "2", "2"]
