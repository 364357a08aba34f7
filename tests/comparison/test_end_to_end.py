"""``auscult compare`` as a reviewer runs it: one base, and a branch for each kind of change.

The code of ``evaluate`` makes the models better, equal or worse, so no test depends on what a training learns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auscult.comparison import document, markdown
from auscult.comparison.document import Comparison
from auscult.comparison.report import FOLDER, report
from auscult.comparison.seed_variance import measure
from auscult.comparison.verdict import verdict
from auscult.registry.gate.noise import load_noise
from tests.comparison.repository import EXPERIMENT, METRICS, branch, commit, make, set_accuracy
from tests.flows.repositories import git
from tests.pipeline.workspace import run, set_params

pytestmark = pytest.mark.pipeline

CONTEXT = {"task": "abnormal", "features": "logmel", "members": [EXPERIMENT], "method": "context"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository whose ``main`` was reproduced and committed."""
    root = make(tmp_path_factory.mktemp("compare") / "clone")
    run(root, "dvc", "repro", "--quiet")
    commit(root, "results")
    return root


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to the repository; afterwards no worktree may be left."""
    monkeypatch.chdir(repository)
    yield repository
    assert git(repository, "worktree", "list").count("\n") == 0


def compared(base: str = "main", head: str | None = None) -> Comparison:
    """Compare, and return the comparison read back from its file."""
    report(base, head)
    made = document.parse((FOLDER / document.JSON).read_bytes())
    assert (FOLDER / document.MARKDOWN).read_text() == markdown.render(made)
    assert str(Path.cwd()) not in (FOLDER / document.JSON).read_text(), "no absolute paths"
    return made


def score(made: Comparison) -> document.Metric:
    metric = made.experiments[0].score("validation")
    assert metric is not None
    return metric


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
def test_a_change_of_the_predictions(inside: Path, name: str, right: int, kind: str) -> None:
    branch(inside, name)
    set_accuracy(inside, right, salt=name)
    commit(inside, name)
    made = compared()
    assert verdict(made).kind == kind
    metric = score(made)
    assert metric.low is not None and metric.high is not None and metric.difference is not None
    assert metric.low < metric.difference < metric.high
    assert made.experiments[0].noise == "same model"  # only evaluate ran
    (stage,) = made.stages
    assert (stage.name, stage.code) == (f"evaluate@{EXPERIMENT}", ("auscult/evaluation",))
    assert (stage.head_outcome, stage.base_outcome) == ("ran", "unchanged")
    (fault, *_) = made.faults  # the pipeline did not run before the commit
    assert (fault.revision, fault.where) == ("head", METRICS) and "in git" in fault.reason
    if kind == "better":
        again = compared()
        assert again.faults == made.faults, "the first comparison committed nothing"
        assert not again.head.dirty, "what a comparison writes is no change of the user's"


def test_a_named_head_is_reproduced_beside_the_checkout(inside: Path) -> None:
    branch(inside, "improved")
    set_accuracy(inside, 97, salt="improved")
    set_params(inside, {"combinations": {"context": CONTEXT}})
    commit(inside, "improved")
    git(inside, "checkout", "-q", "-f", "main")
    made = compared("main", "improved")
    assert verdict(made).kind == "better"
    (combined,) = (each for each in made.experiments if each.name == "context")
    assert (combined.state, combined.note) == ("added", "") and combined.parts, "a combination is evaluated too"
    assert (made.head.name, made.head.commit) == ("improved", git(inside, "rev-parse", "improved"))
    assert git(inside, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(inside, "status", "--porcelain", "--", "auscult", "params.yaml", "reports/sample") == ""


def test_a_changed_data_set(inside: Path) -> None:
    branch(inside, "data")
    set_params(inside, {"validate.max_duration_s": 7.5})
    commit(inside, "shorter recordings only")
    made = compared()
    part = made.experiments[0].part("validation")
    assert part is not None and 0 < part.units < part.base_units
    assert made.data is not None and made.data.changed and made.data.base != made.data.head
    assert [each.name for each in made.parameters] == ["validate.max_duration_s"]
    text = (FOLDER / document.MARKDOWN).read_text()
    assert "the data differ" in text
    assert f"{part.units} validation units" in text


def test_added_and_removed_experiments(inside: Path) -> None:
    branch(inside, "renamed")
    set_params(inside, {"experiments": {"other": {"task": "abnormal", "features": "logmel", "model": "cnn2d"}}})
    set_params(inside, {"flows.retrain.experiments": ["other"]})
    commit(inside, "renamed")
    made = compared()
    assert {each.name: each.state for each in made.experiments} == {"other": "added", EXPERIMENT: "removed"}
    assert verdict(made).kind == "cannot say"
    text = (FOLDER / document.MARKDOWN).read_text()
    assert f"removed: `{EXPERIMENT}`" in text and "added: `other`" in text


def test_a_broken_metrics_file_is_a_fault_and_not_unchanged(inside: Path) -> None:
    branch(inside, "broken")
    (inside / METRICS).write_text('{"validation": {"score": NaN')
    commit(inside, "broken")
    made = compared()
    (fault,) = made.faults
    assert (fault.revision, fault.where) == ("head", METRICS) and "not a metrics file" in fault.reason
    assert verdict(made).kind != "nothing changed"
    assert "1 item is unreadable" in verdict(made).line()


def test_a_failing_stage_is_reported_and_the_base_is_shown(inside: Path) -> None:
    branch(inside, "failing")
    path = inside / "auscult/evaluation/predictions.py"
    path.write_text(path.read_text() + '\nraise RuntimeError("no such thing as `a | b`")\n')
    commit(inside, "failing")
    made = compared()
    (experiment,) = made.experiments
    assert experiment.state == "unreadable" and "no such thing" in experiment.note
    assert verdict(made).kind == "cannot say"
    assert score(made).base is not None and score(made).head is None
    assert (inside / METRICS).exists(), "the last good outputs are restored"


def test_a_failing_base_leaves_heads_metrics(inside: Path) -> None:
    branch(inside, "broken-base")
    good = (inside / "params.yaml").read_text()
    (inside / "params.yaml").write_text("dataset: [\n")
    commit(inside, "a mistake")
    (inside / "params.yaml").write_text(good)
    commit(inside, "mended")
    made = compared("HEAD~1")
    assert made.base.fault and verdict(made).kind == "cannot say"
    assert score(made).head is not None and score(made).base is None


def test_a_first_commit_has_no_base_and_its_metrics_are_shown(inside: Path) -> None:
    git(inside, "checkout", "-q", "-f", "main")
    git(inside, "checkout", "-q", "--orphan", "first")
    commit(inside, "everything")
    made = compared("trunk")
    assert "first commit" in made.base.fault and made.base.commit == ""
    assert verdict(made).kind == "cannot say"
    assert score(made).head is not None


def test_seed_variance_is_measured_of_experiments_and_of_combinations(inside: Path) -> None:
    branch(inside, "seeds")
    set_params(inside, {"combinations": {"context": CONTEXT}})
    commit(inside, "a combination")
    measure(3)
    table = load_noise(inside, "sample")
    assert set(table) == {"", EXPERIMENT, "context"}
    for name in (EXPERIMENT, "context"):
        spread = table[name].of("validation", "score")
        assert table[name].kind == "measured" and spread is not None and spread.degrees == 2.0
    git(inside, "checkout", "-q", "--", "benchmarks")
