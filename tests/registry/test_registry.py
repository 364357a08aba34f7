"""Promotion, rollback, their records, and the listings of models."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.registry.outputs import registered_name
from auscult.registry.promotion import history, overview, promote, roll_back
from auscult.registry.versions import BEFORE, REASON, ROLLED_BACK, RULE, SINCE, Registry, champion_folder
from tests.flows.registries import DATASET, EXPERIMENT, fill, in_service

ROOT = Path(__file__).resolve().parents[2]
BETTER = {"rule": "better", "reason": "score +0.1"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("my project ü")
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
    assert json.loads(json.dumps(overview().to_json()))["dataset"] == DATASET


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
        patched.setattr(registry._client, "set_model_version_tag", full)
        with pytest.raises(Full):
            put(registry, "3")
    assert in_service(registry) == "2"
    with monkeypatch.context() as patched:
        patched.setattr(registry._client, "set_registered_model_alias", full)
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


def test_a_damaged_registry_does_not_count_as_empty(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("drop table registered_model_aliases")
    with pytest.raises(Exception, match="registered_model_aliases"):
        Registry(root).champion(DATASET, EXPERIMENT)


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
