"""Paired differences: a better, equal and worse model; other units, labels and classes; what retraining does alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from auscult.comparison.document import Figure, Part
from auscult.comparison.figures import Method, compare, disagreements, equal_answers
from auscult.comparison.noise import SAME_MODEL, Noise
from auscult.comparison.revision import Answered
from auscult.core.tasks import Task
from auscult.evaluation.metrics import measure
from tests.comparison.answers import METHOD, answered
from tests.registry.gate.simulated import answers, sides


def compared(base: Answered, head: Answered, known: Noise = SAME_MODEL, method: Method = METHOD) -> Part:
    return compare("validation", base, head, known, method, same=False)


def score(part: Part, name: str = "score") -> Figure:
    figure = part.figure(name)
    assert figure is not None
    return figure


def measured(**spread: float) -> Noise:
    return Noise("measured", {"validation": spread})


@pytest.mark.parametrize(("skill", "mark"), [(2.0, "better"), (1.0, "within noise"), (0.3, "worse")])
def test_a_better_an_equal_and_a_worse_model(skill: float, mark: str) -> None:
    head, base = answers(skill, 1.0)
    part = compared(answered(base), answered(head, "another"))
    figure = score(part)
    assert figure.mark == mark
    once = np.ones((1, len(head)))
    difference = measure(head, once)["score"][0] - measure(base, once)["score"][0]
    assert figure.difference == pytest.approx(difference, abs=1e-5)
    assert figure.low is not None and figure.high is not None and figure.low < difference < figure.high
    assert score(part, "log_loss").mark == mark, "less is better there"
    assert score(part, "constant_score").head == 0.5


def test_measured_noise_widens_the_interval_and_is_in_the_verdict() -> None:
    head, base = answers(1.6, 1.0)
    narrow = score(compared(answered(base), answered(head)))
    wide = score(compared(answered(base), answered(head), measured(score=0.15)))
    assert (narrow.mark, wide.mark) == ("better", "within noise")
    assert narrow.low is not None and wide.low is not None and wide.low < narrow.low - 0.15


def test_a_figure_whose_noise_is_not_known_has_no_interval() -> None:
    head, base = answers(2.0, 1.0)
    figure = score(compared(answered(base), answered(head), measured(accuracy=0.1)))
    assert figure.mark == "unknown" and "not known" in figure.note


def test_noise_alone_is_seldom_called_a_difference() -> None:
    """Models that differ by their training's seed: how well they hear moves, and the patients cannot tell."""
    called = {"with": 0, "without": 0}
    worlds = 60
    for seed in range(worlds):
        skills = 1.2 + np.random.default_rng(seed).normal(0.0, 0.35, 7)
        given = answers(*skills, patients=12, seed=seed)
        values = [float(measure(each, np.ones((1, len(each))))["score"][0]) for each in given[:5]]
        known = measured(score=float(np.std(values, ddof=1)))
        for name, found in (("with", known), ("without", SAME_MODEL)):
            part = compared(
                answered(given[5]), answered(given[6]), found, replace(METHOD, resamples=200, min_patients=4)
            )
            called[name] += score(part).mark in ("better", "worse")
    assert called["with"] <= 0.08 * worlds
    assert called["without"] > called["with"], "the patients alone do not cover it"


def test_of_seven_patients_the_interval_still_widens_with_the_confidence() -> None:
    """Their resamples alone end too early: 99.4 % would err as often as 95 %."""
    head, base = (answered(each) for each in answers(1.2, 1.2, patients=7))
    widths = []
    for confidence in (0.95, 0.99375):
        method = replace(METHOD, confidence=confidence, min_patients=6)
        figure = score(compared(base, head, method=method))
        assert figure.low is not None and figure.high is not None
        widths.append(figure.high - figure.low)
    assert widths[1] > 1.4 * widths[0]


def test_with_few_patients_there_is_no_interval_in_words() -> None:
    head, base = (answered(sides(each, 20, 7)) for each in answers(2.0, 0.5))
    figure = score(compared(base, head))
    assert (figure.mark, figure.low) == ("unknown", None)
    assert figure.difference is not None
    assert figure.note == ("no interval: 20 patients with normal, 7 with abnormal segments, 8 of each are asked for")


