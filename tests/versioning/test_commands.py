"""Commands work on the repository of their working directory, whatever the environment of the caller says."""

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
