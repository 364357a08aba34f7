"""The gate: each kind of challenger gets the right decision, and noise does not get through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flows.gate.interval import compare
from flows.gate.rule import Decision, decide
from stages.digests import patient_key
from tests.flows.gate.simulated import DATASET, SETTINGS, answers, contender, settings


def decided(challenger_skill: float, champion_skill: float, **changes: Any) -> Decision:
    """The decision on two models of such skills; changes are the challenger's."""
    mine, theirs = answers(challenger_skill, champion_skill)
    return decide(DATASET, contender(mine, "2", **changes), contender(theirs, "1"), SETTINGS)


def outcome(decision: Decision) -> tuple[str, str]:
    return decision.outcome, decision.rule


def test_a_better_model_is_promoted_with_its_evidence() -> None:
    decision = decided(1.6, 0.8)
    assert outcome(decision) == ("promote", "better")
    record = decision.to_json()
    assert record["difference"]["low"] > 0
    assert record["challenger"]["score"]["value"] > record["champion"]["score"]["value"]
    assert (record["patients"], record["patients_left_out"]) == (40, 0)


def test_an_equal_model_is_refused() -> None:
    assert outcome(decided(1.2, 1.2)) == ("refuse", "not_shown")


def test_a_worse_model_is_refused_and_called_worse() -> None:
    assert outcome(decided(0.6, 1.6)) == ("refuse", "worse")


def test_a_better_model_that_has_met_a_test_patient_is_a_leak() -> None:
    decision = decided(1.6, 0.8, learned_from=frozenset({patient_key(DATASET, "p3"), patient_key(DATASET, "p4")}))
    assert outcome(decision) == ("refuse", "leak")
    assert "2 of the test patients" in decision.reason


def test_patients_whom_the_champion_has_met_are_left_out() -> None:
    mine, theirs = answers(1.6, 0.8)
    met = frozenset(patient_key(DATASET, f"p{n}") for n in range(10))
    decision = decide(DATASET, contender(mine, "2"), contender(theirs, "1", learned_from=met), SETTINGS)
    record = decision.to_json()
    assert (record["patients"], record["patients_left_out"]) == (30, 10)
    keep = np.array([patient_key(DATASET, name) not in met for name in mine.patients])
    figures = compare(mine.where(keep), theirs.where(keep), "score", 0.95, 400, 41)
    assert record["difference"] == figures["difference"].to_json()


def test_too_few_patients_that_both_can_be_compared_on_mean_no_decision() -> None:
    mine, theirs = answers(1.6, 0.4)
    met = frozenset(patient_key(DATASET, f"p{n}") for n in range(33))
    decision = decide(DATASET, contender(mine, "2"), contender(theirs, "1", learned_from=met), SETTINGS)
    assert outcome(decision) == ("undecided", "too_few_patients")
    assert "7 with normal and 7 with abnormal segments, 8 of each" in decision.reason


def test_a_champion_that_has_met_everybody_leaves_nothing_to_decide_on() -> None:
    mine, theirs = answers(1.6, 0.4)
    met = frozenset(patient_key(DATASET, f"p{n}") for n in range(40))
    decision = decide(DATASET, contender(mine, "2"), contender(theirs, "1", learned_from=met), SETTINGS)
    assert outcome(decision) == ("undecided", "too_few_patients")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("silent", "cannot answer: its process ended"),
        ("nan", "a probability that is no number"),
        ("sum", "do not sum to one"),
        ("constant", "are the same"),
    ],
)
def test_a_broken_challenger_is_refused(fault: str, words: str) -> None:
    mine, theirs = answers(1.6, 0.8)
    p = mine.probabilities.copy()
    if fault == "nan":
        p[5] = np.nan
    elif fault == "sum":
        p *= 1.5
    elif fault == "constant":
        p[:] = 0.5
    given = None if fault == "silent" else replace(mine, probabilities=p)
    broken = contender(given, "2", fault="its process ended: Killed" if fault == "silent" else "")
    decision = decide(DATASET, broken, contender(theirs, "1"), SETTINGS)
    assert outcome(decision) == ("refuse", "broken")
    assert words in decision.reason


def test_a_champion_that_cannot_answer_is_not_replaced_by_itself() -> None:
    (mine,) = answers(1.6)
    decision = decide(DATASET, contender(mine, "2"), contender(None, "1", fault="gone"), SETTINGS)
    assert outcome(decision) == ("undecided", "champion_broken")


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_a_model_that_does_not_say_whom_it_learned_from_changes_nothing(who: str) -> None:
    mine, theirs = answers(1.6, 0.8)
    unknown: dict[str, Any] = {"learned_from": None}
    challenger = contender(mine, "2", **(unknown if who == "challenger" else {}))
    champion = contender(theirs, "1", **(unknown if who == "champion" else {}))
    decision = decide(DATASET, challenger, champion, SETTINGS)
    assert decision.outcome != "promote"
    assert decision.rule == "unknown_patients"


