"""A registry that was lost is made again from git's record and history, and from DVC's cache or remote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.core.paths import Paths
from auscult.core.storage import read_json
from auscult.core.tasks import Task
from auscult.registry import service_record
from auscult.registry.outputs import digest_of_model
from auscult.registry.restoring import restore
from auscult.registry.versions import REASON, ROLLED_BACK, RULE, SINCE, Registry
from auscult.versioning import lockfile
from tests.curation.data_history import dvc
from tests.flows.repositories import git, make
from tests.training.described import choices

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT, FOLDER = "sounds_logmel_cnn2d", Paths("sample").model("sounds_logmel_cnn2d")
GRAPH = f"""
stages:
  train:
    foreach: [{EXPERIMENT}]
    do:
      cmd: train ${{item}}
      outs: [{FOLDER}/model.json, {FOLDER}/trials.json]
      plots: [{FOLDER}/history.csv]
"""


def write_model(root: Path, temperature: float) -> None:
    """Write what tracking reads of a model; it need not predict."""
    task = {"name": "sounds", "unit": "segment", "classes": ["normal", "wheeze"], "normal": "normal", "mapping": {}}
    about = {"task": task, "spec": {"representation": "logmel"}, "model": "cnn2d", "hyperparameters": {"filters": 8}}
    about |= choices(Task.from_json(task), temperature=temperature, offsets=[0.1, 0.0])
    about |= {"out_of_fold_score": 0.5, "folds": [{}]}
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(about))
    (folder / "trials.json").write_text(json.dumps({"best": 0, "trials": []}))
    (folder / "history.csv").write_text("fold,epoch,validation_score\n0,1,0.1\n")


def version(root: Path, temperature: float) -> dict[str, str]:
    """Commit a model and return what a record says of it."""
    write_model(root, temperature)
    dvc(root, "commit", "--quiet", "--force")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"temperature {temperature}")
    outs = lockfile.in_workspace(root)[f"train@{EXPERIMENT}"]["outs"]
    md5 = next(out["md5"] for out in outs if out["path"].endswith("model.json"))
    return {"digest": digest_of_model(root / FOLDER), "md5": md5}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make(tmp_path / "my project ü", remote=False)
    shutil.copy2(ROOT / "params.yaml", root)
    (root / "dvc.yaml").write_text(GRAPH)
    with (root / ".gitignore").open("a") as file:
        file.write("/models\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return root


def test_a_champion_is_registered_again_from_its_commit_and_the_remote(root: Path, tmp_path: Path) -> None:
    dvc(root, "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    served, later = version(root, 1.5), version(root, 2.5)
    dvc(root, "push", "-q", "--all-commits")
    shutil.rmtree(root / ".dvc/cache")
    tags = {SINCE: "2026-11-01 03:00 UTC", RULE: "better", REASON: "score +0.1"}
    marked = {"number": "9", **later, "tags": {SINCE: "2026-11-02 03:00 UTC", ROLLED_BACK: "2026-11-03 03:00 UTC: no"}}
    entry = {"champion": "4", "versions": [marked, {"number": "4", **served, "tags": tags}]}
    service_record.write(root, "sample", EXPERIMENT, entry)
    told: list[str] = []
    restore(told.append, root)
    registry = Registry(root)
    champion = registry.champion("sample", EXPERIMENT)
    assert champion is not None and champion.digest == served["digest"]
    assert {key: champion.tags.get(key) for key in tags} == tags
    assert read_json(champion.folder / "model.json")["calibration"]["temperature"] == 1.5
    assert ROLLED_BACK in registry.by_digest("sample", EXPERIMENT, later["digest"]).tags
    assert service_record.champion(root, "sample", EXPERIMENT) is not None
    assert read_json(root / FOLDER / "model.json")["calibration"]["temperature"] == 2.5, "the workspace stays as it is"
    assert git(root, "status", "--porcelain") == "" and len(git(root, "worktree", "list").splitlines()) == 1


def test_a_champion_whose_files_were_purged_is_an_error_that_leaves_no_worktree(root: Path) -> None:
    entry = {"champion": "4", "versions": [{"number": "4", **version(root, 1.5), "tags": {}}]}
    version(root, 2.5)
    service_record.write(root, "sample", EXPERIMENT, entry)
    dvc(root, "gc", "--quiet", "--workspace", "--force")
    with pytest.raises(AuscultError, match=EXPERIMENT):
        restore(print, root)
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_a_champion_that_no_commit_has_is_an_error_that_names_its_experiment(root: Path) -> None:
    version(root, 1.5)
    entry = {"champion": "4", "versions": [{"number": "4", "digest": "0" * 32, "md5": "1" * 32, "tags": {}}]}
    service_record.write(root, "sample", EXPERIMENT, entry)
    told: list[str] = []
    with pytest.raises(AuscultError, match=EXPERIMENT):
        restore(told.append, root)
    assert service_record.read(root, "sample")[EXPERIMENT] == entry, "the record stays for the next attempt"
