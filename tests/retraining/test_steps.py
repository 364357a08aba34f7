"""Which experiments a retraining trains, and what it publishes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.core.errors import ParameterError
from auscult.registry.gate.rule import Decision
from auscult.retraining import steps
from auscult.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings() -> Settings:
    """Settings with two experiments in service."""
    found = load(ROOT)[1]
    return found.model_copy(update={"retrain": found.retrain.model_copy(update={"experiments": ["one", "two"]})})


def test_by_default_every_experiment_in_service_is_decided_on(settings: Settings) -> None:
    assert steps.choose(settings, None) == ["one", "two"]
    assert steps.choose(settings, ["two"]) == ["two"]
    assert steps.choose(settings, ["two", "one", "two"]) == ["one", "two"]


def test_an_experiment_that_is_not_in_service_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(ParameterError, match=r"twoo.*one, two.*'two'"):
        steps.choose(settings, ["twoo"])


def test_a_chosen_experiment_is_pushed_with_the_additions_and_without_other_experiments(tmp_path: Path) -> None:
    (tmp_path / "data/added/sample").mkdir(parents=True)
    (tmp_path / "data/added/sample/b1.dvc").touch()
    stages = steps.stages_of(["one"])
    assert steps.push_targets(tmp_path, stages) == ["describe", "evaluate@one", "data/added/sample/b1.dvc"]
    assert steps.push_targets(tmp_path, []) == [], "everything"


@pytest.mark.parametrize(("rule", "there"), [("better", True), ("unchanged", False)])
def test_the_page_of_a_decision_is_where_it_is_named(rule: str, there: bool) -> None:
    decided = steps.Decided("one", "2", Decision("keep", rule, "a reason"))
    page = steps.page_of("retrain-1", "sample", decided)
    assert page == (Path("reports/decisions/sample/one/retrain-1/index.html") if there else None)