def test_an_undefined_figure_is_said_as_such() -> None:
    head, base = (each.where(each.y == 1) for each in answers(2.0, 0.5))
    figure = score(compared(answered(base), answered(head)))
    assert (figure.base, figure.head, figure.mark) == (None, None, "unknown")
    assert "one class in the validation part" in figure.note


def test_only_common_units_with_equal_labels_are_compared() -> None:
    head, base = (answered(each) for each in answers(1.6, 1.0))
    whole = compared(base, head)
    lost = head.table[20:].assign(class_index=lambda t: t["class_index"].where(t.index >= 30, 1 - t["class_index"]))
    shuffled = lost.sample(frac=1.0, random_state=1)
    part = compared(base, replace(head, table=shuffled))
    assert (part.base_units, part.head_units) == (whole.base_units, whole.base_units - 20)
    assert part.units == whole.base_units - 30
    again = compared(replace(base, table=base.table[30:]), replace(head, table=head.table[30:]))
    assert score(part) == score(again)


def test_a_segment_is_known_by_its_times_whatever_its_number() -> None:
    """One more is annotated at the begin of a recording: those behind it have their neighbours' names now."""
    head, base = (answered(each) for each in answers(1.6, 1.0))
    first = head.table[:1].assign(start_s=-1.0, end_s=-0.1)
    table = pd.concat([first, head.table], ignore_index=True)
    table["unit_id"] = [f"u{number:05}" for number in range(len(table))]
    part = compared(base, replace(head, table=table))
    assert (part.head_units, part.units) == (part.base_units + 1, part.base_units)
    assert score(part) == score(compared(base, head))


def test_two_segments_with_the_same_times_and_label_are_two_units() -> None:
    head, base = (answered(each) for each in answers(1.6, 1.0))
    twice = [replace(each, table=each.table.assign(start_s=0.0, end_s=1.0)) for each in (base, head)]
    part = compared(*twice)
    assert part.units == part.base_units


def test_classes_are_compared_by_name_whatever_their_order() -> None:
    head, base = (answered(each) for each in answers(1.6, 1.0))
    turned = Task("abnormal", "segment", ("abnormal", "normal"), "normal", head.task.mapping)
    table = head.table.assign(class_index=1 - head.table["class_index"], predicted=1 - head.table["predicted"])
    part = compared(base, replace(head, task=turned, table=table))
    assert (part.units, score(part).head) == (part.base_units, score(compared(base, head)).head)


def test_nothing_in_common_is_no_difference_of_any_kind() -> None:
    head, base = (answered(each) for each in answers(1.6, 1.0))
    part = compared(base, replace(head, table=head.table.assign(recording_id=lambda t: "x" + t["recording_id"])))
    assert part.units == 0 and score(part).mark == "unknown" and "empty" in score(part).note


def test_a_metrics_file_that_says_otherwise_is_found() -> None:
    (given,) = answers(1.2)
    true = {name: float(values[0]) for name, values in measure(given, np.ones((1, len(given)))).items()}
    true["constant_score"] = 0.5
    side = answered(given)
    assert list(disagreements(replace(side, in_git={"validation": true}))) == []
    (said,) = disagreements(replace(side, in_git={"validation": true | {"score": true["score"] + 0.01}}))
    assert "1 validation figures in git are not those of this pipeline, such as score" in said
    (said,) = disagreements(replace(side, in_git={"validation": {k: v for k, v in true.items() if k != "mcc"}}))
    assert "mcc" in said


def test_equal_answers_are_equal_in_every_column() -> None:
    (given,) = answers(1.2)
    side = answered(given)
    assert equal_answers(side, answered(given))
    for column in ("class_index", "predicted", "p_normal", "constant", "start_s", "patient_id"):
        table = side.table.copy()
        table.loc[3, column] = "p99" if column == "patient_id" else 1 - table.loc[3, column]
        assert not equal_answers(side, replace(side, table=table)), column
    assert not equal_answers(side, replace(side, table=side.table[1:]))
