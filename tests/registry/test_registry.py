"""Promotion, rollback, their records, and the listings of models."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.registry import service_record
from auscult.registry.outputs import registered_name
from auscult.registry.promotion import history, overview, promote, retire, roll_back
from auscult.registry.restoring import restore
from auscult.registry.versions import BEFORE, REASON, RESTORED, ROLLED_BACK, RULE, SINCE, Registry, champion_folder
from tests.flows.registries import DATASET, EXPERIMENT, fill, in_service
from tests.flows.repositories import git

ROOT = Path(__file__).resolve().parents[2]
BETTER = {"rule": "better", "reason": "score +0.1"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("my data ü")
    fill(root)
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(filled / "mlflow.db", tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(registry: Registry, number: str) -> None:
    registry.promote(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, number), BETTER)


def test_nothing_is_in_service_before_a_promotion(root: Path) -> None:
    assert in_service(Registry(root)) is None
    assert champion_folder(DATASET, EXPERIMENT, root) is None
    assert all(each.champion is None for each in overview().experiments)
    assert "abnormal_logmel_cnn2d: nothing in service" in str(overview())


def test_a_promotion_records_the_previous_champion_the_time_and_the_reason(root: Path) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")
    champion = registry.champion(DATASET, EXPERIMENT)
    assert champion is not None and champion.number == "2"
    assert {name: champion.tags[name] for name in (BEFORE, RULE, REASON)} == {
        BEFORE: "1",
        RULE: "better",
        REASON: "score +0.1",
    }
    assert champion.tags[SINCE].endswith("UTC")
    folder = champion_folder(DATASET, EXPERIMENT, root)
    assert folder is not None and (folder / "model.json").exists()
    listed = {each.experiment: each for each in overview().experiments}[EXPERIMENT]
    assert listed.champion is not None and listed.challenger is None
    assert (listed.champion.number, listed.champion.rule) == ("2", "better")
    assert json.loads(json.dumps(asdict(overview())))["dataset"] == DATASET


def test_promoting_twice_keeps_the_previous_champion(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "2", "2"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "1"


def test_rollbacks_go_back_one_by_one_and_mark_the_versions(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "3", "2"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "3"
    assert "it misses stridor" in registry.version(DATASET, EXPERIMENT, "2").tags[ROLLED_BACK]
    roll_back(EXPERIMENT, "so does this")
    assert in_service(registry) == "1"
    with pytest.raises(AuscultError, match="no earlier champion"):
        roll_back(EXPERIMENT, "and this")
    assert in_service(registry) == "1"


def test_a_rollback_never_restores_a_rolled_back_version(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "2", "1"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "2"
    with pytest.raises(AuscultError, match="no earlier champion"):
        roll_back(EXPERIMENT, "so does this")
    assert in_service(registry) == "2"


class Full(Exception):
    """The disk is full."""


def test_an_interrupted_promotion_has_its_reason_before_the_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")

    def full(*_: object) -> None:
        raise Full

    with monkeypatch.context() as patched:
        patched.setattr(registry.client, "set_model_version_tag", full)
        with pytest.raises(Full):
            put(registry, "3")
    assert in_service(registry) == "2"
    with monkeypatch.context() as patched:
        patched.setattr(registry.client, "set_registered_model_alias", full)
        with pytest.raises(Full):
            registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    assert ROLLED_BACK in registry.version(DATASET, EXPERIMENT, "2").tags
    registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "1"


def test_a_version_is_found_by_the_digest_of_its_files(root: Path) -> None:
    registry = Registry(root)
    assert registry.by_digest(DATASET, EXPERIMENT, "digest-2").number == "2"
    with pytest.raises(AuscultError, match="not in the registry"):
        registry.by_digest(DATASET, EXPERIMENT, "digest-9")


def test_a_manual_promotion_clears_the_mark_of_a_rollback(root: Path) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")
    roll_back(EXPERIMENT, "it misses stridor")
    promote(EXPERIMENT, "2", "it was the microphone")
    assert in_service(registry) == "2"
    tags = registry.version(DATASET, EXPERIMENT, "2").tags
    assert ROLLED_BACK not in tags
    assert (tags[RULE], tags[REASON]) == ("manual", "it was the microphone")


def test_a_manual_promotion_without_a_version_takes_the_challenger(root: Path) -> None:
    registry = Registry(root)
    with pytest.raises(AuscultError, match="no challenger") as error:
        promote(EXPERIMENT, None, "why not")
    assert "3, 2, 1" in str(error.value)
    registry.set_challenger(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "3"))
    assert {each.experiment: each.challenger for each in overview().experiments}[EXPERIMENT] == "3"
    assert "challenger: version 3" in str(overview())
    promote(EXPERIMENT, None, "why not")
    assert in_service(registry) == "3"
    assert "in service already" in promote(EXPERIMENT, None, "again")
    assert "version 3 since" in str(overview()) and "challenger" not in str(overview())


def test_the_history_lists_each_version_with_its_time_in_service(root: Path) -> None:
    registry = Registry(root)
    assert [(each.number, each.served_since, each.rule) for each in history(EXPERIMENT)] == [
        ("3", None, ""),
        ("2", None, ""),
        ("1", None, ""),
    ]
    for number in ("1", "2", "3"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    three, two, one = history(EXPERIMENT)
    assert all(each.created.endswith("UTC") and each.rule == "better" for each in (one, two, three))
    assert (one.served_until, one.rolled_back) == (two.served_since, "")
    assert two.served_since is not None and two.served_until is None, "it is in service again"
    assert three.served_until is not None and three.served_until.endswith("UTC")
    assert three.rolled_back == f"{three.served_until}: it misses stridor"
    with pytest.raises(AuscultError):
        history("abnormal")


def test_tags_of_earlier_versions_are_read(root: Path) -> None:
    registry = Registry(root)
    version = registry.version(DATASET, EXPERIMENT, "1")
    registry.promote(DATASET, EXPERIMENT, version, {"rule": "by_hand", "reason": "why not"})
    registry.client.set_model_version_tag(
        registered_name(DATASET, EXPERIMENT), "2", "auscult.withdrawn", "2026-01-01 00:00 UTC: noise"
    )
    one, two = (next(each for each in history(EXPERIMENT) if each.number == number) for number in ("1", "2"))
    assert (one.rule, two.rolled_back) == ("manual", "2026-01-01 00:00 UTC: noise")
    assert "manual: why not" in str(overview())


def test_a_rollback_shows_when_and_why_the_restored_version_serves_again(root: Path) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")
    roll_back(EXPERIMENT, "it misses stridor")
    (listed,) = [each for each in overview().experiments if each.experiment == EXPERIMENT]
    two = next(each for each in history(EXPERIMENT) if each.number == "2")
    time = two.rolled_back.partition(": ")[0]
    assert listed.champion is not None and listed.champion.number == "1"
    assert listed.champion.restored == f"{time}: version 2 was rolled back: it misses stridor"
    assert listed.champion.restored in str(overview()) and listed.champion.restored in str(listed.champion)
    put(registry, "3")
    put(registry, "1")
    assert RESTORED not in registry.version(DATASET, EXPERIMENT, "1").tags, "that was an earlier time in service"


def test_a_first_champion_is_retired_with_its_time_and_reason(root: Path) -> None:
    registry = Registry(root)
    with pytest.raises(AuscultError, match="nothing is in service"):
        retire(EXPERIMENT, "it misses stridor")
    put(registry, "1")
    with pytest.raises(AuscultError) as caught:
        roll_back(EXPERIMENT, "it misses stridor")
    assert f"auscult models retire {EXPERIMENT}" in caught.value.next_step
    retire(EXPERIMENT, "it misses stridor")
    assert in_service(registry) is None and champion_folder(DATASET, EXPERIMENT, root) is None
    one = history(EXPERIMENT)[-1]
    assert one.served_until is not None and one.rolled_back == f"{one.served_until}: it misses stridor"
    assert one.rolled_back in str(overview())
    promote(EXPERIMENT, "1", "it was the microphone")
    assert in_service(registry) == "1" and history(EXPERIMENT)[-1].rolled_back == ""


@pytest.mark.parametrize(("outcome", "mentioned"), [("refuse", True), ("undecided", True), ("promote", False)])
def test_promote_mentions_what_the_gate_decided_last(root: Path, outcome: str, mentioned: bool) -> None:
    registry = Registry(root)
    version = registry.version(DATASET, EXPERIMENT, "2")
    kept = root / f"kept-{outcome}"
    for run, said in (("retrain-2026-11-21-0300-a", "promote"), ("retrain-2026-11-22-0300-b", outcome)):
        record = {"outcome": said, "reason": "recall of both is 0.05", "run": run}
        (kept / run).mkdir(parents=True)
        (kept / run / "decision.json").write_text(json.dumps(record))
        registry.client.log_artifacts(version.run_id, str(kept / run), f"decision/{run}")
    said = promote(EXPERIMENT, "2", "the clinic wants it")
    assert in_service(registry) == "2"
    assert ("recall of both is 0.05" in said) == mentioned and ("retrain-2026-11-22-0300-b" in said) == mentioned


@pytest.fixture
def repository(root: Path) -> Path:
    git(root, "init", "-q", "-b", "main")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "start")
    return root


def test_every_change_of_what_serves_is_recorded_in_git_beside_the_branches(repository: Path) -> None:
    registry, head = Registry(repository), git(repository, "show-ref", "--heads")

    def recorded() -> str | None:
        found = service_record.champion(repository, DATASET, EXPERIMENT)
        return found["digest"] if found is not None else None

    for number in ("1", "2"):
        promote(EXPERIMENT, number, "why not")
        assert recorded() == f"digest-{number}"
    roll_back(EXPERIMENT, "it misses stridor")
    assert recorded() == "digest-1"
    retire(EXPERIMENT, "so does this")
    assert recorded() is None and not service_record.exists(repository)
    put(registry, "3")
    assert recorded() == "digest-3" and service_record.exists(repository)
    git(repository, "update-ref", "-d", f"refs/auscult/service/{DATASET}")  # as if killed before the record
    put(registry, "3")
    assert recorded() == "digest-3"
    assert git(repository, "show-ref", "--heads") == head
    assert git(repository, "rev-list", "--all").count("\n") == 0


def test_a_lost_registry_gets_its_champion_and_its_marks_back(repository: Path) -> None:
    for number in ("1", "3", "2"):
        put(Registry(repository), number)
    roll_back(EXPERIMENT, "it misses stridor")
    before = history(EXPERIMENT)
    place = repository / "mlflow.db"
    away = place.rename(repository / "mlflow.db.away")
    with pytest.raises(AuscultError) as caught:
        overview()
    assert caught.value.next_step == "auscult models restore"
    away.rename(place)
    with closing(sqlite3.connect(place)) as database:  # the same models, as if registered anew
        database.execute("delete from registered_model_aliases")
        database.execute("delete from model_version_tags where key != 'auscult.model'")
        database.commit()
    assert "git records version 3" in str(overview())
    with pytest.raises(AuscultError, match="git records"):
        Registry(repository).check_recorded(DATASET, EXPERIMENT)
    told: list[str] = []
    restore(told.append, repository)
    assert in_service(Registry(repository)) == "3" and len(told) == 1
    assert history(EXPERIMENT) == before
    Registry(repository).check_recorded(DATASET, EXPERIMENT)
    roll_back(EXPERIMENT, "so does this")
    assert in_service(Registry(repository)) == "1", "the order of the champions is known again"
    restore(told.append, repository)
    assert in_service(Registry(repository)) == "1"


def test_a_model_whose_alias_was_removed_in_mlflow_can_be_retired(repository: Path) -> None:
    registry = Registry(repository)
    put(registry, "1")
    registry.client.delete_registered_model_alias(registered_name(DATASET, EXPERIMENT), "champion")
    with pytest.raises(AuscultError, match="git records"):
        registry.check_recorded(DATASET, EXPERIMENT)
    retire(EXPERIMENT, "it misses stridor")
    registry.check_recorded(DATASET, EXPERIMENT)


def test_without_a_record_a_restoration_is_refused(repository: Path) -> None:
    with pytest.raises(AuscultError, match="no record"):
        restore(print, repository)


@pytest.mark.parametrize(
    ("experiment", "version", "words"),
    [(EXPERIMENT, "9", "3, 2, 1"), ("abnormal", "1", "Did you mean")],
)
def test_an_unknown_version_or_experiment_is_refused_with_the_known_ones(
    root: Path, experiment: str, version: str, words: str
) -> None:
    with pytest.raises(AuscultError) as error:
        promote(experiment, version, "why not")
    assert words in str(error.value)
    assert in_service(Registry(root)) is None


def test_a_missing_registry_is_an_error_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(AuscultError) as caught:
        Registry(tmp_path)
    assert "auscult run" in caught.value.next_step


def test_the_record_of_a_decision_is_stored_with_the_model(root: Path) -> None:
    from mlflow.tracking import MlflowClient

    registry = Registry(root)
    version = registry.version(DATASET, EXPERIMENT, "2")
    folder = root / "reports/decisions/retrain-1"
    folder.mkdir(parents=True)
    (folder / "decision.json").write_text(json.dumps({"outcome": "refuse"}))
    registry.keep_record(version, folder)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    kept = MlflowClient(uri, uri).list_artifacts(version.run_id, "decision/retrain-1")
    assert [each.path for each in kept] == ["decision/retrain-1/decision.json"]
