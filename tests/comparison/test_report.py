"""The comparison of two revisions whose results were read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auscult.comparison.differences import Evaluated
from auscult.comparison.document import Comparison, Revision
from auscult.comparison.report import _method, compare
from auscult.comparison.revisions import Results
from auscult.comparison.verdict import Verdict, verdict
from auscult.evaluation.metrics import Predictions
from auscult.registry.gate.noise import NOISE_FILE, NOT_MEASURED
from auscult.versioning.graph import Run, StageRun
from tests.comparison.predictions import METHOD, evaluated
from tests.contract.imports import ROOT
from tests.registry.gate.simulated import SETTINGS, simulate


def both_parts(given: Predictions, model: str) -> Evaluated:
    one = evaluated(given, model)
    return replace(one, table=pd.concat([one.table, one.table.assign(part="test")], ignore_index=True))


def made(name: str, experiments: Mapping[str, Evaluated | str], dataset: str = "sample", **more: Any) -> Results:
    return Results(Revision(name, "a" * 40, False, ""), dataset=dataset, experiments=dict(experiments), **more)


def compared(root: Path, base: Mapping[str, Evaluated | str], head: Mapping[str, Evaluated | str]) -> Comparison:
    return compare(root, made("main", base), made("HEAD", head), METHOD, None)


def test_experiments_share_the_allowed_error(tmp_path: Path) -> None:
    head, base = simulate(1.6, 1.0)
    old = {f"e{n}": both_parts(base, "old") for n in range(4)}
    new = {f"e{n}": both_parts(head, "new") for n in range(4)}
    one, four = compared(tmp_path, {"e0": old["e0"]}, {"e0": new["e0"]}), compared(tmp_path, old, new)
    assert (one.confidence, four.confidence, four.shared_by) == (0.95, 0.9875, 4)
    widths = []
    for each in (one, four):
        metric = each.experiments[0].score("validation")
        assert metric is not None and metric.high is not None and metric.low is not None
        widths.append(metric.high - metric.low)
    assert widths[1] > widths[0]


def test_without_measured_seed_variance_the_verdict_is_perhaps(tmp_path: Path) -> None:
    head, base = simulate(2.0, 0.5)
    found = compared(tmp_path, {"e": both_parts(base, "old")}, {"e": both_parts(head, "new")})
    assert found.experiments[0].noise == NOT_MEASURED.kind
    assert verdict(found).headline == "Perhaps better"


def test_equal_files_and_predictions_are_the_same_model_and_another_file_is_compared(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    one, two = {"e": both_parts(given, "one")}, {"e": both_parts(given, "two")}
    assert compared(tmp_path, one, one).experiments[0].state == "same"
    other = compared(tmp_path, one, two)
    assert other.experiments[0].state == "compared" and verdict(other).kind == "no difference"


def test_equal_predictions_with_other_metrics_files_are_not_unchanged(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    one = {"e": both_parts(given, "one")}

    def verdict_with(head_md5: str) -> Verdict:
        base, head = (
            made(name, one, lock={"evaluate@e": {"outs": [{"path": "reports/sample/metrics/e.json", "md5": md5}]}})
            for name, md5 in (("main", "1"), ("HEAD", head_md5))
        )
        return verdict(compare(tmp_path, base, head, METHOD, None))

    assert verdict_with("1").kind == "nothing changed"
    assert verdict_with("2").kind == "no difference"
    assert any(each.endswith("computed in another way: e") for each in verdict_with("2").details)


def test_the_verdict_counts_common_units_also_where_the_data_are_the_same(tmp_path: Path) -> None:
    """A model with predictions only where it is certain may look better."""
    head, base = (both_parts(each, name) for each, name in zip(simulate(2.0, 0.5), ("new", "old"), strict=True))
    fewer = replace(head, table=head.table.groupby("part").head(300))
    counts = f"at least 300 validation units, of {len(base.table) // 2} in base and 300 in head"
    assert counts in verdict(compared(tmp_path, {"e": base}, {"e": fewer})).line()
    assert "validation units" not in verdict(compared(tmp_path, {"e": base}, {"e": head})).line()


def test_a_head_that_the_gate_would_refuse_is_marked_in_every_state(tmp_path: Path) -> None:
    """The score's interval includes zero, and nearly all abnormal units are missed."""
    (good,) = simulate(0.6, patients=12)
    weak = replace(good, predicted=np.zeros_like(good.y))
    base, head = both_parts(good, "old"), both_parts(weak, "new")
    method = replace(METHOD, gate=SETTINGS)
    for old, state in ((base, "compared"), (None, "added"), ("it is gone", "unreadable")):
        before = {} if old is None else {"e": old}
        found = compare(tmp_path, made("main", before), made("HEAD", {"e": head}), method, None)
        (experiment,) = found.experiments
        assert experiment.state == state
        assert [each.name for each in experiment.limits] == ["recall_abnormal"]
        assert verdict(found).refused and "recall_abnormal is 0.0" in verdict(found).line()
    found = compare(tmp_path, made("main", {"e": base}), made("HEAD", {"e": base}), method, None)
    assert not verdict(found).refused and verdict(found).kind == "nothing changed"


