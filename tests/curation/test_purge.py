"""``auscult data purge`` removes what only versions with the patient use, from every store, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.errors import AuscultError
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.objects import removal_order
from auscult.curation.withdrawals.purge import Plan, planned
from auscult.datasets import load
from tests.curation.data_history import content, dvc, objects, repository, version, withdraw, write
from tests.flows.repositories import git
from tests.validation.small_data_set import AUDIO, name_of

CACHE = ".dvc/cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, also on a remote: without 102, with 102, and without again after 102 has withdrawn."""
    base = tmp_path_factory.mktemp("versions")
    root = repository(base)
    dvc(root, "remote", "add", "-q", "-d", "store", str(base / "store"))
    for patients in ((101,), (101, 102, 103), (101, 103)):
        version(root, *patients)
        dvc(root, "push", "-q")
    withdraw(root, 102)
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    """A private copy; its remote is the copy's."""
    base = Path(shutil.copytree(made, tmp_path / "base", symlinks=True))
    config = base / "root/.dvc/config"
    config.write_text(config.read_text().replace(str(made), str(base)))
    git(base / "root", "commit", "-q", "-a", "-m", "moved")
    return base


def purge(root: Path) -> Plan:
    """Plan and carry out, without the refusals, which need a pipeline."""
    with planned(root, load("sample"), withdrawals.read("sample", root), None) as plan:
        assert list(plan.lines())
        plan.carry_out()
    return plan


def test_purge_removes_only_versions_with_the_patient(base: Path, tmp_path: Path) -> None:
    root, commits = base / "root", git(base / "root", "rev-list", "--all").split()
    plan = purge(root)
    assert plan.partition.commits == [commits[3]] and plan.partition.unknown == 0 and plan.problems == []
    for place in (root / CACHE, base / "store"):
        said = content(place)
        assert "wav of 102" not in said and name_of(102) not in said and "102\t" not in said
        assert "(101, 102, 103)" not in said, "weights that learned from the patient, also in a combination"
        for kept in ("wav of 101", "wav of 103", "weights (101,)", "weights (101, 103)"):
            assert kept in said
    git(tmp_path, "clone", "-q", str(root), "clone")
    for commit in (commits[0], commits[4]):
        git(tmp_path / "clone", "checkout", "-q", commit)
        dvc(tmp_path / "clone", "pull", "-q")
    assert "102" not in "".join(path.name for path in (tmp_path / "clone").rglob("*.wav"))


def test_plan_alone_changes_nothing(base: Path) -> None:
    before = {path: objects(path) for path in (base / "root" / CACHE, base / "store")}
    with planned(base / "root", load("sample"), withdraw_table(base), None) as plan:
        first = list(plan.lines())
    with planned(base / "root", load("sample"), withdraw_table(base), None) as plan:
        assert list(plan.lines()) == first
    assert {path: objects(path) for path in before} == before


