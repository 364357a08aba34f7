"""The rule of the gate: the right decision for each kind of challenger, and few false promotions."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from auscult.core.digests import patient_key
from auscult.evaluation.bootstrap import difference, metrics_with_intervals, patient_weights
from auscult.evaluation.metrics import Predictions, measure
from auscult.registry.gate.noise import Noise, Spread
from auscult.registry.gate.rule import Decision, cheaper, checks, compare, constant, decide
from tests.registry.gate.simulated import DATASET, SETTINGS, contender, patients_with, settings, simulate


def decided(challenger_skill: float, champion_skill: float, **changes: Any) -> Decision:
    """Decide on two models of the given skills; *changes* apply to the challenger."""
    new, old = simulate(challenger_skill, champion_skill)
    return decide(DATASET, contender(new, "2", **changes), contender(old, "1"), SETTINGS)


def outcome(decision: Decision) -> tuple[str, str]:
    return decision.outcome, decision.rule


def test_a_better_model_is_promoted_with_its_record() -> None:
    decision = decided(1.6, 0.8)
    assert outcome(decision) == ("promote", "better")
    record = decision.to_json()
    assert record["difference"]["low"] > 0
    assert record["challenger"]["score"]["value"] > record["champion"]["score"]["value"]
    assert (record["patients"], record["patients_left_out"]) == (40, 0)
    assert record["settings"] == SETTINGS.model_dump()
    assert "against version 1" in decision.reason


def test_each_model_is_recorded_with_its_own_metrics() -> None:
    given = simulate(1.6, 0.8)
    record = decided(1.6, 0.8).to_json()
    for who, version, new in zip(("challenger", "champion"), ("2", "1"), given, strict=True):
        metrics = measure(new, np.ones((1, len(new))))
        assert record[who]["version"] == version
        assert record[who]["metrics"]["sensitivity"] == pytest.approx(metrics["sensitivity"][0], abs=1e-6)
        assert record[who]["score"]["value"] == pytest.approx(metrics["score"][0], abs=1e-6)


def test_an_equal_model_is_refused() -> None:
    assert outcome(decided(1.2, 1.2)) == ("refuse", "not_shown")


def test_a_worse_model_is_refused_and_called_worse() -> None:
    assert outcome(decided(0.6, 1.6)) == ("refuse", "worse")


def test_a_better_model_that_learned_from_a_test_patient_is_refused_as_a_leak() -> None:
    decision = decided(1.6, 0.8, learned_from=frozenset({patient_key(DATASET, "p3"), patient_key(DATASET, "p4")}))
    assert outcome(decision) == ("refuse", "leak")
    assert "2 of the test patients" in decision.reason
    record = decision.to_json()
    assert (record["challenger"]["version"], record["champion"]["version"]) == ("2", "1")


def test_patients_the_champion_learned_from_are_left_out() -> None:
    new, old = simulate(1.6, 0.8)
    learned = frozenset(patient_key(DATASET, f"p{n}") for n in range(10))
    decision = decide(DATASET, contender(new, "2"), contender(old, "1", learned_from=learned), SETTINGS)
    record = decision.to_json()
    assert (record["patients"], record["patients_left_out"]) == (30, 10)
    keep = np.array([patient_key(DATASET, name) not in learned for name in new.patients])
    metrics = compare(new.where(keep), old.where(keep), "score", 0.95, SETTINGS)
    assert record["difference"] == metrics["difference"]


def test_too_few_patients_that_both_can_be_compared_on_mean_no_decision() -> None:
    new, old = simulate(1.6, 0.4)
    learned = frozenset(patient_key(DATASET, f"p{n}") for n in range(33))
    decision = decide(DATASET, contender(new, "2"), contender(old, "1", learned_from=learned), SETTINGS)
    assert outcome(decision) == ("undecided", "too_few_patients")
    assert "7 with normal and 7 with abnormal segments, 8 of each" in decision.reason


@pytest.mark.parametrize(("abnormal", "enough"), [(7, False), (8, True)])
def test_as_many_patients_as_asked_for_are_enough(abnormal: int, enough: bool) -> None:
    new, old = (patients_with(each, 20, abnormal) for each in simulate(1.6, 0.4))
    decision = decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS)
    assert (decision.rule != "too_few_patients") is enough
    assert (decision.outcome != "undecided") is enough


def test_a_champion_that_learned_from_all_test_patients_leaves_the_decision_open() -> None:
    new, old = simulate(1.6, 0.4)
    learned = frozenset(patient_key(DATASET, f"p{n}") for n in range(40))
    decision = decide(DATASET, contender(new, "2"), contender(old, "1", learned_from=learned), SETTINGS)
    assert outcome(decision) == ("undecided", "too_few_patients")


def with_row(given: Predictions, *row: float) -> Predictions:
    """Return the same predictions except for one row."""
    p = given.probabilities.copy()
    p[5] = row
    return replace(given, probabilities=p)


INVALID = [
    ((np.nan, np.nan), r"\b1 of \d+ .* not finite"),
    ((0.6, 0.6), "do not sum to one"),
    ((-0.2, 1.2), "are negative"),
]


@pytest.mark.parametrize(("row", "words"), INVALID)
def test_a_model_with_invalid_probabilities_is_broken(row: tuple[float, float], words: str) -> None:
    good, other = simulate(1.6, 0.8)
    new = decide(DATASET, contender(with_row(good, *row), "2"), contender(other, "1"), SETTINGS)
    old = decide(DATASET, contender(good, "2"), contender(with_row(other, *row), "1"), SETTINGS)
    assert outcome(new) == ("refuse", "broken")
    assert outcome(old) == ("undecided", "champion_broken")
    assert re.search(words, new.reason) and re.search(words, old.reason)


def test_a_model_that_fails_is_broken() -> None:
    (good,) = simulate(1.6)
    silent = {"fault": "its process ended: Killed"}
    new = decide(DATASET, contender(None, "2", **silent), contender(good, "1"), SETTINGS)
    old = decide(DATASET, contender(good, "2"), contender(None, "1", **silent), SETTINGS)
    assert outcome(new) == ("refuse", "broken")
    assert outcome(old) == ("undecided", "champion_broken")
    assert "its process ended: Killed" in new.reason and "its process ended: Killed" in old.reason


def test_identical_predictions_are_broken_for_a_challenger_only() -> None:
    good, other = simulate(1.6, 0.8)
    same = replace(other, probabilities=np.full_like(other.probabilities, 0.5), predicted=np.zeros_like(other.y))
    refused = decide(DATASET, contender(same, "2"), contender(good, "1"), SETTINGS)
    assert outcome(refused) == ("refuse", "broken")
    assert "are the same" in refused.reason
    assert decide(DATASET, contender(good, "2"), contender(same, "1"), SETTINGS).rule == "better"


def test_a_metric_undefined_in_most_resamples_leaves_the_decision_open() -> None:
    """Each model detects one patient's abnormal sounds; without that patient Matthews' coefficient is undefined."""
    given = simulate(1.6, 0.8)
    one = [replace(each, predicted=each.y * (each.patients == f"p{n}")) for n, each in enumerate(given)]
    rule = settings(score="mcc", min_recall=0.0, max_calibration_error=1.0)
    decision = decide(DATASET, contender(one[0], "2"), contender(one[1], "1"), rule)
    assert outcome(decision) == ("undecided", "undefined")
    assert "mcc" in decision.reason


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_a_model_without_a_record_of_its_patients_is_not_compared(who: str) -> None:
    new, old = simulate(1.6, 0.8)
    unknown: dict[str, Any] = {"learned_from": None}
    challenger = contender(new, "2", **(unknown if who == "challenger" else {}))
    champion = contender(old, "1", **(unknown if who == "champion" else {}))
    decision = decide(DATASET, challenger, champion, SETTINGS)
    assert outcome(decision) == ("refuse" if who == "challenger" else "undecided", "unknown_patients")


def test_an_equal_model_is_promoted_if_it_is_half_the_size() -> None:
    (old,) = simulate(1.2)
    small = contender(old, "2", size_mb=0.3)
    decision = decide(DATASET, small, contender(old, "1"), SETTINGS)
    assert outcome(decision) == ("promote", "as_good_and_cheaper")
    assert decision.to_json()["champion"]["size_mb"] > decision.to_json()["challenger"]["size_mb"]
    hardly = contender(old, "2", size_mb=0.4)
    assert outcome(decide(DATASET, hardly, contender(old, "1"), SETTINGS)) == ("refuse", "not_shown")


def test_an_equal_model_is_promoted_if_it_takes_half_the_time() -> None:
    (old,) = simulate(1.2)
    fast = contender(old, "2", latency_ms=15.0)
    assert outcome(decide(DATASET, fast, contender(old, "1"), SETTINGS)) == ("promote", "as_good_and_cheaper")


def test_a_small_model_with_an_interval_beyond_the_margin_is_refused() -> None:
    assert outcome(decided(1.15, 1.2, size_mb=0.1, latency_ms=1.0)) == ("refuse", "not_shown")


def test_a_model_is_cheaper_by_the_factor_of_the_settings() -> None:
    champion = contender(None, "1", latency_ms=30.0, size_mb=0.6)

    def saved(factor: float, **changes: Any) -> str:
        return cheaper(contender(None, "2", **changes), champion, factor)

    assert saved(2.0, latency_ms=20.0) == ""
    assert (saved(3.0, latency_ms=11.0), saved(3.0, size_mb=0.25)) == ("", "")
    assert saved(3.0, latency_ms=10.0).startswith("faster (10 instead of 30 ms")
    assert saved(3.0, size_mb=0.19).startswith("smaller (0.19 instead of 0.60 MB")


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ({}, {"min_recall": 0.99}, "the minimum is 99.0"),
        ({}, {"max_calibration_error": 0.001}, "the maximum is 0.1"),
        ({"latency_ms": 3000.0}, {}, "latency_ms is 3000 ms, the maximum is 2000 ms"),
        ({"size_mb": 200.0}, {}, "size_mb is 200.00 MB, the maximum is 100.00 MB"),
        ({"latency_ms": float("nan")}, {}, "latency_ms is"),
    ],
)
def test_a_better_model_beyond_a_limit_is_refused(changes: dict[str, Any], limits: dict[str, Any], words: str) -> None:
    new, old = simulate(1.6, 0.8)
    decision = decide(DATASET, contender(new, "2", **changes), contender(old, "1"), settings(**limits))
    assert outcome(decision) == ("refuse", "limit")
    assert words in decision.reason


@pytest.mark.parametrize(("predicted", "missed_class"), [(0, "abnormal"), (1, "normal")])
def test_the_minimum_recall_holds_for_every_class(predicted: int, missed_class: str) -> None:
    new, old = simulate(1.6, 0.8)
    weak = replace(new, predicted=np.where(np.arange(len(new)) % 8 == 0, new.y, predicted))
    decision = decide(DATASET, contender(weak, "2"), contender(old, "1"), SETTINGS)
    assert outcome(decision) == ("refuse", "limit")
    assert f": recall_{missed_class} is" in decision.reason and "the minimum is 20.0" in decision.reason


def test_limits_also_apply_to_patients_that_only_the_champion_knows() -> None:
    new, old = simulate(1.6, 0.8)
    names = [f"p{n}" for n in range(10)]
    weak = replace(new, predicted=np.where(np.isin(new.patients.astype(str), names), 0, new.predicted))
    learned = frozenset(patient_key(DATASET, name) for name in names)
    champion = contender(old, "1", learned_from=learned)
    assert decide(DATASET, contender(new, "2"), champion, settings(min_recall=0.8)).rule == "better"
    decision = decide(DATASET, contender(weak, "2"), champion, settings(min_recall=0.8))
    assert outcome(decision) == ("refuse", "limit")
    assert "on all 40 test patients: recall_" in decision.reason


def test_costs_that_are_not_measured_are_not_checked() -> None:
    (given,) = simulate(1.6)
    names = {check.name for check in checks(given, SETTINGS, {})}
    assert names == {"recall_normal", "recall_abnormal", "calibration_error"}
    (size,) = (check for check in checks(given, SETTINGS, {"size_mb": 101.0}) if check.name == "size_mb")
    assert (size.limit, size.missed) == (100.0, True)


def test_gate_and_report_give_the_same_interval() -> None:
    """The same patients, resamples and confidence: the report's difference to a constant answer is the gate's."""
    (new,) = simulate(1.2, patients=9)
    record = decide(DATASET, contender(new, "1"), None, settings(seed=37)).to_json()
    weights = patient_weights(new.patients, SETTINGS.resamples, 37)
    reported = [metrics_with_intervals(each, weights, 0.95, "test") for each in (new, constant(new))]
    found = difference(reported[0], reported[1], 0.95, new)
    assert {key: record["difference"][key] for key in ("value", "low", "high")} == {
        key: found[key] for key in ("value", "low", "high")
    }
    assert record["challenger"]["score"] == {key: reported[0][0]["score"][key] for key in ("value", "low", "high")}


def test_one_abnormal_patient_gives_no_interval() -> None:
    new, old = (patients_with(each, 20, 1) for each in simulate(1.2, 1.0))
    found = compare(new, old, "score", 0.95, SETTINGS)["difference"]
    assert found["value"] is not None
    assert (found["low"], found["high"]) == (None, None)


def test_the_constant_answer_has_specificity_one_and_sensitivity_zero() -> None:
    (new,) = simulate(1.2)
    metrics = measure(constant(new), np.ones((1, len(new))))
    assert (metrics["specificity"][0], metrics["sensitivity"][0], metrics["score"][0]) == (1.0, 0.0, 0.5)


def test_only_the_chosen_metric_decides() -> None:
    """Better probabilities and the same decisions: a better AUC, and no promotion by the score."""
    new, old = simulate(1.6, 0.8)
    new = replace(new, predicted=old.predicted)
    assert decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS).outcome == "refuse"
    by_auc = decide(DATASET, contender(new, "2"), contender(old, "1"), settings(score="roc_auc"))
    assert by_auc.outcome == "promote"


def test_the_champion_itself_is_no_challenger() -> None:
    new, old = simulate(1.6, 0.8)
    decision = decide(DATASET, contender(new, "1"), contender(old, "1"), SETTINGS)
    assert outcome(decision) == ("refuse", "unchanged")


def test_a_model_that_was_rolled_back_is_refused() -> None:
    decision = decided(1.6, 0.8, rolled_back="2026-01-01: misses stridor")
    assert outcome(decision) == ("refuse", "rolled_back")
    assert "misses stridor" in decision.reason


@pytest.mark.parametrize("score", ["score", "sprsound_score", "f1_macro", "mcc"])
def test_a_first_model_must_beat_a_constant_answer_whatever_metric_decides_later(score: str) -> None:
    good, coin = simulate(1.2, 0.0, shared=0.0)
    rule = settings(score=score, max_calibration_error=1.0)
    first = decide(DATASET, contender(good, "1"), None, rule)
    assert outcome(first) == ("promote", "first")
    assert "the mean of sensitivity and specificity decides" in first.reason
    assert first.to_json()["score"] == "score"
    assert outcome(decide(DATASET, contender(coin, "1"), None, rule)) == ("refuse", "first_not_shown")


def test_several_experiments_in_service_share_the_error_probability() -> None:
    new, old = simulate(1.6, 0.8)
    alone, of_five = (
        decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS, in_service=count).to_json()
        for count in (1, 5)
    )
    assert of_five["confidence"] == pytest.approx(0.99)
    assert of_five["difference"]["low"] < alone["difference"]["low"]


def test_the_decision_is_deterministic() -> None:
    assert decided(1.3, 1.0).to_json() == decided(1.3, 1.0).to_json()


@pytest.mark.parametrize("patients", [12, 40])
def test_noise_alone_promotes_at_most_5_of_100(patients: int) -> None:
    """A hundred retrainings, each with a model of the same skill and independent errors."""
    promoted = 0
    for seed in range(100):
        new, old = simulate(1.2, 1.2, patients=patients, seed=1000 + seed)
        decision = decide(DATASET, contender(new, "2"), contender(old, "1"), settings(resamples=200))
        promoted += decision.outcome == "promote"
    assert promoted <= 5


def retrained(seed: int) -> tuple[Predictions, Predictions, Noise]:
    """Return two trainings that differ by the seed alone, and the seed variance that five others show."""
    skills = 1.2 + np.random.default_rng(seed).normal(0.0, 0.5, 7)
    given = simulate(*skills, patients=16, seed=seed)
    scores = [measure(each, np.ones((1, len(each))))["score"][0] for each in given[:5]]
    noise = Noise("measured", {"test": {"score": Spread(float(np.std(scores, ddof=1)), 4.0)}})
    return given[5], given[6], noise


def test_another_seed_alone_is_promoted_as_rarely_as_promised() -> None:
    promoted, without, rule = 0, 0, settings(resamples=100)
    for seed in range(80):
        new, old, noise = retrained(seed)
        both = contender(new, "2"), contender(old, "1")
        promoted += decide(DATASET, *both, rule, noise=noise).rule == "better"
        without += decide(DATASET, *both, rule).rule == "better"
    assert promoted <= 2, "2.5 of 100"
    assert without >= 12, "by the patients alone"


def test_the_record_states_the_noise_of_retraining_that_the_interval_covers() -> None:
    new, old, noise = retrained(1)
    both = contender(new, "2"), contender(old, "1")
    known = decide(DATASET, *both, settings(seed_deviation=0.07), noise=noise).to_json()
    assert known["retraining"] == {"kind": "measured", **noise.spread["test"]["score"]._asdict()}
    assumed = decide(DATASET, *both, settings(seed_deviation=0.07)).to_json()
    assert assumed["retraining"] == {"kind": "not measured", "deviation": 0.07, "degrees": None}
    other = Noise("measured", {"test": {"accuracy": Spread(0.01, 4.0)}})
    assert (
        decide(DATASET, *both, settings(seed_deviation=0.07), noise=other).to_json()["retraining"]["deviation"] == 0.07
    )
    bare = decide(DATASET, *both, SETTINGS).to_json()["difference"]
    for record in (known, assumed):
        found = record["difference"]
        assert found["low"] < bare["low"] and found["high"] > bare["high"]
        assert found["noticeable"] > found["value"] - found["low"]
    half = np.hypot(bare["high"] - bare["value"], 1.959964 * np.sqrt(2) * 0.07)
    assert assumed["difference"]["high"] - bare["value"] == pytest.approx(half, abs=1e-5)


def test_no_noise_of_retraining_is_added_against_a_constant_answer_or_between_equal_predictions() -> None:
    (new,) = simulate(1.2)
    rule = settings(seed_deviation=0.3)
    noise = Noise("measured", {"test": {"score": Spread(0.3, 4.0)}})
    first = decide(DATASET, contender(new, "1"), None, rule, noise=noise)
    assert outcome(first) == ("promote", "first")
    same = decide(DATASET, contender(new, "2", size_mb=0.1), contender(new, "1"), rule, noise=noise)
    assert outcome(same) == ("promote", "as_good_and_cheaper")
    for decision in (first, same):
        assert decision.to_json()["retraining"] == {"kind": "same model", "deviation": 0.0, "degrees": None}