def test_the_gates_limits_are_those_of_heads_settings() -> None:
    method, faults = _method(ROOT)
    assert faults == [] and method.gate is not None and method.gate.min_recall == 0.2


def test_a_fault_of_a_metrics_file_names_cause_and_next_command(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    one = replace(both_parts(given, "one"), in_git={"validation": {"score": 0.0}}, why_outdated="it was edited")
    found = compare(tmp_path, made("main", {"e": one}), made("HEAD", {"e": one}), METHOD, None)
    by_revision = {each.revision: each.reason for each in found.faults}
    assert all("cause: it was edited; next: " in reason for reason in by_revision.values())
    assert "make repro, then git add dvc.lock" in by_revision["head"]


def test_experiments_beyond_the_limit_are_a_fault(tmp_path: Path) -> None:
    many = {f"e{n}": "it is gone" for n in range(101)}
    found = compared(tmp_path, many, many)
    assert len(found.experiments) == 100
    assert "of 101 experiments" in found.faults[0].reason


def test_an_experiment_without_predictions_in_one_revision_is_not_unchanged(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    one = both_parts(given, "one")
    found = compared(tmp_path, {"e": one, "f": one}, {"e": one, "f": "it is gone"})
    assert [each.state for each in found.experiments] == ["same", "unreadable"]
    assert "not comparable: f (head: it is gone)" in verdict(found).details
    assert verdict(found).kind != "nothing changed"


def test_experiments_of_an_unreadable_head_are_not_called_removed(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    base = made("main", {"e": both_parts(given, "one")}, lock={"train@e": {"deps": [], "outs": []}})
    base.run = Run({"train@e": StageRun("ran", 2.0)})
    head = Results(Revision("HEAD", "b" * 40, False, "params.yaml is not valid YAML"))
    found = compare(tmp_path, base, head, METHOD, None)
    (experiment,) = found.experiments
    assert experiment.state == "unreadable" and "head" in experiment.note
    assert [(each.name, each.state) for each in found.stages] == [("train@e", "unchanged")]
    assert verdict(found).kind == "cannot say" and "params.yaml is not valid YAML" in verdict(found).line()


def test_another_data_set_is_not_compared(tmp_path: Path) -> None:
    (given,) = simulate(1.0)
    one = {"e": both_parts(given, "one")}
    found = compare(tmp_path, made("main", one, dataset="icbhi"), made("HEAD", one), METHOD, None)
    assert verdict(found).kind == "cannot say" and "icbhi" in found.base.fault
    metric = found.experiments[0].score("validation")
    assert metric is not None and metric.head is not None


@pytest.mark.parametrize("content", [None, "compare: [", "compare: {confidence: 2}"], ids=["missing", "cut", "wrong"])
def test_without_valid_settings_there_is_no_interval_but_a_fault(tmp_path: Path, content: str | None) -> None:
    """One resample, of point estimates, must not make a verdict."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    if content is not None:
        (tmp_path / "flows").mkdir()
        (tmp_path / "flows/settings.yaml").write_text(content)
    method, faults = _method(tmp_path)
    head, base = simulate(2.0, 0.5)
    experiments = {"e": both_parts(base, "old")}, {"e": both_parts(head, "new")}
    found = compare(tmp_path, made("main", experiments[0]), made("HEAD", experiments[1]), method, None, faults)
    metric = found.experiments[0].score("validation")
    assert metric is not None and metric.mark == "unknown" and metric.difference is not None
    assert verdict(found).kind == "cannot say"
    assert [each.where for each in found.faults] == ["flows/settings.yaml"]
    assert str(tmp_path) not in found.faults[0].reason


@pytest.mark.parametrize(
    "content",
    ["<<<<<<< HEAD", "[]", '{"datasets": {"sample": {"experiments": {}}}}', '{"datasets": {"sample": %s}}'],
    ids=["a conflict", "a list", "half of it", "negative"],
)
def test_a_damaged_table_of_seed_variance_is_a_fault_and_the_verdict_is_perhaps(tmp_path: Path, content: str) -> None:
    negative = '{"experiments": {}, "pooled": {"validation": {"score": -1}, "test": {}}}'
    (tmp_path / NOISE_FILE).parent.mkdir()
    (tmp_path / NOISE_FILE).write_text(content.replace("%s", negative))
    head, base = simulate(2.0, 0.5)
    found = compared(tmp_path, {"e": both_parts(base, "old")}, {"e": both_parts(head, "new")})
    assert verdict(found).headline == "Perhaps better"
    assert [each.where for each in found.faults] == [NOISE_FILE.as_posix()]