@pytest.mark.parametrize("options", [("--depth", "1"), ("--single-branch",)])
def test_purge_refuses_in_a_clone_that_lacks_commits_and_works_after_the_command_it_names(
    base: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    git(base / "root", "branch", "-q", "with-102", "HEAD~3")  # a branch that a clone of main alone lacks
    git(base / "root", "checkout", "-q", "--orphan", "apart")
    git(base / "root", "commit", "-q", "-m", "the same state, without history")
    root, before = tmp_path / "clone", objects(base / "store")
    git(tmp_path, "clone", "-q", *options, "--branch", "apart", f"file://{base / 'root'}", str(root))
    dvc(root, "pull", "-q")
    with pytest.raises(AuscultError) as caught:
        purge(root)
    assert ("--unshallow" in caught.value.next_step) == ("--depth" in options)
    assert objects(base / "store") == before
    subprocess.run(caught.value.next_step.partition(", then")[0], cwd=root, shell=True, check=True)
    assert purge(root).problems == []
    assert "wav of 102" not in content(base / "store")


def test_purge_refuses_while_a_remote_of_git_has_commits_that_were_never_fetched(base: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(base / "root"), "clone")
    dvc(tmp_path / "clone", "pull", "-q")
    git(base / "root", "commit", "-q", "--allow-empty", "-m", "later")
    before = objects(base / "store")
    with pytest.raises(AuscultError, match="refs/heads/main"):
        purge(tmp_path / "clone")
    assert objects(base / "store") == before
    git(tmp_path / "clone", "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    plan = purge(tmp_path / "clone")
    with pytest.raises(AuscultError, match="origin"):
        plan.check()
    assert "wav of 102" not in content(base / "store")


def withdraw_table(base: Path) -> Withdrawals:
    return withdrawals.read("sample", base / "root")


def test_purge_keeps_what_other_data_sets_use(base: Path) -> None:
    """Their additions, and their last outputs: ``dvc.lock`` records one data set at a time."""
    root = base / "root"
    batch = root / "data/added/icbhi/0123456789ab"
    batch.mkdir(parents=True)
    (batch / f"{name_of(102)}.wav").write_text("patient 102 of icbhi")
    dvc(root, "add", "-q", str(batch))
    table = b"the recordings of icbhi"
    md5 = hashlib.md5(table).hexdigest()
    (root / CACHE / "files/md5" / md5[:2]).mkdir(exist_ok=True)
    (root / CACHE / "files/md5" / md5[:2] / md5[2:]).write_bytes(table)
    out = f"path: data/icbhi/manifest/recordings.parquet, md5: {md5}"
    lock = f"schema: '2.0'\nstages:\n  validate:\n    cmd: x\n    outs:\n    - {{{out}}}\n"
    (root / ".cache/locks").mkdir(parents=True)
    (root / ".cache/locks/icbhi.lock").write_text(lock)
    purge(root)
    said = content(root / CACHE)
    assert "patient 102 of icbhi" in said and "the recordings of icbhi" in said
    assert (root / ".cache/locks/icbhi.lock").exists()
    assert "wav of 102" not in said


def test_purge_treats_an_unknown_version_as_one_with_the_patient(base: Path) -> None:
    root = base / "root"
    tables = [path for path in (root / CACHE).rglob("*") if path.is_file() and path.read_bytes()[:4] == b"PAR1"]
    for path in tables:
        path.unlink()
        (base / "store" / path.relative_to(root / CACHE)).unlink()
    dvc(root, "commit", "-q", "-f")  # the workspace must be known
    plan = purge(root)
    assert plan.partition.unknown >= 1 and len(plan.partition.commits) == 2
    assert "weights (101,)" not in content(root / CACHE) and "weights (101, 103)" in content(root / CACHE)


def test_purge_includes_commits_that_only_the_reflog_has(base: Path) -> None:
    root = base / "root"
    version(root, 101, 102)
    dvc(root, "push", "-q")
    git(root, "reset", "-q", "--hard", "HEAD~1")
    dvc(root, "checkout", "-q", "--force")
    assert "weights (101, 102)" in content(base / "store")
    purge(root)
    assert "weights (101, 102)" not in content(base / "store") + content(root / CACHE)


def test_purge_removes_uncommitted_objects_from_an_own_cache_but_not_from_a_shared_one(base: Path) -> None:
    root = base / "root"
    for number, place in enumerate((root / CACHE, base / "shared")):
        if number:
            shutil.copytree(root / CACHE, place)
            dvc(root, "config", "--local", "cache.dir", str(place))
        stray = place / "files/md5/00" / f"{number:030d}"
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("of a run that nobody committed")
        purge(root)
        assert stray.exists() == bool(number)


def test_purge_removes_listings_in_the_layout_of_dvc_2(base: Path) -> None:
    """From a shared cache only those that name the patient and have no files in that layout."""
    root = base / "root"
    for number, place in enumerate((root / CACHE, base / "shared")):
        if number:
            shutil.copytree(root / CACHE, place)
            dvc(root, "config", "--local", "cache.dir", str(place))
        listings = {}
        for name, patient, beside in (("withdrawn", 102, False), ("kept", 101, False), ("of version 2", 102, True)):
            entries = [{"md5": f"{patient}{beside:d}".ljust(32, "0"), "relpath": f"{AUDIO}/{name_of(patient)}.wav"}]
            listings[name] = place / f"{len(listings):02d}" / f"{'0' * 30}.dir"
            write(listings[name], json.dumps(entries))
            if beside:
                write(place / entries[0]["md5"][:2] / entries[0]["md5"][2:], "an object of DVC 2")
        purge(root)
        left = {name for name, path in listings.items() if path.exists()}
        assert left == ({"kept", "of version 2"} if number else set())


def test_purge_reports_an_unreachable_remote_and_does_the_rest(base: Path) -> None:
    root = base / "root"
    (base / "store").rename(base / "unplugged")
    plan = purge(root)
    assert len(plan.problems) == 1 and "store" in plan.problems[0]
    assert "wav of 102" not in content(root / CACHE)
    (base / "unplugged").rename(base / "store")
    assert "wav of 102" in content(base / "store")
    assert purge(root).problems == []
    assert "wav of 102" not in content(base / "store"), "the patients of the version were looked up on the remote"


@pytest.mark.parametrize("groups", [1, 2])
def test_purge_after_a_kill_removes_the_rest(base: Path, groups: int) -> None:
    root, whole = base / "root", base / "whole"
    shutil.copytree(root, whole, symlinks=True)
    shutil.copytree(base / "store", base / "other store")
    config = whole / ".dvc/config"
    config.write_text(config.read_text().replace(str(base / "store"), str(base / "other store")))
    purge(whole)
    with planned(root, load("sample"), withdraw_table(base), None) as plan:
        for each in plan.stores:
            for md5s in list(removal_order(each.objects, plan.index))[:groups]:
                each.store.remove(md5s)
    purge(root)
    assert objects(root / CACHE) == objects(whole / CACHE)
    assert objects(base / "store") == objects(base / "other store")


def test_purge_removes_run_cache_entries_that_name_purged_objects(base: Path) -> None:
    root = base / "root"
    md5 = next(path for path in (root / CACHE).rglob("*") if path.is_file() and path.read_bytes() == b"wav of 102")
    gone, kept = (root / CACHE / f"runs/aa/{name}/entry" for name in ("gone", "kept"))
    for path, value in ((gone, md5.parent.name + md5.name), (kept, None)):
        path.parent.mkdir(parents=True)
        outs = f"\n- path: x\n  md5: {value}" if value else " []"
        path.write_text(f"cmd: x\nouts:{outs}\n")
    purge(root)
    assert not gone.exists() and kept.exists()


def test_purge_refuses_an_unknown_remote(base: Path) -> None:
    with (
        pytest.raises(AuscultError, match=r"unknown remote 'stor'.*Did you mean 'store'"),
        planned(base / "root", load("sample"), withdraw_table(base), "stor"),
    ):
        pass
