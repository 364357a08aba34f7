"""Lineage of models and data, and every way in which MLflow and DVC can disagree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.curation.lineage.formats import text, to_json
from auscult.curation.lineage.lineage import Traced, trace
from auscult.versioning import lockfile
from tests.curation.lineage_repository import EXPERIMENT, OTHER, REPOSITORY, LineageRepository, hash_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def repository(tmp_path: Path, store: Path) -> LineageRepository:
    return LineageRepository(tmp_path / "my project ü", store)


def disagreements(traced: Traced) -> str:
    """Return the disagreements as one string; there must be some."""
    assert traced.disagreements
    return "\n".join(traced.disagreements)


def test_trace_of_a_model_returns_its_run_its_data_and_the_commits_with_both(repository: LineageRepository) -> None:
    first = repository.lock("first", sounds_logmel_cnn2d=("one", "june"))
    second = repository.lock(
        "other stages changed", sounds_logmel_cnn2d=("one", "june"), abnormal_logmel_cnn2d=("x", "y")
    )
    repository.lock("second", sounds_logmel_cnn2d=("two", "july"))
    run = repository.register("one", "june", score=0.75)
    repository.register("two", "july")
    repository.alias("champion", "1")
    for asked in (f"{EXPERIMENT}:1", f"{EXPERIMENT}:champion", "champion", f"auscult-sample-{EXPERIMENT}:1"):
        (one,) = trace(repository.root, asked).models
        assert [commit.sha for commit in one.commits] == [second, first]
        assert one.model.runs[0].run_id == run
        assert one.model.runs[0].data_hash == hash_of("june")
        assert one.here == "another model"
        assert one.disagreements == ()
    both = trace(repository.root, EXPERIMENT)
    assert [one.model.number for one in both.models] == ["2", "1"]
    assert both.models[0].here == "this model"
    printed = text(both)
    assert "version 1 (champion)" in printed and "validation 75.0" in printed and "MLflow and DVC agree." in printed


def test_trace_of_a_revision_returns_the_models_trained_on_its_data(repository: LineageRepository) -> None:
    june = repository.lock("june", sounds_logmel_cnn2d=("one", "june"), abnormal_logmel_cnn2d=("three", "june"))
    repository.git("tag", "data/sample/june")
    repository.lock("july", sounds_logmel_cnn2d=("two", "july"))
    repository.register("one", "june")
    repository.register("refused", "june")
    repository.register("two", "july")
    repository.alias("champion", "1")
    for asked in (june, june[:9], "data/sample/june", "HEAD~1"):
        (one,) = trace(repository.root, asked).data
        models = {each.experiment: [(m.number, m.aliases) for m in each.versions] for each in one.trained}
        assert models == {EXPERIMENT: [("2", ()), ("1", ("champion",))], OTHER: []}
        assert one.disagreements == ()
    answer = to_json(trace(repository.root, "HEAD"))
    assert answer["agree"] is True
    assert [model["version"] for model in answer["data"][0]["trained"][0]["models"]] == ["3"]


def test_trace_finds_a_version_of_the_data_by_name_and_digest(repository: LineageRepository) -> None:
    repository.lock("june", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("one", "june"))
    repository.lock("features changed", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("two", "june, other features"))
    repository.lock("july", version="cccccccc", sounds_logmel_cnn2d=("three", "july"))
    repository.register("one", "june", version="sample-aaaaaaaa")
    repository.register("two", "june, other features", version="sample-aaaaaaaa")
    for asked in ("sample-aaaaaaaa", "aaaaaaaabb"):
        traced = trace(repository.root, asked)
        assert {m.number for one in traced.data for each in one.trained for m in each.versions} == {"1", "2"}
        assert traced.disagreements == []
    assert to_json(traced)["data"][0]["counts"] == {"recordings": 7, "patients": 3}
    assert "7 recordings, 3 patients" in text(traced)


def test_after_a_partial_run_no_model_is_of_the_new_version(repository: LineageRepository) -> None:
    """``data add``, ``dvc repro describe``, commit: the trainings in the lock are of the version before."""
    trained = {EXPERIMENT: ("one", "june"), OTHER: ("two", "june")}
    june = repository.lock("june", version="aaaaaaaabbbb", described="june", **trained)
    july = repository.lock("july, described only", version="cccccccc", described="july", **trained)
    for experiment, (model, data) in trained.items():
        repository.register(model, data, experiment=experiment, version="sample-aaaaaaaa")
    for asked in ("sample-cccccccc", july):
        traced = trace(repository.root, asked)
        assert [(one.trained, {*one.not_trained}) for one in traced.data] == [((), {EXPERIMENT, OTHER})]
        assert {*to_json(traced)["data"][0]["not_trained"]} == {EXPERIMENT, OTHER}
        assert EXPERIMENT in text(traced)
    for asked in ("sample-aaaaaaaa", june):
        traced = trace(repository.root, asked)
        assert [m.number for each in traced.data[0].trained for m in each.versions] == ["1", "1"]
        assert traced.data[0].not_trained == () and traced.disagreements == []
    (one,) = trace(repository.root, EXPERIMENT).models
    assert [commit.sha for commit in one.commits] == [june]
    assert one.disagreements == (), "version.json of the partial run names other data, as it should"
    mixed = {EXPERIMENT: ("three", "july"), OTHER: ("two", "june")}
    repository.lock("one of two trained", version="cccccccc", described="july", **mixed)
    repository.register("three", "july", version="sample-cccccccc")
    newest = trace(repository.root, "HEAD").data[0]
    assert [(each.experiment, [m.number for m in each.versions]) for each in newest.trained] == [(EXPERIMENT, ["2"])]
    assert newest.not_trained == (OTHER,)


def test_different_data_in_mlflow_and_the_lock_is_a_disagreement_both_ways(repository: LineageRepository) -> None:
    commit = repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.lock("july", sounds_logmel_cnn2d=("two", "july"))
    repository.register("one", "july")
    words = disagreements(trace(repository.root, f"{EXPERIMENT}:1"))
    assert f"MLflow says that auscult-sample-{EXPERIMENT} version 1 was trained on data {hash_of('july')[:12]}" in words
    assert f"dvc.lock at {commit[:10]}" in words and f"says {hash_of('june')[:12]}" in words
    assert disagreements(trace(repository.root, commit)) in words.splitlines()


def test_a_model_without_a_commit_is_a_disagreement(repository: LineageRepository) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("refused", "june")
    assert "no commit's dvc.lock has auscult-sample-" in disagreements(trace(repository.root, EXPERIMENT))
    repository.lock("", commit=False, sounds_logmel_cnn2d=("refused", "june"))
    assert "only the workspace's dvc.lock: git commit dvc.lock" in disagreements(trace(repository.root, EXPERIMENT))
    repository.lock("committed", sounds_logmel_cnn2d=("refused", "june"))
    assert trace(repository.root, EXPERIMENT).disagreements == []


def test_a_run_whose_data_no_commit_has_is_a_disagreement(repository: LineageRepository) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "june")
    assert trace(repository.root, EXPERIMENT).disagreements == []
    repository.register("one", "somebody's desk")  # the same files, made a second time
    words = disagreements(trace(repository.root, EXPERIMENT))
    assert f"no commit's dvc.lock has the data {hash_of('somebody' + chr(39) + 's desk')[:12]}" in words
    repository.lock("the desk is tidied", sounds_logmel_cnn2d=("one", "somebody's desk"))
    assert trace(repository.root, EXPERIMENT).disagreements == []


def test_another_name_for_the_same_data_is_a_disagreement(repository: LineageRepository) -> None:
    repository.lock("june", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "june", version="sample-ffffffff")
    words = disagreements(trace(repository.root, EXPERIMENT))
    assert "MLflow names sample-ffffffff" in words and "says sample-aaaaaaaa" in words


def test_a_deleted_run_and_changed_files_are_disagreements(repository: LineageRepository) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    run = repository.register("one", "june")
    (repository.package("one") / f"artifacts/{EXPERIMENT}/model.json").write_text("another")
    assert "are not those that were registered" in disagreements(trace(repository.root, EXPERIMENT))
    repository.client.delete_run(run)
    assert "is not in MLflow any more" in disagreements(trace(repository.root, EXPERIMENT))


@pytest.mark.parametrize("where", ["branch", "remote"])
def test_trace_finds_a_published_retraining_on_its_branch(repository: LineageRepository, where: str) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.git("checkout", "-q", "-b", "retrain/2026-07-01")
    commit = repository.lock("retrain: promoted", sounds_logmel_cnn2d=("two", "july"))
    repository.git("push", "-q", "origin", "retrain/2026-07-01")
    repository.git("checkout", "-q", "main")
    if where == "remote":
        repository.git("branch", "-D", "retrain/2026-07-01")
    repository.register("two", "july")
    traced = trace(repository.root, EXPERIMENT)
    assert [one.sha for one in traced.models[0].commits] == [commit]
    assert traced.disagreements == []


def test_trace_finds_a_model_without_tags_by_its_files(repository: LineageRepository) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "june", tagged=False)
    assert trace(repository.root, EXPERIMENT).disagreements == []
    shutil.rmtree(repository.package("one"))
    assert "its files are gone, and no tag has their checksum" in disagreements(trace(repository.root, EXPERIMENT))


def test_trace_finds_a_model_without_files_by_its_tag(repository: LineageRepository) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "june")
    shutil.rmtree(repository.package("one"))
    assert trace(repository.root, EXPERIMENT).disagreements == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("sounds_logmel_cnn2", r"did you mean 'sounds_logmel_cnn2d'"),
        (f"{EXPERIMENT}:9", r"versions: 1"),
        ("challenger", r"challenger"),
        ("sample-00000000", r"sample-00000000"),
        ("HEAD~1", r"there is no dvc.lock at HEAD~1"),
    ],
)
def test_trace_refuses_an_unknown_name_and_suggests_known_ones(
    repository: LineageRepository, asked: str, words: str
) -> None:
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "june")
    with pytest.raises(AuscultError, match=words):
        trace(repository.root, asked)


def test_lineage_command_ends_with_1_on_a_disagreement(repository: LineageRepository) -> None:
    shutil.copy2(REPOSITORY / "dvc.yaml", repository.root / "dvc.yaml")
    repository.lock("june", sounds_logmel_cnn2d=("one", "june"))
    repository.register("one", "july")
    command = [sys.executable, "-m", "auscult", "data", "lineage", EXPERIMENT, "--json"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=repository.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["agree"] is False and len(answer["disagreements"]) == 2


def test_chosen_stages_equal_those_of_the_whole_lock() -> None:
    lock = (REPOSITORY / "dvc.lock").read_text(encoding="utf-8")
    whole = lockfile.stages(lock)
    assert len(whole) > 20
    assert lockfile.chosen_stages(lock, [*whole, "train@nothing"]) == whole


def test_trace_reports_a_damaged_lock_in_the_history_and_reads_the_others(repository: LineageRepository) -> None:
    repository.lock("june", **{EXPERIMENT: ("model", "june")})
    repository.register("model", "june")
    lock = repository.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("deps:", "<<<<<<< HEAD\n    deps:"))
    repository.git("commit", "-q", "-a", "-m", "in the middle")
    with pytest.raises(AuscultError, match=r"dvc\.lock is damaged"):
        trace(repository.root, "HEAD")
    (model,) = trace(repository.root, EXPERIMENT).models
    assert [commit.subject for commit in model.commits] == ["june"]
