"""Paired differences: better, equal and worse models; other units, labels and classes; seed variance."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from auscult.cli.main import app
from auscult.comparison.differences import (
    Evaluated,
    Method,
    compare,
    disagreements,
    equal_predictions,
    missed_limits,
)
from auscult.comparison.document import Limit, Metric, Part
from auscult.comparison.seed_variance import spread
from auscult.core.storage import write_json
from auscult.core.tasks import Task
from auscult.evaluation.metrics import measure
from auscult.registry.gate.noise import NOISE_FILE, NOT_MEASURED, SAME_MODEL, Noise, Spread, find_noise, load_noise
from tests.comparison.predictions import METHOD, evaluated
from tests.registry.gate.simulated import SETTINGS, patients_with, settings, simulate


def compared(base: Evaluated, head: Evaluated, known: Noise = SAME_MODEL, method: Method = METHOD) -> Part:
    return compare("validation", base, head, known, method, same=False)


def score(part: Part, name: str = "score") -> Metric:
    metric = part.metric(name)
    assert metric is not None
    return metric


def measured(**spread: float) -> Noise:
    return Noise("measured", {"validation": {name: Spread(value, 4.0) for name, value in spread.items()}})


@pytest.mark.parametrize(("skill", "mark"), [(2.0, "better"), (1.0, "within noise"), (0.3, "worse")])
def test_better_equal_and_worse_models_get_their_mark(skill: float, mark: str) -> None:
    head, base = simulate(skill, 1.0)
    part = compared(evaluated(base), evaluated(head, "another"))
    metric = score(part)
    assert metric.mark == mark
    once = np.ones((1, len(head)))
    difference = measure(head, once)["score"][0] - measure(base, once)["score"][0]
    assert metric.difference == pytest.approx(difference, abs=1e-5)
    assert metric.low is not None and metric.high is not None and metric.low < difference < metric.high
    assert score(part, "log_loss").mark == mark, "less is better there"
    assert score(part, "constant_score").head == 0.5


def test_seed_variance_widens_the_interval_and_changes_the_mark() -> None:
    head, base = simulate(1.6, 1.0)
    narrow = score(compared(evaluated(base), evaluated(head)))
    wide = score(compared(evaluated(base), evaluated(head), measured(score=0.15)))
    assert (narrow.mark, wide.mark) == ("better", "within noise")
    assert narrow.low is not None and wide.low is not None and wide.low < narrow.low - 0.15


def test_a_metric_of_unknown_seed_variance_has_no_interval() -> None:
    head, base = simulate(2.0, 1.0)
    metric = score(compared(evaluated(base), evaluated(head), measured(accuracy=0.1)))
    assert metric.mark == "unknown" and "not known" in metric.note


def test_seed_variance_alone_is_rarely_called_a_difference() -> None:
    """Models that differ by the seed alone: intervals over patients do not cover that."""
    called = {"with": 0, "without": 0}
    repetitions = 60
    for seed in range(repetitions):
        skills = 1.2 + np.random.default_rng(seed).normal(0.0, 0.35, 7)
        given = simulate(*skills, patients=12, seed=seed)
        values = [float(measure(each, np.ones((1, len(each))))["score"][0]) for each in given[:5]]
        known = measured(score=float(np.std(values, ddof=1)))
        for name, found in (("with", known), ("without", SAME_MODEL)):
            part = compared(
                evaluated(given[5]), evaluated(given[6]), found, replace(METHOD, resamples=200, min_patients=4)
            )
            called[name] += score(part).mark in ("better", "worse")
    assert called["with"] <= 0.08 * repetitions
    assert called["without"] > called["with"], "intervals over patients alone do not cover it"


def test_with_seven_patients_the_interval_still_widens_with_the_confidence() -> None:
    """Quantiles alone end too early: a 99.4 % interval would err as often as one of 95 %."""
    head, base = (evaluated(each) for each in simulate(1.2, 1.2, patients=7))
    widths = []
    for confidence in (0.95, 0.99375):
        method = replace(METHOD, confidence=confidence, min_patients=6)
        metric = score(compared(base, head, method=method))
        assert metric.low is not None and metric.high is not None
        widths.append(metric.high - metric.low)
    assert widths[1] > 1.4 * widths[0]


def test_with_few_patients_there_is_no_interval_but_a_reason() -> None:
    head, base = (evaluated(patients_with(each, 20, 7)) for each in simulate(2.0, 0.5))
    metric = score(compared(base, head))
    assert (metric.mark, metric.low) == ("unknown", None)
    assert metric.difference is not None
    assert re.findall(r"\d+", metric.note) == ["20", "7", "8"]


def test_an_undefined_metric_has_a_reason() -> None:
    head, base = (each.where(each.y == 1) for each in simulate(2.0, 0.5))
    metric = score(compared(evaluated(base), evaluated(head)))
    assert (metric.base, metric.head, metric.mark) == (None, None, "unknown")
    assert "one class in the validation part" in metric.note


def test_only_common_units_with_equal_labels_are_compared() -> None:
    head, base = (evaluated(each) for each in simulate(1.6, 1.0))
    whole = compared(base, head)
    lost = head.table[20:].assign(class_index=lambda t: t["class_index"].where(t.index >= 30, 1 - t["class_index"]))
    shuffled = lost.sample(frac=1.0, random_state=1)
    part = compared(base, replace(head, table=shuffled))
    assert (part.base_units, part.head_units) == (whole.base_units, whole.base_units - 20)
    assert part.units == whole.base_units - 30
    again = compared(replace(base, table=base.table[30:]), replace(head, table=head.table[30:]))
    assert score(part) == score(again)


def test_a_segment_is_identified_by_its_times_not_its_number() -> None:
    """A new first annotation renames all later segments of its recording."""
    head, base = (evaluated(each) for each in simulate(1.6, 1.0))
    first = head.table[:1].assign(start_s=-1.0, end_s=-0.1)
    table = pd.concat([first, head.table], ignore_index=True)
    table["unit_id"] = [f"u{number:05}" for number in range(len(table))]
    part = compared(base, replace(head, table=table))
    assert (part.head_units, part.units) == (part.base_units + 1, part.base_units)
    assert score(part) == score(compared(base, head))


def test_two_segments_with_the_same_times_and_label_are_two_units() -> None:
    head, base = (evaluated(each) for each in simulate(1.6, 1.0))
    twice = [replace(each, table=each.table.assign(start_s=0.0, end_s=1.0)) for each in (base, head)]
    part = compared(*twice)
    assert part.units == part.base_units


def test_classes_are_matched_by_name_in_any_order() -> None:
    head, base = (evaluated(each) for each in simulate(1.6, 1.0))
    turned = Task("abnormal", "segment", ("abnormal", "normal"), "normal", head.task.mapping)
    table = head.table.assign(class_index=1 - head.table["class_index"], predicted=1 - head.table["predicted"])
    part = compared(base, replace(head, task=turned, table=table))
    assert (part.units, score(part).head) == (part.base_units, score(compared(base, head)).head)


def test_without_common_units_every_metric_is_unknown() -> None:
    head, base = (evaluated(each) for each in simulate(1.6, 1.0))
    part = compared(base, replace(head, table=head.table.assign(recording_id=lambda t: "x" + t["recording_id"])))
    assert part.units == 0 and score(part).mark == "unknown" and "empty" in score(part).note


def test_a_metrics_file_that_differs_is_found() -> None:
    (given,) = simulate(1.2)
    true = {name: float(values[0]) for name, values in measure(given, np.ones((1, len(given)))).items()}
    true["constant_score"] = 0.5
    one = evaluated(given)
    assert list(disagreements(replace(one, in_git={"validation": true}))) == []
    (sentence,) = disagreements(replace(one, in_git={"validation": true | {"score": true["score"] + 0.01}}))
    assert "1 validation metrics" in sentence and "score" in sentence
    moved = replace(one, in_git={"validation": true | {"score": 0.0}}, why_outdated="it was edited")
    assert next(disagreements(moved)).endswith("cause: it was edited")
    (sentence,) = disagreements(replace(one, in_git={"validation": {k: v for k, v in true.items() if k != "mcc"}}))
    assert "mcc" in sentence


def test_equal_predictions_are_equal_in_every_column() -> None:
    (given,) = simulate(1.2)
    one = evaluated(given)
    assert equal_predictions(one, evaluated(given))
    for column in ("class_index", "predicted", "p_normal", "constant", "start_s", "patient_id"):
        table = one.table.copy()
        table.loc[3, column] = "p99" if column == "patient_id" else 1 - table.loc[3, column]
        assert not equal_predictions(one, replace(one, table=table)), column
    assert not equal_predictions(one, replace(one, table=one.table[1:]))


def test_a_limit_of_the_gate_that_head_misses_on_its_test_units_is_found_with_bases_value() -> None:
    """Nearly all abnormal units are taken for normal: the gate refuses that whatever the score's interval."""
    (good,) = simulate(1.6)
    weak = replace(good, predicted=np.where(np.arange(len(good)) % 20 == 0, good.y, 0))
    recall = float(measure(weak, np.ones((1, len(weak))))["recall_abnormal"][0])
    before = float(measure(good, np.ones((1, len(good))))["recall_abnormal"][0])
    base, head = evaluated(good, part="test"), evaluated(weak, part="test")
    (found,) = missed_limits(base, head, SETTINGS)
    assert found == Limit("recall_abnormal", round(before, 6), round(recall, 6), SETTINGS.min_recall, True)
    assert found.kept_by_base and recall < 0.2 < before
    assert missed_limits(base, base, SETTINGS) == ()
    (alone,) = missed_limits(None, head, SETTINGS)
    assert alone.base is None and alone.kept_by_base
    (both,) = missed_limits(head, head, SETTINGS)
    assert not both.kept_by_base
    large = replace(base, size_mb=101.0)
    assert [each.name for each in missed_limits(base, large, SETTINGS)] == ["size_mb"]
    assert [each.name for each in missed_limits(base, head, settings(max_calibration_error=0.0))][1:] == [
        "calibration_error"
    ]


