"""A clone that lacks commits is recognised, and the command that is named fetches them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.versioning import clone, history, worktree
from tests.flows.repositories import git, make


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits on ``main``, a branch and a tag, each of which has a lock of its own."""
    root = make(tmp_path / "origin", remote=False)
    for branch, number in (("main", 1), ("main", 2), ("other", 3), ("tagged", 4)):
        git(root, "checkout", "-q", "-B", branch)
        record(root, number)
    git(root, "tag", "-a", "-m", "a tag", "v1")
    git(root, "checkout", "-q", "main")
    git(root, "branch", "-q", "-D", "tagged")
    return root


def record(root: Path, number: int) -> None:
    out = f"{{path: data/sample/manifest, md5: {number:032d}}}"
    (root / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  validate:\n    cmd: v\n    outs: [{out}]\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", str(number))


def cloned(origin: Path, *options: str) -> Path:
    place = origin.with_name("clone")
    git(origin.parent, "clone", "-q", *options, f"file://{origin}", str(place))
    return place


def numbers(root: Path) -> set[int]:
    """Return the locks that the history has."""
    return {int(out.md5) for version in history.versions(root) for entry in version.entries for out in entry.outs}


def follow(root: Path, error: AuscultError) -> None:
    """Run the commands that an error names."""
    command = error.next_step.partition(", then")[0]
    subprocess.run(command, cwd=root, shell=True, check=True, capture_output=True)


@pytest.mark.parametrize(
    "options",
    [
        ("--depth", "1"),
        ("--depth", "1", "--no-single-branch"),
        ("--single-branch",),
        ("--single-branch", "--branch", "v1"),
    ],
)
def test_a_clone_without_all_commits_is_refused_until_the_named_command_has_run(
    origin: Path, options: tuple[str, ...]
) -> None:
    root = cloned(origin, *options)
    for reads in (history.versions, lambda root: history.commits(root, "sample", ["validate"]), clone.check_whole):
        with pytest.raises(AuscultError) as caught:
            reads(root)
        assert "git fetch" in caught.value.next_step
        assert ("--unshallow" in caught.value.next_step) == clone.is_shallow(root)
    follow(root, caught.value)
    assert numbers(root) == {1, 2, 3, 4}
    assert clone.check_fetched(root) == [] and clone.completion(root) == ""


@pytest.mark.parametrize("options", [(), ("--mirror",), ("--no-checkout",)])
def test_a_whole_clone_is_accepted(origin: Path, options: tuple[str, ...]) -> None:
    root = cloned(origin, *options)
    assert numbers(root) == {1, 2, 3, 4}
    assert clone.check_fetched(root) == []


def test_an_unknown_revision_in_a_clone_of_one_branch_names_the_command_that_fetches_it(origin: Path) -> None:
    root = cloned(origin, "--single-branch")
    with pytest.raises(AuscultError, match="set-branches"):
        worktree.resolve(root, "other")
    subprocess.run(clone.completion(root), cwd=root, shell=True, check=True, capture_output=True)
    assert worktree.resolve(root, "other") == git(origin, "rev-parse", "other")


@pytest.mark.parametrize("ref", ["refs/heads/later", "refs/tags/later", "refs/exps/ab/cdef/later"])
def test_commits_that_only_a_remote_has_are_found_and_fetched(origin: Path, ref: str) -> None:
    root = cloned(origin)
    git(origin, "checkout", "-q", "--detach")
    record(origin, 5)
    git(origin, "update-ref", ref, "HEAD")
    with pytest.raises(AuscultError, match=ref) as caught:
        clone.check_fetched(root)
    follow(root, caught.value)
    assert clone.check_fetched(root) == []
    assert numbers(root) == {1, 2, 3, 4, 5}


def test_a_remote_that_does_not_answer_is_named_and_a_tag_of_a_file_is_no_commit(origin: Path) -> None:
    git(origin, "tag", "key", git(origin, "rev-parse", "HEAD:params.yaml"))
    root = cloned(origin)
    assert clone.check_fetched(root) == []
    git(root, "remote", "add", "gone", str(origin.parent / "nowhere"))
    (said,) = clone.check_fetched(root)
    assert "gone" in said


def test_an_object_that_git_cannot_read_is_an_error_not_an_empty_version(origin: Path) -> None:
    git(origin, "config", "uploadpack.allowFilter", "true")
    root = cloned(origin, "--filter=blob:none", "--no-checkout")
    away = origin.rename(origin.with_name("away"))
    with pytest.raises(AuscultError, match="cannot read its object"):
        history.versions(root)
    away.rename(origin)
    assert numbers(root) == {1, 2, 3, 4}
