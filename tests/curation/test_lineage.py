"""Which data made which model: both ways, and every way in which MLflow and DVC can disagree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.curation.lineage.answer import text, to_json
from auscult.curation.lineage.history import entries
from auscult.curation.lineage.tracing import Traced, trace
from auscult.versioning.lockfile import stages as all_stages
from tests.curation.histories import EXPERIMENT, OTHER, REPOSITORY, Clinic, hash_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without anything in it."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def clinic(tmp_path: Path, store: Path) -> Clinic:
    return Clinic(tmp_path / "my clinic ü", store)


def said(traced: Traced) -> str:
    """The disagreements in one string; there are some."""
    assert traced.disagreements
    return "\n".join(traced.disagreements)


def test_a_model_names_its_run_its_data_and_the_commits_that_have_both(clinic: Clinic) -> None:
    first = clinic.lock("first", sounds_logmel_cnn2d=("one", "june"))
    second = clinic.lock("other stages changed", sounds_logmel_cnn2d=("one", "june"), abnormal_logmel_cnn2d=("x", "y"))
    clinic.lock("second", sounds_logmel_cnn2d=("two", "july"))
    run = clinic.register("one", "june", score=0.75)
    clinic.register("two", "july")
    clinic.alias("champion", "1")
    for asked in (f"{EXPERIMENT}:1", f"{EXPERIMENT}:champion", "champion", f"auscult-sample-{EXPERIMENT}:1"):
        (one,) = trace(clinic.root, asked).models
        assert [commit.sha for commit in one.commits] == [second, first]
        assert one.model.runs[0].run_id == run
        assert one.model.runs[0].data_hash == hash_of("june")
        assert one.here == "another model"
        assert one.disagreements == ()
    both = trace(clinic.root, EXPERIMENT)
    assert [one.model.number for one in both.models] == ["2", "1"]
    assert both.models[0].here == "this model"
    printed = text(clinic.root, both)
    assert "version 1 (champion)" in printed and "validation 75.0" in printed and "MLflow and DVC agree." in printed


def test_data_name_the_models_that_were_trained_on_them(clinic: Clinic) -> None:
    june = clinic.lock("june", sounds_logmel_cnn2d=("one", "june"), abnormal_logmel_cnn2d=("three", "june"))
    clinic.git("tag", "data/sample/june")
    clinic.lock("july", sounds_logmel_cnn2d=("two", "july"))
    clinic.register("one", "june")
    clinic.register("refused", "june")
    clinic.register("two", "july")
    clinic.alias("champion", "1")
    for asked in (june, june[:9], "data/sample/june", "HEAD~1"):
        (one,) = trace(clinic.root, asked).data
        models = {each.experiment: [(m.number, m.aliases) for m in each.versions] for each in one.trained}
        assert models == {EXPERIMENT: [("2", ()), ("1", ("champion",))], OTHER: []}
        assert one.disagreements == ()
    answer = to_json(clinic.root, trace(clinic.root, "HEAD"))
    assert answer["agree"] is True
    assert [model["version"] for model in answer["data"][0]["trained"][0]["models"]] == ["3"]


def test_a_version_of_the_data_is_found_by_its_name_and_its_hash(clinic: Clinic) -> None:
    clinic.lock("june", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("one", "june"))
    clinic.lock("features changed", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("two", "june, other features"))
    clinic.lock("july", version="cccccccc", sounds_logmel_cnn2d=("three", "july"))
    clinic.register("one", "june", version="sample-aaaaaaaa")
    clinic.register("two", "june, other features", version="sample-aaaaaaaa")
    for asked in ("sample-aaaaaaaa", "aaaaaaaabb"):
        traced = trace(clinic.root, asked)
        assert {m.number for one in traced.data for each in one.trained for m in each.versions} == {"1", "2"}
        assert traced.disagreements == []
    assert to_json(clinic.root, traced)["data"][0]["counts"] == {"recordings": 7, "patients": 3}
    assert "7 recordings, 3 patients" in text(clinic.root, traced)


def test_other_data_in_mlflow_than_in_the_lock_is_said_from_both_ends(clinic: Clinic) -> None:
    commit = clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.lock("july", sounds_logmel_cnn2d=("two", "july"))
    clinic.register("one", "july")
    words = said(trace(clinic.root, f"{EXPERIMENT}:1"))
    assert f"MLflow says that auscult-sample-{EXPERIMENT} version 1 was trained on data {hash_of('july')[:12]}" in words
    assert f"dvc.lock at {commit[:10]}" in words and f"says {hash_of('june')[:12]}" in words
    assert f"MLflow says {hash_of('july')[:12]}" in said(trace(clinic.root, commit))


def test_a_model_that_no_commit_knows_is_said(clinic: Clinic) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("refused", "june")
    assert "no commit's dvc.lock has auscult-sample-" in said(trace(clinic.root, EXPERIMENT))
    clinic.lock("", commit=False, sounds_logmel_cnn2d=("refused", "june"))
    assert "only the workspace's dvc.lock: git commit dvc.lock" in said(trace(clinic.root, EXPERIMENT))
    clinic.lock("committed", sounds_logmel_cnn2d=("refused", "june"))
    assert trace(clinic.root, EXPERIMENT).disagreements == []


def test_a_run_whose_data_no_commit_knows_is_said(clinic: Clinic) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "june")
    assert trace(clinic.root, EXPERIMENT).disagreements == []
    clinic.register("one", "somebody's desk")  # the same files, made a second time
    words = said(trace(clinic.root, EXPERIMENT))
    assert f"no commit's dvc.lock has the data {hash_of('somebody' + chr(39) + 's desk')[:12]}" in words
    clinic.lock("the desk is tidied", sounds_logmel_cnn2d=("one", "somebody's desk"))
    assert trace(clinic.root, EXPERIMENT).disagreements == []


def test_another_name_for_the_same_data_is_said(clinic: Clinic) -> None:
    clinic.lock("june", version="aaaaaaaabbbb", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "june", version="sample-ffffffff")
    words = said(trace(clinic.root, EXPERIMENT))
    assert "MLflow names sample-ffffffff" in words and "says sample-aaaaaaaa" in words


def test_a_run_that_was_deleted_and_files_that_were_changed_are_said(clinic: Clinic) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    run = clinic.register("one", "june")
    (clinic.package("one") / f"artifacts/{EXPERIMENT}/model.json").write_text("another")
    assert "are not those that were registered" in said(trace(clinic.root, EXPERIMENT))
    clinic.client.delete_run(run)
    assert "is not in MLflow any more" in said(trace(clinic.root, EXPERIMENT))


@pytest.mark.parametrize("where", ["branch", "remote"])
def test_a_retraining_that_was_handed_over_is_found_on_its_branch(clinic: Clinic, where: str) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.git("checkout", "-q", "-b", "retrain/2026-07-01")
    commit = clinic.lock("retrain: promoted", sounds_logmel_cnn2d=("two", "july"))
    clinic.git("push", "-q", "origin", "retrain/2026-07-01")
    clinic.git("checkout", "-q", "main")
    if where == "remote":
        clinic.git("branch", "-D", "retrain/2026-07-01")
    clinic.register("two", "july")
    traced = trace(clinic.root, EXPERIMENT)
    assert [one.sha for one in traced.models[0].commits] == [commit]
    assert traced.disagreements == []


def test_models_of_before_there_were_tags_are_traced_by_their_files(clinic: Clinic) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "june", tagged=False)
    assert trace(clinic.root, EXPERIMENT).disagreements == []
    shutil.rmtree(clinic.package("one"))
    assert "its files are gone, and no tag has their checksum" in said(trace(clinic.root, EXPERIMENT))


def test_a_model_whose_files_were_cleared_is_traced_by_its_tag(clinic: Clinic) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "june")
    shutil.rmtree(clinic.package("one"))
    assert trace(clinic.root, EXPERIMENT).disagreements == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("sounds_logmel_cnn2", r"did you mean 'sounds_logmel_cnn2d'"),
        (f"{EXPERIMENT}:9", r"versions: 1"),
        ("challenger", r"no model is challenger"),
        ("sample-00000000", r"no registered model, no version of the data and no revision"),
        ("HEAD~1", r"there is no dvc.lock at HEAD~1"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(clinic: Clinic, asked: str, words: str) -> None:
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "june")
    with pytest.raises(AuscultError, match=words):
        trace(clinic.root, asked)


def test_the_command_ends_with_1_where_they_disagree(clinic: Clinic) -> None:
    shutil.copy2(REPOSITORY / "dvc.yaml", clinic.root / "dvc.yaml")
    clinic.lock("june", sounds_logmel_cnn2d=("one", "june"))
    clinic.register("one", "july")
    command = [sys.executable, "-m", "auscult", "data", "lineage", EXPERIMENT, "--json"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=clinic.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["agree"] is False and len(answer["disagreements"]) == 2


def test_stages_cut_out_of_a_lock_are_what_they_are_in_the_whole() -> None:
    lock = (REPOSITORY / "dvc.lock").read_text(encoding="utf-8")
    whole = all_stages(lock)
    assert len(whole) > 20
    assert entries(lock, [*whole, "train@nothing"]) == whole


def test_a_lock_that_was_committed_in_the_middle_of_a_merge_is_said_and_hides_no_other(clinic: Clinic) -> None:
    clinic.lock("june", **{EXPERIMENT: ("model", "june")})
    clinic.register("model", "june")
    lock = clinic.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("deps:", "<<<<<<< HEAD\n    deps:"))
    clinic.git("commit", "-q", "-a", "-m", "in the middle")
    with pytest.raises(AuscultError, match=r"dvc\.lock is damaged"):
        trace(clinic.root, "HEAD")
    (model,) = trace(clinic.root, EXPERIMENT).models
    assert [commit.subject for commit in model.commits] == ["june"]
