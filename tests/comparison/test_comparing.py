"""Two sides that were read, and what is said of them together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from auscult.comparison import noise
from auscult.comparison.comparing import Made, document
from auscult.comparison.document import Figure, Part, Side
from auscult.comparison.noise import NOT_MEASURED
from auscult.comparison.revision import Answered, SideRead
from auscult.comparison.verdict import verdict
from auscult.evaluation.metrics import Answers
from auscult.versioning.graph import Run, Work
from tests.comparison.answers import METHOD, answered
from tests.registry.gate.simulated import answers


def score(part: Part, name: str = "score") -> Figure:
    figure = part.figure(name)
    assert figure is not None
    return figure


def both_parts(given: Answers, model: str) -> Answered:
    made = answered(given, model)
    return replace(made, table=pd.concat([made.table, made.table.assign(part="test")], ignore_index=True))


def made(name: str, experiments: dict[str, Answered | str], dataset: str = "sample", **read: Any) -> Made:
    return Made(Side(name, "a" * 40, False, ""), read=SideRead(dataset, experiments=dict(experiments), **read))


def test_experiments_share_the_error(tmp_path: Any) -> None:
    head, base = answers(1.6, 1.0)
    old = {f"e{n}": both_parts(base, "old") for n in range(4)}
    new = {f"e{n}": both_parts(head, "new") for n in range(4)}
    one = document(tmp_path, made("main", {"e0": old["e0"]}), made("HEAD", {"e0": new["e0"]}), METHOD, None)
    four = document(tmp_path, made("main", old), made("HEAD", new), METHOD, None)
    assert (one.confidence, four.confidence, four.shared_by) == (0.95, 0.9875, 4)
    widths = []
    for each in (one, four):
        part = each.experiments[0].part("validation")
        assert part is not None
        figure = score(part)
        assert figure.high is not None and figure.low is not None
        widths.append(figure.high - figure.low)
    assert widths[1] > widths[0]


def test_without_a_measurement_the_verdict_is_perhaps(tmp_path: Any) -> None:
    head, base = answers(2.0, 0.5)
    found = document(
        tmp_path,
        made("main", {"e": both_parts(base, "old")}),
        made("HEAD", {"e": both_parts(head, "new")}),
        METHOD,
        None,
    )
    assert found.experiments[0].noise == NOT_MEASURED.kind
    assert verdict(found).headline == "Perhaps better"


def test_the_same_files_and_answers_are_the_same_model_and_a_changed_one_is_compared(tmp_path: Any) -> None:
    (given,) = answers(1.0)
    side = {"e": both_parts(given, "one")}
    assert document(tmp_path, made("main", side), made("HEAD", side), METHOD, None).experiments[0].state == "same"
    other = document(tmp_path, made("main", side), made("HEAD", {"e": both_parts(given, "two")}), METHOD, None)
    assert other.experiments[0].state == "compared" and verdict(other).kind == "no difference"


def test_the_same_answers_measured_in_another_way_are_not_nothing_changed(tmp_path: Any) -> None:
    (given,) = answers(1.0)
    side = {"e": both_parts(given, "one")}

    def lock(md5: str) -> dict[str, Any]:
        return {"evaluate@e": {"outs": [{"path": "reports/sample/metrics/e.json", "md5": md5}]}}

    base = made("main", side, lock=lock("1"))
    assert verdict(document(tmp_path, base, made("HEAD", side, lock=lock("1")), METHOD, None)).kind == "nothing changed"
    said = verdict(document(tmp_path, base, made("HEAD", side, lock=lock("2")), METHOD, None)).line()
    assert said == "No difference: every model that could be compared is the same; measured in another way: e"


def test_answers_for_fewer_units_are_said_also_where_the_data_are_the_same(tmp_path: Any) -> None:
    """A model that answers only where it is sure may look better."""
    head, base = (both_parts(each, name) for each, name in zip(answers(2.0, 0.5), ("new", "old"), strict=True))
    fewer = replace(head, table=head.table.groupby("part").head(300))
    found = document(tmp_path, made("main", {"e": base}), made("HEAD", {"e": fewer}), METHOD, None)
    units = len(base.table) // 2
    said = f"(at least 300 validation units, of {units} in base and 300 in head)"
    assert said in verdict(found).line()
    assert (
        "different units"
        not in verdict(document(tmp_path, made("main", {"e": base}), made("HEAD", {"e": head}), METHOD, None)).line()
    )


def test_experiments_that_find_no_room_are_said(tmp_path: Any) -> None:
    side: dict[str, Answered | str] = {f"e{n}": "it is gone" for n in range(101)}
    found = document(tmp_path, made("main", side), made("HEAD", side), METHOD, None)
    assert len(found.experiments) == 100
    assert "of 101 experiments" in found.faults[0].reason


def test_an_experiment_that_a_side_cannot_answer_is_not_called_unchanged(tmp_path: Any) -> None:
    (given,) = answers(1.0)
    side = both_parts(given, "one")
    found = document(
        tmp_path, made("main", {"e": side, "f": side}), made("HEAD", {"e": side, "f": "it is gone"}), METHOD, None
    )
    assert [each.state for each in found.experiments] == ["same", "unreadable"]
    assert "not comparable: f (head: it is gone)" in verdict(found).line()
    assert verdict(found).kind != "nothing changed"


def test_of_a_head_that_cannot_be_read_nothing_is_called_removed(tmp_path: Any) -> None:
    (given,) = answers(1.0)
    base = made("main", {"e": both_parts(given, "one")}, lock={"train@e": {"deps": [], "outs": []}})
    base.run = Run({"train@e": Work("ran", 2.0)})
    head = Made(Side("HEAD", "b" * 40, False, "params.yaml is not valid YAML"))
    found = document(tmp_path, base, head, METHOD, None)
    (experiment,) = found.experiments
    assert (experiment.state, experiment.note) == ("unreadable", "nothing of the head could be read")
    assert [(each.name, each.state) for each in found.stages] == [("train@e", "unchanged")]
    assert verdict(found).line().startswith("Cannot say: nothing of the head")


def test_another_data_set_is_not_compared(tmp_path: Any) -> None:
    (given,) = answers(1.0)
    side = {"e": both_parts(given, "one")}
    found = document(tmp_path, made("main", side, dataset="icbhi"), made("HEAD", side), METHOD, None)
    assert (
        verdict(found).line().startswith("Cannot say: nothing of the base can be compared: base is about the data set")
    )
    part = found.experiments[0].part("validation")
    assert part is not None and score(part).head is not None


@pytest.mark.parametrize(
    "content",
    ["<<<<<<< HEAD", "[]", '{"datasets": {"sample": {"experiments": {}}}}', '{"datasets": {"sample": %s}}'],
    ids=["a conflict", "a list", "half of it", "negative"],
)
def test_a_damaged_table_of_noise_is_said_and_the_verdict_is_perhaps(tmp_path: Any, content: str) -> None:
    negative = '{"experiments": {}, "pooled": {"validation": {"score": -1}, "test": {}}}'
    (tmp_path / noise.FILE).parent.mkdir()
    (tmp_path / noise.FILE).write_text(content.replace("%s", negative))
    head, base = answers(2.0, 0.5)
    sides = made("main", {"e": both_parts(base, "old")}), made("HEAD", {"e": both_parts(head, "new")})
    found = document(tmp_path, *sides, METHOD, None)
    assert verdict(found).headline == "Perhaps better"
    assert [each.where for each in found.faults] == [noise.FILE.as_posix()]


def test_the_table_of_noise_falls_back_to_the_data_sets_own(tmp_path: Any) -> None:
    from auscult.comparison.seed_variance import spread
    from auscult.core.storage import write_json

    trainings = [{part: {"score": value, "sometimes": 1.0} for part in ("validation", "test")} for value in (0.5, 0.7)]
    trainings[0]["test"].pop("sometimes")
    still = [{part: {"score": 0.6} for part in ("validation", "test")}] * 2
    table = spread({"moving": trainings, "still": still})
    assert table["experiments"]["moving"]["validation"]["score"] == pytest.approx(0.141421)
    assert table["pooled"]["validation"]["score"] == pytest.approx(0.1)
    assert "sometimes" not in table["experiments"]["moving"]["test"]
    write_json(tmp_path / noise.FILE, {"datasets": {"sample": table}})
    loaded = noise.load(tmp_path, "sample")
    assert noise.find(loaded, "moving").of("test", "score") == pytest.approx(0.141421)
    assert noise.find(loaded, "new").kind == "pooled" and noise.find(loaded, "new").of("test", "score") == 0.1
    assert noise.find(noise.load(tmp_path, "icbhi"), "moving") is NOT_MEASURED