def test_limits_are_checked_on_the_test_part_only_and_where_the_gate_has_enough_patients() -> None:
    (good,) = simulate(1.6)
    weak = replace(good, predicted=np.zeros_like(good.y))
    assert missed_limits(None, evaluated(weak, part="validation"), SETTINGS) == ()
    assert missed_limits(None, evaluated(weak, part="test"), None) == ()
    few = patients_with(weak, 20, 7)
    assert missed_limits(None, evaluated(few, part="test"), SETTINGS) == ()
    assert missed_limits(None, evaluated(few, part="test"), settings(min_patients=7)) != ()


def test_an_interval_of_a_comparison_stays_within_the_range_of_its_metric() -> None:
    head, base = (evaluated(each) for each in simulate(1.2, 1.2, patients=8))
    part = compared(base, head, measured(sensitivity=2.0, mcc=2.0))
    assert (score(part, "sensitivity").low, score(part, "sensitivity").high) == (-1.0, 1.0)
    assert (score(part, "mcc").low, score(part, "mcc").high) == (-2.0, 2.0)


def test_noise_of_an_unmeasured_experiment_is_pooled_over_the_data_set(tmp_path: Path) -> None:
    trainings = [{part: {"score": value, "sometimes": 1.0} for part in ("validation", "test")} for value in (0.5, 0.7)]
    trainings[0]["test"].pop("sometimes")
    still = [{part: {"score": 0.6} for part in ("validation", "test")}] * 2
    table = spread({"moving": trainings, "still": still})
    assert table["experiments"]["moving"]["validation"]["score"] == pytest.approx(0.141421)
    assert table["pooled"]["validation"]["score"] == pytest.approx(0.1)
    assert "sometimes" not in table["experiments"]["moving"]["test"]
    write_json(tmp_path / NOISE_FILE, {"datasets": {"sample": {"seeds": [31, 32, 33], **table}}})
    loaded = load_noise(tmp_path, "sample")
    assert find_noise(loaded, "moving").of("test", "score") == pytest.approx((0.141421, 2))
    assert find_noise(loaded, "new").kind == "pooled" and find_noise(loaded, "new").of("test", "score") == (0.1, 2)
    assert find_noise(load_noise(tmp_path, "icbhi"), "moving") is NOT_MEASURED


def test_seed_variance_needs_three_seeds() -> None:
    assert CliRunner().invoke(app, ["measure", "seed-variance", "--seeds", "2"]).exit_code == 2
