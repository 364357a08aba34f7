"""Small git repositories with DVC in them, and a bare remote, for the tests of the flows."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(place: Path, *arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True).stdout.strip()


def make(root: Path, *, remote: bool = True) -> Path:
    """Make a repository with one commit, and beside it a bare one, its remote ``origin``."""
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".gitignore").write_text(".cache/\nmlflow.db*\nmlartifacts/\n")
    (root / "params.yaml").write_text("seed: 1\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@example.org")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start")
    if remote:
        bare = root.with_name(f"{root.name}.git")
        git(root, "clone", "-q", "--bare", ".", str(bare))
        git(root, "remote", "add", "origin", str(bare))
        git(root, "fetch", "-q")
    return root
