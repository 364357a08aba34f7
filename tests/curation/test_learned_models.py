"""Models that learned from a patient are removed from MLflow with rows, trials and artifacts; others are kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from auscult.core.digests import patient_key
from auscult.core.errors import AuscultError
from auscult.core.paths import ARTIFACTS, DATABASE, Paths
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.learned_models import Tracked, in_workspace, remove, tracked
from auscult.curation.withdrawals.purge import _check_service
from auscult.datasets import load
from auscult.registry import service_record
from auscult.registry.versions import Registry
from tests.flows.registries import DATASET, EXPERIMENT, fill, in_service
from tests.flows.repositories import git

KEY = patient_key(DATASET, "101")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, the second of which has learned from the patient and has a trial; a deleted run of other data."""
    root = tmp_path_factory.mktemp("registry")
    registry = fill(root)
    for version in registry.versions(DATASET, EXPERIMENT):
        met = [KEY] if version.number == "2" else ["0123456789abcdef"]
        (version.folder / "model.json").write_text(json.dumps({"learned_from": met}))
    client, second = registry.client, registry.version(DATASET, EXPERIMENT, "2")
    experiment = client.get_run(second.run_id).info.experiment_id
    trial = client.create_run(experiment, tags={"mlflow.parentRunId": second.run_id}, run_name="a trial of this model")
    client.log_param(trial.info.run_id, "learning_rate", "0.0123")
    client.log_text(second.run_id, "of this model", "note.txt")
    elsewhere = client.create_run(client.create_experiment("another data set")).info.run_id
    client.delete_run(elsewhere)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it. MLflow records absolute paths, so that in the copy they lead into the original."""
    return Path(shutil.copytree(made, tmp_path / "root"))


def rows(root: Path, table: str) -> int:
    with sqlite3.connect(root / DATABASE) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


def tracked_models(root: Path) -> Tracked:
    return tracked(DATASET, {KEY}, root)


def test_remove_deletes_versions_runs_and_trials_with_rows_and_artifacts(root: Path) -> None:
    found = tracked_models(root)
    assert [each.version.number for each in found.versions] == ["2"] and len(found.runs) == 2
    runs = rows(root, "runs")
    assert remove(found, DATASET, root) == []
    assert rows(root, "runs") == runs - 2, "another data set's run stays in MLflow's bin"
    assert [version.number for version in Registry(root).versions(DATASET, EXPERIMENT)] == ["3", "1"]
    content = (root / DATABASE).read_bytes()
    assert b"a trial of this model" not in content and b"0.0123" not in content
    assert not list((root / ARTIFACTS).rglob("note.txt"))
    assert not tracked_models(root)


def test_git_no_longer_records_a_model_in_service_that_was_removed(root: Path) -> None:
    git(root, "init", "-q")
    registry = Registry(root)
    registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "2"), {"rule": "manual", "reason": "x"})
    assert service_record.exists(root)
    assert remove(tracked_models(root), DATASET, root) == []
    assert not service_record.exists(root)
    registry.check_recorded(DATASET, EXPERIMENT)


def test_remove_after_a_kill_before_the_version_finds_it_again(root: Path) -> None:
    found = tracked_models(root)
    remove(Tracked([], found.runs, found.models), DATASET, root)
    again = tracked_models(root)
    assert [each.version.number for each in again.versions] == ["2"] and again.runs == []
    assert remove(again, DATASET, root) == [] and not tracked_models(root)


def test_remove_in_a_copied_repository_keeps_the_originals_artifacts(made: Path, root: Path) -> None:
    assert remove(tracked_models(root), DATASET, root) == []
    assert not list((root / ARTIFACTS).rglob("note.txt")) and list((made / ARTIFACTS).rglob("note.txt"))


def test_remove_reports_artifacts_elsewhere_and_keeps_their_version(root: Path, tmp_path: Path) -> None:
    with sqlite3.connect(root / DATABASE) as connection:
        (tmp_path / "bucket").mkdir()
        connection.execute("update runs set artifact_uri = ?", [(tmp_path / "bucket").as_uri()])
    outside = remove(tracked_models(root), DATASET, root)
    assert len(outside) == 2 and "bucket" in outside[0]
    assert [each.version.number for each in tracked_models(root).versions] == ["2"]


def test_purge_refuses_a_model_in_service_unless_it_is_retired(root: Path) -> None:
    registry, table = Registry(root), Withdrawals(DATASET, {KEY: "2026-11-25"})
    decision = {"rule": "manual", "reason": "why not"}
    for number in ("1", "2"):
        registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, number), decision)
    with pytest.raises(AuscultError, match=rf"in service has learned.*: {EXPERIMENT} \(version 2\)") as caught:
        _check_service(load(DATASET), table, root, retire=False)
    assert "retrain" in caught.value.next_step and "--retire" in caught.value.next_step
    _check_service(load(DATASET), table, root, retire=True)
    remove(tracked_models(root), DATASET, root)
    assert in_service(registry) is None
    registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "3"), decision)
    _check_service(load(DATASET), table, root, retire=False)
    with pytest.raises(AuscultError, match="no earlier champion"):
        registry.roll_back(DATASET, EXPERIMENT, "and back")


def test_rollback_stops_at_a_removed_champion(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "2", "3"):
        version = registry.version(DATASET, EXPERIMENT, number)
        registry.promote(DATASET, EXPERIMENT, version, {"rule": "manual", "reason": "why not"})
    remove(tracked_models(root), DATASET, root)
    with pytest.raises(AuscultError, match="no earlier champion") as caught:
        registry.roll_back(DATASET, EXPERIMENT, "worse")
    assert "promote" in caught.value.next_step and in_service(registry) == "3"


def test_models_in_the_workspace_that_learned_from_a_patient_are_named_with_combinations_of_them(
    tmp_path: Path,
) -> None:
    paths = Paths(DATASET)
    places = [paths.model("own"), paths.model("other"), paths.all_combined / "mixed", Paths("another").model("own")]
    for place, met in zip(places, ([KEY], ["0123456789abcdef"], [KEY, "0123456789abcdef"], [KEY]), strict=True):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "model.json").write_text(json.dumps({"learned_from": met}))
    assert in_workspace(DATASET, {KEY}, tmp_path) == ["own", "mixed"]
