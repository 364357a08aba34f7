"""A loss that experiments share shows in their mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.comparison.differences import POINT_ESTIMATES
from auscult.comparison.differences import compare as compare_part
from auscult.comparison.document import Comparison
from auscult.comparison.mean import _metric, _Scores, mean_of
from auscult.comparison.report import compare
from auscult.comparison.verdict import verdict
from auscult.evaluation.bootstrap import patient_weights
from auscult.registry.gate.noise import NOT_MEASURED, Noise, Spread
from tests.comparison.predictions import METHOD
from tests.comparison.test_report import both_parts, made
from tests.registry.gate.simulated import simulate

SEVEN = [f"e{number}" for number in range(7)]
#: Seeds move each experiment by five points.
MEASURED = Noise("measured", {part: {"score": Spread(0.05, 4.0)} for part in ("validation", "test")})


def pairs(old_skill: float, new_skill: float) -> dict[str, tuple]:  # type: ignore[type-arg]
    found = {}
    for number, name in enumerate(SEVEN):
        old, new = simulate(old_skill, new_skill, patients=100, seed=number)
        found[name] = both_parts(old, "old"), both_parts(new, "new")
    return found


def compared(root: Path, old_skill: float, new_skill: float, combinations: tuple[str, ...] = ()) -> Comparison:
    given = pairs(old_skill, new_skill)
    params = {"experiments": {name: {} for name in SEVEN if name not in combinations}}
    base = made("main", {name: old for name, (old, _) in given.items()}, params=params)
    head = made("HEAD", {name: new for name, (_, new) in given.items()}, params=params)
    return compare(root, base, head, METHOD, None)


def test_a_loss_that_is_noise_in_each_experiment_shows_in_the_mean() -> None:
    given, noise = pairs(1.2, 0.9), dict.fromkeys(SEVEN, MEASURED)
    found = mean_of(given, noise, METHOD)
    assert found is not None and found.name == "mean of 7 experiments"
    score = found.score("validation")
    assert score is not None and score.mark == "worse" and score.difference is not None and score.difference < -0.03
    single = [
        compare_part("validation", *pair, MEASURED, METHOD, same=False).metric("score") for pair in given.values()
    ]
    scores = [each for each in single if each is not None]
    assert {each.mark for each in scores} == {"within noise"}
    assert score.difference == pytest.approx(np.mean([each.difference for each in scores]), abs=2e-6)  # type: ignore[type-var]
    assert score.noticeable is not None and score.noticeable < 0.5 * min(each.noticeable or 0.0 for each in scores)


def test_the_mean_has_the_interval_of_the_patients_who_are_drawn_for_all_experiments() -> None:
    """The same experiment seven times varies as one does: its patients are the same in each resample."""
    pair = pairs(1.2, 1.0)["e0"]
    once, often = (
        mean_of({str(n): pair for n in range(count)}, {str(n): NOT_MEASURED for n in range(count)}, METHOD)
        for count in (2, 7)
    )
    assert once is not None and often is not None
    first, second = once.score("validation"), often.score("validation")
    assert first is not None and second is not None and (first.low, first.high) == (second.low, second.high)


def test_the_mean_is_that_of_trained_experiments_and_shares_the_allowed_error(tmp_path: Path) -> None:
    found = compared(tmp_path, 1.4, 0.8, combinations=("e5", "e6"))
    assert found.mean is not None and found.mean.name == "mean of 5 experiments"
    assert found.shared_by == 8 and found.confidence == pytest.approx(1.0 - 0.05 / 8, abs=1e-6)
    assert "mean of 5 experiments" in verdict(replace(found, experiments=())).line()


def test_without_two_retrained_experiments_there_is_no_mean(tmp_path: Path) -> None:
    found = compared(tmp_path, 1.2, 1.2, combinations=tuple(SEVEN[1:]))
    assert found.mean is None and found.shared_by == 7
    assert mean_of(pairs(1.2, 1.2), dict.fromkeys(SEVEN, MEASURED), POINT_ESTIMATES) is None
    old, _ = pairs(1.2, 1.2)["e0"]
    same = dict.fromkeys(SEVEN, old)
    params = {"experiments": {name: {} for name in SEVEN}}
    unchanged = compare(tmp_path, made("main", same, params=params), made("HEAD", same, params=params), METHOD, None)
    assert unchanged.mean is None and verdict(unchanged).kind == "nothing changed"


def test_an_experiment_without_an_interval_leaves_the_mean_without_one() -> None:
    given = pairs(1.2, 0.9)
    few = simulate(1.2, 0.9, patients=5)
    given["few"] = both_parts(few[0], "old"), both_parts(few[1], "new")
    found = mean_of(given, dict.fromkeys(given, MEASURED), METHOD)
    score = found.score("test") if found is not None else None
    assert score is not None and score.mark == "unknown" and score.note.startswith("few: no interval: 5 patients")


def test_experiments_of_other_patients_share_the_resamples_of_those_that_they_have_in_common() -> None:
    everyone = patient_weights(["a", "b", "b", "c"], 50, 1)
    some = patient_weights(["c", "b"], 50, 1, among=["c", "a", "b"])
    assert np.array_equal(some, everyone[:, [3, 1]])


def test_a_mean_that_few_resamples_define_has_no_interval() -> None:
    """Each score is defined in three of five resamples, both of them in one of five."""
    (given,) = simulate(1.2)
    moved = np.zeros(100)
    first, second = (np.where(lacking, np.nan, moved) for lacking in (np.arange(100) < 40, np.arange(100) >= 60))
    found = {name: _Scores(0.8, 0.7, each, given) for name, each in (("one", first), ("two", second))}
    score = _metric("validation", found, [MEASURED, MEASURED], METHOD)
    assert score.mark == "unknown" and score.low is None and score.note.startswith("no interval: 80 of 100 resamples")
