"""Decision rules on populations that differ from the one they were fitted on, and the choice among them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.training.decision import LEAST_BATCH, RULES, Decision, best_rule, compare_rules, crossed, fit, reestimated
from auscult.training.score import icbhi_score


def population(count: int, share: float, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities for classes 0 (normal) and 1 that are right for an abnormal share of 0.3, and true classes.

    *share* is the abnormal share of this population; *shift* moves all log odds, as another device does.
    """
    rng = np.random.default_rng(seed)
    target = (rng.random(count) < share).astype(np.int64)
    odds = rng.normal(np.where(target == 1, 1.0, -1.0), 1.0) * 2.0 + np.log(0.3 / 0.7) + shift
    abnormal = 1.0 / (1.0 + np.exp(-odds))
    return np.c_[1.0 - abnormal, abnormal], target


FITTED_ON = population(6000, 0.3, seed=1)


def decisions(rule: str) -> Decision:
    return Decision.fit(rule, *FITTED_ON, 0)


def test_argmax_makes_the_fewest_errors_and_score_the_best_score_where_the_population_is_the_same() -> None:
    p, target = population(6000, 0.3, seed=2)
    right = {rule: (decisions(rule).decide(p) == target).mean() for rule in RULES}
    score = {rule: icbhi_score(target, decisions(rule).decide(p), 0) for rule in RULES}
    assert right["argmax"] == max(right.values()) > right["score"]
    assert score["score"] > score["argmax"] + 0.005
    np.testing.assert_array_equal(decisions("argmax").decide(p), p.argmax(axis=1))


def test_rate_is_not_moved_by_a_shift_of_all_probabilities() -> None:
    p, target = population(3000, 0.3, seed=3)
    shifted, _ = population(3000, 0.3, seed=3, shift=2.0)
    rate = decisions("rate")
    np.testing.assert_array_equal(rate.decide(shifted), rate.decide(p))
    lost = icbhi_score(target, decisions("score").decide(shifted), 0)
    assert icbhi_score(target, rate.decide(shifted), 0) > lost + 0.05


def test_em_finds_the_class_shares_of_another_population() -> None:
    p, target = population(4000, 0.85, seed=4)
    adjusted = reestimated(p, decisions("em").shares)
    assert adjusted[:, 1].mean() == pytest.approx(0.85, abs=0.02)
    right = (decisions("em").decide(p) == target).mean()
    assert right > (decisions("argmax").decide(p) == target).mean() + 0.02


@pytest.mark.parametrize(("rule", "like"), [("rate", "score"), ("em", "argmax")])
def test_a_small_batch_is_decided_unit_by_unit(rule: str, like: str) -> None:
    p, _ = population(LEAST_BATCH - 1, 0.9, seed=5, shift=1.0)
    np.testing.assert_array_equal(decisions(rule).decide(p), decisions(like).decide(p))
    alone = [int(decisions(rule).decide(p[[n]])[0]) for n in range(len(p))]
    assert alone == decisions(rule).decide(p).tolist()


def test_a_group_is_decided_by_what_the_others_taught() -> None:
    p, target = population(400, 0.3, seed=6)
    groups = np.arange(400) % 4
    before = crossed("score", p, target, groups, 0)
    own = groups == 2
    expected = fit("score", p[~own], target[~own], 0).apply(p[own])
    np.testing.assert_array_equal(before[0][own], expected[0])
    np.testing.assert_array_equal(before[1][own], expected[1])
    changed = np.where(own, 1 - target, target)
    after = crossed("score", p, changed, groups, 0)
    np.testing.assert_array_equal(after[0][own], before[0][own])
    np.testing.assert_array_equal(after[1][own], before[1][own])
    assert not np.array_equal(after[0][~own], before[0][~own])


def two_clinics(shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]:
    """Probabilities, classes, folds and cohorts of two devices, of which the second shifts the log odds."""
    first, second = population(900, 0.3, seed=7), population(900, 0.3, seed=8, shift=shift)
    cohorts = pd.DataFrame({"patient_id": [f"p{n // 6}" for n in range(1800)], "device": ["A"] * 900 + ["B"] * 900})
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]), np.arange(1800) % 3, cohorts


def test_the_rule_is_chosen_by_its_worst_cohort() -> None:
    p, target, fold, cohorts = two_clinics(2.5)
    measured = compare_rules(p, target, fold, cohorts, 0)
    assert set(measured) == set(RULES)
    device = cohorts["device"].to_numpy(dtype=str)
    for rule, entry in measured.items():
        assert entry["out_of_fold"] == icbhi_score(target, crossed(rule, p, target, fold, 0)[1], 0)
        held_out = crossed(rule, p, target, device, 0)[1]
        of_device = {
            f"device {name}": icbhi_score(target[device == name], held_out[device == name], 0) for name in "AB"
        }
        assert entry["worst_cohort"] == of_device[entry["cohort"]] == min(of_device.values())
    assert best_rule(measured, RULES) == "rate"
    assert best_rule(measured, ["score", "argmax"]) in ("score", "argmax")


def test_without_a_reason_to_change_the_first_rule_is_kept() -> None:
    measured = compare_rules(*two_clinics(0.0), 0)
    assert best_rule(measured, ["score", "rate"]) == "score"


def test_a_small_cohort_chooses_no_rule() -> None:
    p, target, fold, cohorts = two_clinics(0.0)
    few = cohorts.assign(device=np.where(cohorts["patient_id"].isin(["p0", "p1"]), "C", None))
    measured = compare_rules(p, target, fold, few, 0)
    assert all(entry["worst_cohort"] is None and entry["cohort"] is None for entry in measured.values())
    assert best_rule(measured, RULES) == max(RULES, key=lambda rule: measured[rule]["out_of_fold"])


@pytest.mark.parametrize("rule", RULES)
def test_a_population_of_one_class_is_decided(rule: str) -> None:
    p, _ = population(60, 0.3, seed=9)
    fitted = fit(rule, p, np.zeros(60, dtype=np.int64), 0)
    probabilities, classes = fitted.apply(p)
    assert np.isfinite(probabilities).all() and set(classes) <= {0, 1}


def test_a_worst_cohort_of_zero_is_worse_than_any_other() -> None:
    hopeless = {"out_of_fold": 0.9, "worst_cohort": 0.0, "cohort": "period 4"}
    usable = {"out_of_fold": 0.6, "worst_cohort": 0.5, "cohort": "period 4"}
    assert best_rule({"score": hopeless, "argmax": usable}, ["score", "argmax"]) == "argmax"