def test_an_equal_model_is_promoted_where_it_is_half_the_size() -> None:
    (theirs,) = answers(1.2)
    small = contender(theirs, "2", size_mb=0.3)
    assert outcome(decide(DATASET, small, contender(theirs, "1"), SETTINGS)) == ("promote", "as_good_and_cheaper")
    hardly = contender(theirs, "2", size_mb=0.4)
    assert outcome(decide(DATASET, hardly, contender(theirs, "1"), SETTINGS)) == ("refuse", "not_shown")


def test_an_equal_model_is_promoted_where_it_takes_half_the_time() -> None:
    (theirs,) = answers(1.2)
    fast = contender(theirs, "2", latency_ms=15.0)
    assert outcome(decide(DATASET, fast, contender(theirs, "1"), SETTINGS)) == ("promote", "as_good_and_cheaper")


def test_a_small_model_that_may_be_worse_than_the_margin_is_refused() -> None:
    assert outcome(decided(1.15, 1.2, size_mb=0.1, latency_ms=1.0)) == ("refuse", "not_shown")


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ({}, {"min_recall": 0.99}, "it recognises"),
        ({}, {"max_calibration_error": 0.001}, "calibration error"),
        ({"latency_ms": 3000.0}, {}, "3000 ms for a recording, the limit is 2000 ms"),
        ({"size_mb": 200.0}, {}, "200.0 MB, the limit is 100.0 MB"),
        ({"latency_ms": float("nan")}, {}, "for a recording"),
    ],
)
def test_a_better_model_below_a_floor_is_refused(changes: dict[str, Any], limits: dict[str, Any], words: str) -> None:
    mine, theirs = answers(1.6, 0.8)
    decision = decide(DATASET, contender(mine, "2", **changes), contender(theirs, "1"), settings(**limits))
    assert outcome(decision) == ("refuse", "floor")
    assert words in decision.reason


def test_a_floor_holds_for_every_class() -> None:
    mine, theirs = answers(1.6, 0.8)
    deaf = replace(mine, predicted=np.where(np.arange(len(mine)) % 8 == 0, mine.y, 0))
    decision = decide(DATASET, contender(deaf, "2"), contender(theirs, "1"), SETTINGS)
    assert outcome(decision) == ("refuse", "floor")
    assert "'abnormal'" in decision.reason


def test_only_the_chosen_figure_decides() -> None:
    """Better probabilities and the same decisions: a better AUC, and no promotion by the score."""
    mine, theirs = answers(1.6, 0.8)
    mine = replace(mine, predicted=theirs.predicted)
    assert decide(DATASET, contender(mine, "2"), contender(theirs, "1"), SETTINGS).outcome == "refuse"
    by_auc = decide(DATASET, contender(mine, "2"), contender(theirs, "1"), settings(score="roc_auc"))
    assert by_auc.outcome == "promote"


def test_the_champion_itself_is_no_challenger() -> None:
    mine, theirs = answers(1.6, 0.8)
    decision = decide(DATASET, contender(mine, "1"), contender(theirs, "1"), SETTINGS)
    assert outcome(decision) == ("refuse", "unchanged")


def test_a_model_that_somebody_took_out_of_service_stays_out() -> None:
    decision = decided(1.6, 0.8, withdrawn="2026-01-01: misses stridor")
    assert outcome(decision) == ("refuse", "withdrawn")
    assert "misses stridor" in decision.reason


def test_a_first_model_must_beat_a_constant_answer() -> None:
    good, useless = answers(1.2, 0.02)
    rule = settings(max_calibration_error=1.0)
    assert outcome(decide(DATASET, contender(good, "1"), None, rule)) == ("promote", "first")
    assert outcome(decide(DATASET, contender(useless, "1"), None, rule)) == ("refuse", "first_not_shown")


def test_several_models_in_service_share_the_error() -> None:
    mine, theirs = answers(1.6, 0.8)
    alone, of_five = (
        decide(DATASET, contender(mine, "2"), contender(theirs, "1"), SETTINGS, in_service=count).to_json()
        for count in (1, 5)
    )
    assert of_five["confidence"] == pytest.approx(0.99)
    assert of_five["difference"]["low"] < alone["difference"]["low"]


def test_the_same_question_gets_the_same_answer() -> None:
    assert decided(1.3, 1.0).to_json() == decided(1.3, 1.0).to_json()


@pytest.mark.parametrize("patients", [12, 40])
def test_noise_alone_promotes_at_most_5_of_100(patients: int) -> None:
    """A hundred retrainings that bring a model of the same skill with errors of its own."""
    promoted = 0
    for seed in range(100):
        mine, theirs = answers(1.2, 1.2, patients=patients, seed=1000 + seed)
        promoted += decide(DATASET, contender(mine, "2"), contender(theirs, "1"), SETTINGS).outcome == "promote"
    assert promoted <= 5


def test_the_interval_is_wider_than_the_plain_percentiles_where_patients_are_few() -> None:
    mine, theirs = answers(1.2, 1.0, patients=10)
    from flows.gate.interval import expanded_tail

    assert expanded_tail(0.95, 10) < 0.015 < 0.02 < expanded_tail(0.95, 200) < 0.025
    interval = compare(mine, theirs, "score", 0.95, 400, 41)["difference"]
    assert interval.low < interval.value < interval.high
