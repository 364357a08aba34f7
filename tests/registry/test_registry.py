"""Which model serves: promotion, rollback, and what is kept of both."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.registry.promotion import overview, promote, roll_back
from auscult.registry.versions import BEFORE, REASON, RULE, SINCE, WITHDRAWN, Registry, champion_folder
from tests.flows.registries import DATASET, EXPERIMENT, fill, in_service

ROOT = Path(__file__).resolve().parents[2]
BETTER = {"rule": "better", "reason": "score +0.1"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("my clinic ü")
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


def test_nothing_serves_before_somebody_is_promoted(root: Path) -> None:
    assert in_service(Registry(root)) is None
    assert champion_folder(DATASET, EXPERIMENT, root) is None
    assert "abnormal_logmel_cnn2d: nothing in service" in overview()


def test_a_promotion_says_who_came_before_since_when_and_why(root: Path) -> None:
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
    assert "version 2 since" in overview()


def test_promoting_twice_does_not_forget_who_came_before(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "2", "2"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "1"


def test_rollbacks_go_back_one_by_one_and_mark_what_they_withdraw(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "3", "2"):
        put(registry, number)
    assert "version 3 of abnormal_logmel_cnn2d (sample) is in service again" in roll_back(
        EXPERIMENT, "it misses stridor"
    )
    assert in_service(registry) == "3"
    assert "it misses stridor" in registry.version(DATASET, EXPERIMENT, "2").tags[WITHDRAWN]
    roll_back(EXPERIMENT, "so does this")
    assert in_service(registry) == "1"
    with pytest.raises(AuscultError, match="nothing was in service before it"):
        roll_back(EXPERIMENT, "and this")
    assert in_service(registry) == "1"


def test_rollbacks_never_restore_what_was_withdrawn(root: Path) -> None:
    registry = Registry(root)
    for number in ("1", "2", "1"):
        put(registry, number)
    roll_back(EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "2"
    with pytest.raises(AuscultError, match="nothing was in service before it that is not withdrawn"):
        roll_back(EXPERIMENT, "so does this")
    assert in_service(registry) == "2"


class Full(Exception):
    """The disk is full."""


def test_cut_off_in_between_the_reason_is_there_before_the_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")

    def full(*_: object) -> None:
        raise Full

    with monkeypatch.context() as patched, pytest.raises(Full):
        patched.setattr(registry._client, "set_model_version_tag", full)
        put(registry, "3")
    assert in_service(registry) == "2"
    with monkeypatch.context() as patched, pytest.raises(Full):
        patched.setattr(registry._client, "set_registered_model_alias", full)
        registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    assert WITHDRAWN in registry.version(DATASET, EXPERIMENT, "2").tags
    registry.roll_back(DATASET, EXPERIMENT, "it misses stridor")
    assert in_service(registry) == "1"


def test_a_version_is_found_by_its_files(root: Path) -> None:
    registry = Registry(root)
    assert registry.by_digest(DATASET, EXPERIMENT, "digest-2").number == "2"
    with pytest.raises(AuscultError, match="not in the registry"):
        registry.by_digest(DATASET, EXPERIMENT, "digest-9")


def test_a_damaged_registry_is_not_taken_for_an_empty_one(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("drop table registered_model_aliases")
    with pytest.raises(Exception, match="registered_model_aliases"):
        Registry(root).champion(DATASET, EXPERIMENT)


def test_a_withdrawn_model_comes_back_by_hand_only_and_is_then_not_withdrawn(root: Path) -> None:
    registry = Registry(root)
    put(registry, "1")
    put(registry, "2")
    roll_back(EXPERIMENT, "it misses stridor")
    assert "version 2 of abnormal_logmel_cnn2d (sample) is in service instead of version 1" in promote(
        EXPERIMENT, "2", "it was the microphone"
    )
    tags = registry.version(DATASET, EXPERIMENT, "2").tags
    assert WITHDRAWN not in tags
    assert (tags[RULE], tags[REASON]) == ("by_hand", "it was the microphone")


def test_by_hand_the_challenger_is_meant_where_no_version_is_named(root: Path) -> None:
    registry = Registry(root)
    with pytest.raises(AuscultError, match="no challenger") as error:
        promote(EXPERIMENT, None, "why not")
    assert "versions: 3, 2, 1" in str(error.value)
    registry.put_up(DATASET, EXPERIMENT, registry.version(DATASET, EXPERIMENT, "3"))
    assert "challenger: version 3" in overview()
    promote(EXPERIMENT, None, "why not")
    assert in_service(registry) == "3"
    assert "in service already" in promote(EXPERIMENT, None, "again")
    assert "version 3 since" in overview() and "challenger" not in overview()


@pytest.mark.parametrize(
    ("experiment", "version", "words"),
    [(EXPERIMENT, "9", "has no version '9'; there are: 3, 2, 1"), ("abnormal", "1", "Did you mean")],
)
def test_what_is_not_there_is_refused_with_what_there_is(root: Path, experiment: str, version: str, words: str) -> None:
    with pytest.raises(AuscultError) as error:
        promote(experiment, version, "why not")
    assert words in str(error.value)
    assert in_service(Registry(root)) is None


def test_without_a_registry_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuscultError, match="no model registry here yet"):
        Registry(tmp_path)


def test_the_record_of_a_decision_lies_with_the_model(root: Path) -> None:
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
