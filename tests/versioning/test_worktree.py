"""Temporary worktrees share caches and do not change the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from configobj import ConfigObj

from auscult.core.errors import AuscultError
from auscult.versioning import worktree
from auscult.versioning.dvc_objects import default_remote
from tests.flows.repositories import git, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "my project ü")


def test_a_worktree_holds_the_revision_without_uncommitted_edits(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 2\n")
    git(root, "commit", "-q", "-am", "two")
    (root / "params.yaml").write_text("seed: being edited\n")
    assert (worktree.create(root, "retrain-1", "HEAD~1") / "params.yaml").read_text() == "seed: 1\n"
    assert (worktree.create(root, "retrain-2", "HEAD") / "params.yaml").read_text() == "seed: 2\n"
    assert (root / "params.yaml").read_text() == "seed: being edited\n"


def test_resolve_finds_a_branch_of_the_remote(root: Path) -> None:
    git(root, "push", "-q", "origin", "HEAD:refs/heads/ingest")
    git(root, "fetch", "-q")
    assert worktree.resolve(root, "ingest") == git(root, "rev-parse", "HEAD")


def test_resolve_prefers_a_local_branch(root: Path) -> None:
    git(root, "push", "-q", "origin", "HEAD:refs/heads/trial")
    (root / "params.yaml").write_text("seed: 2\n")
    git(root, "commit", "-q", "-am", "two")
    git(root, "branch", "trial")
    git(root, "fetch", "-q")
    assert worktree.resolve(root, "trial") == git(root, "rev-parse", "HEAD")


def test_create_runs_no_git_hooks(root: Path) -> None:
    hook = root / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\nexit 255\n")
    hook.chmod(0o755)
    assert (worktree.create(root, "retrain-1", "HEAD") / "params.yaml").exists()


def test_create_refuses_a_project_in_a_subfolder(root: Path) -> None:
    (root / "project").mkdir()
    with pytest.raises(AuscultError, match="project/"):
        worktree.create(root / "project", "retrain-1", "HEAD")


def test_create_leaves_no_worktree_if_settings_are_invalid(root: Path) -> None:
    (root / ".dvc/config.local").write_text("[core\n")
    with pytest.raises(Exception, match="Invalid line"):
        worktree.create(root, "retrain-1", "HEAD")
    assert git(root, "worktree", "list").count("\n") == 0


def test_create_refuses_an_unknown_revision(root: Path) -> None:
    with pytest.raises(AuscultError, match="nonsense"):
        worktree.create(root, "retrain-1", "nonsense")
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_worktree_shares_dvcs_cache_and_relative_remotes(root: Path) -> None:
    with (root / ".dvc/config").open("a") as file:
        file.write("['remote \"store\"']\n    url = ../../store\n['remote \"cloud\"']\n    url = s3://bucket\n")
    (root / ".dvc/config.local").write_text(
        "['remote \"cloud\"']\n    access_key_id = secret\n    credentialpath = keys\n"
    )
    git(root, "commit", "-q", "-am", "remotes")
    place = worktree.create(root, "retrain-1", "HEAD")
    local = ConfigObj(str(place / ".dvc/config.local"))
    assert local['remote "store"']["url"] == str(root.parent / "store")
    assert local['remote "cloud"'] == {"access_key_id": "secret", "credentialpath": str(root / ".dvc/keys")}
    asked = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], cwd=place, capture_output=True, text=True)
    assert asked.stdout.strip() == str(root / ".dvc/cache")


def test_remove_keeps_the_shared_caches(root: Path) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    (place / ".cache/audio").mkdir()
    (place / ".cache/audio/one").write_text("kept")
    (place / "mlflow.db").write_text("kept")
    worktree.remove(root, place)
    assert not place.exists()
    assert (root / ".cache/audio/one").read_text() == "kept"
    assert (root / "mlflow.db").read_text() == "kept"
    assert git(root, "worktree", "list").count("\n") == 0


def test_git_does_not_see_a_worktree(root: Path) -> None:
    worktree.create(root, "retrain-1", "HEAD")
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""


@pytest.mark.parametrize("damage", ["git", "folder"])
def test_remove_accepts_a_damaged_worktree(root: Path, damage: str) -> None:
    place = worktree.create(root, "retrain-1", "HEAD")
    (root / ".cache/kept").write_text("kept")
    if damage == "git":
        (place / ".git").unlink()
    else:
        (root / ".git/worktrees/retrain-1/HEAD").unlink()
    worktree.remove(root, place)
    assert not place.exists()
    assert (root / ".cache/kept").read_text() == "kept"
    worktree.create(root, "retrain-1", "HEAD")


@pytest.mark.parametrize("store", ["../store", ".dvc/remote"])
def test_fill_takes_outputs_and_additions_from_the_remote(root: Path, store: str) -> None:
    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True)

    with (root / ".dvc/.gitignore").open("a") as ignored:
        ignored.write("/remote\n")
    (root / "dvc.yaml").write_text("stages:\n  make:\n    cmd: echo made > made.txt\n    outs: [made.txt]\n")
    (root / "data/added/sample").mkdir(parents=True)
    (root / "data/added/sample/one.wav").write_text("a recording")
    dvc("remote", "add", "-d", "store", store)
    dvc("add", "data/added/sample/one.wav")
    dvc("repro", "-q")
    dvc("push", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "results")
    shutil.rmtree(root / ".dvc/cache")
    place = worktree.create(root, "retrain-1", "HEAD")
    worktree.fill(place)
    assert (place / "made.txt").read_text() == "made\n"
    assert (place / "data/added/sample/one.wav").read_text() == "a recording"


@pytest.mark.parametrize("remote", ["none", "inside, empty"])
def test_fill_names_an_addition_that_is_missing_everywhere(root: Path, remote: str) -> None:
    if remote != "none":
        (root / ".dvc/config.local").write_text("[core]\n    remote = local\n['remote \"local\"']\n    url = remote\n")
    (root / "data/added/sample").mkdir(parents=True)
    (root / "data/added/sample/0123456789ab.dvc").write_text(
        f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: 0123456789ab\n"
    )
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "an addition whose recordings nobody pushed")
    place = worktree.create(root, "retrain-1", "HEAD")
    with pytest.raises(AuscultError, match=r"data/added/sample/0123456789ab\.dvc"):
        worktree.fill(place)


def test_a_worktree_of_an_older_revision_has_the_bytes_of_git_with_autocrlf(root: Path) -> None:
    git(root, "config", "core.autocrlf", "true")
    place = worktree.create(root, "try-1", "HEAD")
    assert b"\r" not in (place / "params.yaml").read_bytes()


def test_a_submodule_can_have_worktrees(root: Path, tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    git(above, "init", "-q")
    git(above, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(root), "project")
    project = above / "project"
    (project / ".dvc/config").write_text("[core]\n    remote = own\n['remote \"own\"']\n    url = store\n")
    for name in ("try-1", "try-2"):
        place = worktree.create(project, name, "HEAD")
        (place / ".dvc/config").write_text((project / ".dvc/config").read_text())
        worktree.fill(place)
        remote = default_remote(place)
        assert remote is not None and not remote.shared, "its folder lies in the submodule"
        worktree.remove(project, place)
    assert git(project, "status", "--porcelain", "--untracked-files=no") == "M .dvc/config"
    assert "project" in git(above, "submodule", "status")
