"""Commands do the same on every machine, whatever the environment and the settings of the caller say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from auscult.versioning import commands
from tests.flows.repositories import git, make


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository that the environment names, as in a hook of a linked worktree."""
    root = make(tmp_path / "users", remote=False)
    monkeypatch.setenv("GIT_DIR", str(root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(root / ".git/index"))
    return root


def test_git_commits_where_it_is_called_not_where_the_environment_points(users: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for command in (
        ("init", "-q"),
        ("config", "user.name", "Test"),
        ("config", "user.email", "test@example.org"),
        ("commit", "-q", "--allow-empty", "-m", "mine"),
    ):
        commands.git(other, *command)
    assert commands.git(other, "log", "--format=%s") == "mine"
    assert commands.git(users, "log", "--format=%s") == "start"


def test_the_list_has_every_variable_of_git_that_names_a_repository() -> None:
    listed = set(git(Path(), "rev-parse", "--local-env-vars").splitlines())
    assert listed - commands.LOCAL_GIT_VARIABLES <= {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}, "settings alone"


def test_the_variables_are_removed_from_this_process_for_dvc(users: Path, tmp_path: Path) -> None:
    code = "import os; from auscult.versioning.commands import forget_other_repositories as f; f(); print(*os.environ)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not commands.LOCAL_GIT_VARIABLES & set(printed)


@pytest.fixture
def demanding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a user whose settings suit a person at a terminal; the signing key is not there."""
    root = make(tmp_path / "demanding", remote=False)
    settings = tmp_path / "gitconfig"
    wanted = (
        "commit.gpgSign=true",
        "user.signingKey=0xDEADBEEFDEADBEEF",
        "merge.ff=only",
        "merge.verifySignatures=true",
    )
    for setting in (*wanted, "color.ui=always", "core.quotePath=true", "status.showUntrackedFiles=no"):
        name, _, value = setting.partition("=")
        git(root, "config", "--file", str(settings), name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    return root


def test_a_commit_and_a_merge_need_no_key(demanding: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        git(demanding, "commit", "--allow-empty", "-m", "signed")
    for branch in ("one", "two"):
        commands.git(demanding, "checkout", "-q", "-B", branch, "main")
        commands.git(demanding, "commit", "-q", "--allow-empty", "-m", branch)
    commands.git(demanding, "merge", "--no-edit", "one")
    assert len(commands.git(demanding, "rev-list", "HEAD").splitlines()) == 4


def test_what_git_prints_has_neither_colours_nor_escaped_names_and_every_untracked_file(demanding: Path) -> None:
    (demanding / "ü.csv").touch()
    assert commands.git(demanding, "status", "--porcelain") == "?? ü.csv"
    assert commands.git(demanding, "branch") == "* main"


def test_a_module_of_the_working_directory_is_found_and_its_output_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stage_here.py").write_text("print('→ ü')", encoding="utf-8")
    for name, value in {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    lines: list[str] = []
    commands.follow(tmp_path, [sys.executable, "-m", "stage_here"], lines.append)
    assert lines == ["→ ü"]
    assert commands.on_terminal(tmp_path, sys.executable, "-m", "stage_here") == 0


def test_a_clone_of_this_project_has_the_same_bytes_with_autocrlf(tmp_path: Path) -> None:
    root = make(tmp_path / "project", remote=False)
    attributes = Path(__file__).resolve().parents[2] / ".gitattributes"
    (root / ".gitattributes").write_bytes(attributes.read_bytes())
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "attributes")
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(root), "clone")
    for file in (".gitattributes", "params.yaml", ".dvc/config"):
        assert (tmp_path / "clone" / file).read_bytes() == (root / file).read_bytes()
