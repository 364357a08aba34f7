"""What decisions of a year may err together, and what a chain of cheaper models may lose."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from scipy.special import ndtri

from auscult.core.digests import patient_key
from auscult.evaluation.metrics import Predictions, measure
from auscult.registry.gate import allowance
from auscult.registry.gate.allowance import Spent, error_of, noted
from auscult.registry.gate.rule import decide
from tests.registry.gate.simulated import DATASET, SETTINGS, contender, settings, simulate

FIRST = date(2026, 1, 1)
LENIENT = settings(margin=0.05, resamples=100)


def errors_of(days: int, apart: int, in_service: int = 1) -> list[float]:
    """Return the error probability of each day's decision: a new challenger every *apart* days, else 0."""
    errors, notes = [0.0] * days, dict[str, str]()
    for day in range(0, days, apart):
        today = FIRST + timedelta(day)
        errors[day] = error_of(SETTINGS, in_service, allowance.spent(notes, str(day), "1", "", today))
        notes[str(day)] = noted("{}", "1", errors[day], today)
    return errors


@pytest.mark.parametrize("apart", [1, 7, 30])
@pytest.mark.parametrize("in_service", [1, 4])
def test_the_errors_of_a_year_stay_below_what_is_allowed_for_all_experiments(apart: int, in_service: int) -> None:
    errors = errors_of(2 * 365, apart, in_service)
    assert errors[0] == pytest.approx(0.025 / in_service)
    years = in_service * np.convolve(errors, np.ones(365), "valid")
    assert years.max() <= SETTINGS.false_promotions
    unbounded = 0.025 * 365 / apart
    assert years[-1] >= 0.5 * min(unbounded, SETTINGS.false_promotions), "nor is most of it left unused"
    later = [each for each in errors[365:] if each]
    assert max(later) < 1.1 * min(later), "nor does it run out and come back"


def test_a_model_that_is_no_better_is_promoted_as_rarely_as_allowed_in_years_of_nights() -> None:
    """Every night another model of equal skill, with a test on the same patients."""
    errors = np.array(errors_of(2 * 365, 1)[365:])
    rng, years = np.random.default_rng(0), 4000
    chances = np.sqrt(0.3) * rng.normal(size=(years, 1)) + np.sqrt(0.7) * rng.normal(size=(years, 365))
    promoted = chances > -ndtri(errors)
    assert 0.6 <= promoted.sum() / years <= SETTINGS.false_promotions
    assert (chances > 1.96).sum() / years > 8.0, "without the bound"


def test_a_decision_counts_less_the_older_it_is_and_its_repetition_not_at_all() -> None:
    notes = {"2": noted("{}", "1 on a", 0.02, FIRST), "3": noted("{}", "1 on a", 0.01, FIRST + timedelta(90))}
    day = FIRST + timedelta(90)
    used = 0.02 / np.e + 0.01
    assert allowance.spent(notes, "4", "1 on a", "", day) == Spent(errors=pytest.approx(used))
    assert allowance.spent(notes, "3", "1 on a", "0.01", day) == Spent(pytest.approx(used), loss=0.01, again=0.01)
    assert allowance.spent(notes, "3", "1 on b", "", day).again is None, "other data are another chance"
    assert noted(notes["2"], "1 on a", 0.005, day) == notes["2"]
    assert error_of(SETTINGS, 1, Spent(errors=0.03, again=0.01)) == 0.01


def test_the_record_states_the_error_and_the_interval_has_its_confidence() -> None:
    new, old = simulate(1.6, 0.8)
    spent = Spent(errors=0.5 / (1 + 365 / 90), loss=0.015)
    record = decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS, spent=spent).to_json()
    assert (record["error"], record["error_alone"]) == (0.0125, 0.025)
    assert record["confidence"] == pytest.approx(0.975)
    assert record["margin_left"] == pytest.approx(0.005)


def test_where_no_error_is_left_nothing_is_decided() -> None:
    new, old = simulate(1.6, 0.4)
    decision = decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS, spent=Spent(errors=0.2))
    assert (decision.outcome, decision.rule) == ("undecided", "no_error_left")
    assert "error" not in decision.details, "it used none"


def worse_by(given: Predictions, share: float, seed: int) -> Predictions:
    """Return predictions of which a share of the correct ones is wrong, of whole units at random."""
    rng = np.random.default_rng(seed)
    flipped = (given.predicted == given.y) & (rng.random(len(given)) < share)
    predicted = np.where(flipped, 1 - given.predicted, given.predicted)
    p = np.where(flipped[:, None], given.probabilities[:, ::-1], given.probabilities)
    return Predictions(given.task, given.y, predicted, p, given.patients)


def score(given: Predictions) -> float:
    return float(measure(given, np.ones((1, len(given))))["score"][0])


def lost(chain: bool) -> float:
    """Return the loss of score after 16 nights with challengers of half the size that are a little worse each.

    *chain*: as the gate keeps it; otherwise each champion counts as the first one.
    """
    (first,) = simulate(1.2, patients=60)
    champion, size, loss = first, 64.0, 0.0
    for night in range(16):
        challenger = worse_by(champion, 0.012, night)
        new, old = contender(challenger, "2", size_mb=size / 2), contender(champion, "1", size_mb=size)
        decision = decide(DATASET, new, old, LENIENT, spent=Spent(loss=loss if chain else 0.0))
        if decision.outcome == "promote":
            assert decision.rule == "as_good_and_cheaper"
            champion, size, loss = challenger, size / 2, decision.details["loss"]
    return score(first) - score(champion)


def test_a_chain_of_cheaper_models_loses_one_margin_at_most() -> None:
    assert 0.0 < lost(chain=True) <= LENIENT.margin
    assert lost(chain=False) > 2 * LENIENT.margin, "without the chain it goes on for ever"


def test_a_better_model_makes_up_for_what_cheaper_ones_may_have_lost() -> None:
    new, old = simulate(1.6, 0.8)
    decision = decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS, spent=Spent(loss=0.3))
    low = decision.details["difference"]["low"]
    assert decision.rule == "better" and 0.0 < low < 0.3
    assert decision.details["loss"] == pytest.approx(0.3 - low)
    assert decide(DATASET, contender(new, "2"), contender(old, "1"), SETTINGS).details["loss"] == 0.0


def test_a_model_with_equal_predictions_uses_nothing_of_the_margin() -> None:
    (given,) = simulate(1.2)
    small = contender(given, "2", size_mb=0.1)
    decision = decide(DATASET, small, contender(given, "1"), SETTINGS, spent=Spent(loss=0.015))
    assert (decision.rule, decision.details["loss"]) == ("as_good_and_cheaper", 0.015)


def test_nothing_is_used_where_two_models_are_not_compared() -> None:
    new, old = simulate(1.6, 0.8)
    learned = frozenset(patient_key(DATASET, f"p{n}") for n in range(33))
    few = decide(DATASET, contender(new, "2"), contender(old, "1", learned_from=learned), SETTINGS)
    same = decide(DATASET, contender(new, "1"), contender(old, "1"), SETTINGS)
    assert (few.rule, same.rule) == ("too_few_patients", "unchanged")
    assert not {"error", "loss"} & (few.details.keys() | same.details.keys())
