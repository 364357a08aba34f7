"""``python -m auscult.cli compare`` as a reviewer runs it: one base, and a branch for each kind of change.

The better, equal and worse models are made so by evaluate's code: no test here depends on what a training learns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auscult.comparison import document, markdown
from auscult.comparison.document import Comparison
from auscult.comparison.report import FOLDER, report
from auscult.comparison.verdict import verdict
from tests.comparison.repository import EXPERIMENT, METRICS, answer, branch, commit, make
from tests.flows.repositories import git
from tests.pipeline.workspace import run, set_params


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose ``main`` was reproduced and committed."""
    root = make(tmp_path_factory.mktemp("compare") / "clone")
    run(root, "dvc", "repro", "--quiet")
    commit(root, "results")
    return root


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The repository as the working folder; afterwards no worktree is left."""
    monkeypatch.chdir(repository)
    yield repository
    assert git(repository, "worktree", "list").count("\n") == 0


def compared(base: str = "main") -> Comparison:
    """The comparison, read back from the file; its markdown lies beside it as the workflow would render it."""
    report(base, lambda line: None)
    made = document.read(FOLDER / document.JSON)
    assert (FOLDER / document.MARKDOWN).read_text() == markdown.render(made)
    assert str(Path.cwd()) not in (FOLDER / document.JSON).read_text(), "where it lies is nobody else's business"
    return made


def score(made: Comparison) -> document.Figure:
    part = made.experiments[0].part("validation")
    assert part is not None
    figure = part.figure("score")
    assert figure is not None
    return figure


def test_nothing_changed(inside: Path) -> None:
    branch(inside, "nothing")
    (inside / "docs/note.md").write_text("a note\n")
    commit(inside, "a note")
    made = compared()
    assert verdict(made).kind == "nothing changed"
    assert made.experiments[0].state == "same" and score(made).mark == "same"
    assert made.data is not None and not made.data.changed
    assert (made.stages, made.parameters, made.faults) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "right", "kind"), [("better", 97, "better"), ("equal", 60, "no difference"), ("worse", 15, "worse")]
)
def test_a_change_of_the_answers(inside: Path, name: str, right: int, kind: str) -> None:
    branch(inside, name)
    answer(inside, right, salt=name)
    commit(inside, name)
    made = compared()
    assert verdict(made).kind == kind
    figure = score(made)
    assert figure.low is not None and figure.high is not None and figure.difference is not None
    assert figure.low < figure.difference < figure.high
    assert made.experiments[0].noise == "same model"  # only evaluate ran
    (stage,) = made.stages
    assert (stage.name, stage.code) == (f"evaluate@{EXPERIMENT}", ("auscult/evaluation/predictions.py",))
    assert (stage.head_did, stage.base_did) == ("ran", "unchanged")
    (fault, *_) = made.faults  # nobody ran the pipeline before the commit
    assert (fault.side, fault.where) == ("head", METRICS) and "in git" in fault.reason
    if kind == "better":
        assert compared().faults == made.faults, "the first comparison has run it, and committed nothing"


def test_a_changed_data_set(inside: Path) -> None:
    branch(inside, "data")
    set_params(inside, {"validate.max_duration_s": 14.5})
    commit(inside, "shorter recordings only")
    made = compared()
    part = made.experiments[0].part("validation")
    assert part is not None and 0 < part.units < part.base_units
    assert made.data is not None and made.data.changed and made.data.base != made.data.head
    assert [each.name for each in made.parameters] == ["validate.max_duration_s"]
    text = (FOLDER / document.MARKDOWN).read_text()
    assert "the data differ, so it rests on what both sides hold" in text
    assert f"{part.units} validation units" in text


def test_a_removed_experiment_and_one_that_was_added(inside: Path) -> None:
    branch(inside, "renamed")
    set_params(inside, {"experiments": {"other": {"task": "abnormal", "features": "logmel", "model": "cnn2d"}}})
    set_params(inside, {"flows.retrain.experiments": ["other"]})
    commit(inside, "renamed")
    made = compared()
    assert {each.name: each.state for each in made.experiments} == {"other": "added", EXPERIMENT: "removed"}
    assert verdict(made).kind == "cannot say"
    text = (FOLDER / document.MARKDOWN).read_text()
    assert f"removed: `{EXPERIMENT}`" in text and "added: `other`" in text


def test_a_broken_metrics_file_is_said_and_is_not_no_change(inside: Path) -> None:
    branch(inside, "broken")
    (inside / METRICS).write_text('{"validation": {"score": NaN')
    commit(inside, "broken")
    made = compared()
    (fault,) = made.faults
    assert (fault.side, fault.where) == ("head", METRICS) and "no metrics file" in fault.reason
    assert verdict(made).kind != "nothing changed"
    assert "1 thing could not be read" in verdict(made).line()


def test_a_stage_that_fails_is_said_and_the_other_side_is_shown(inside: Path) -> None:
    branch(inside, "failing")
    path = inside / "auscult/evaluation/predictions.py"
    path.write_text(path.read_text() + '\nraise RuntimeError("no such thing as `a | b`")\n')
    commit(inside, "failing")
    made = compared()
    (experiment,) = made.experiments
    assert experiment.state == "unreadable" and "no such thing" in experiment.note
    assert verdict(made).kind == "cannot say"
    assert score(made).base is not None and score(made).head is None
    assert (inside / METRICS).exists(), "the last good outputs are back"


def test_a_base_whose_pipeline_fails_leaves_heads_figures(inside: Path) -> None:
    branch(inside, "broken-base")
    good = (inside / "params.yaml").read_text()
    (inside / "params.yaml").write_text("dataset: [\n")
    commit(inside, "a mistake")
    (inside / "params.yaml").write_text(good)
    commit(inside, "mended")
    made = compared("HEAD~1")
    assert made.base.fault and verdict(made).kind == "cannot say"
    assert score(made).head is not None and score(made).base is None


def test_a_first_commit_has_no_base_and_its_figures_are_shown(inside: Path) -> None:
    git(inside, "checkout", "-q", "-f", "main")
    git(inside, "checkout", "-q", "--orphan", "first")
    commit(inside, "everything")
    made = compared("trunk")
    assert "first commit" in made.base.fault and made.base.commit == ""
    assert verdict(made).line().startswith("Cannot say: there is no base")
    assert score(made).head is not None
