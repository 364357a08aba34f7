"""``data purge`` removes what only versions with the patient use, wherever it is, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from auscult.core.errors import AuscultError
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals import objects as of_dvc
from auscult.curation.withdrawals.patient_index import ordered
from auscult.curation.withdrawals.plan import Plan, make
from auscult.datasets import load
from tests.curation.laboratory import content, dvc, laboratory, objects, version, withdraw, write
from tests.flows.repositories import git
from tests.validation.made_clinic import AUDIO, name_of

CACHE = ".dvc/cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, on a remote as well: without 102 at first, then with, then without again; 102 has withdrawn."""
    base = tmp_path_factory.mktemp("laboratory")
    root = laboratory(base)
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


def clear(root: Path, withdrawn: Withdrawals | None = None) -> Plan:
    """Without the refusals, which need a pipeline."""
    from auscult.core import withdrawals

    with make(root, load("sample"), withdrawn or withdrawals.read("sample", root), None) as plan:
        said = list(plan.lines())
        plan.problems = plan.carry_out()
        assert said
    return plan


def test_only_versions_with_the_patient_lose_their_data(base: Path, tmp_path: Path) -> None:
    root, commits = base / "root", git(base / "root", "rev-list", "--all").split()
    plan = clear(root)
    assert plan.sorted.holding == [commits[3]] and plan.sorted.unknown == 0 and plan.problems == []
    for place in (root / CACHE, base / "store"):
        said = content(place)
        assert "wav of 102" not in said and name_of(102) not in said and "102\t" not in said
        assert "(101, 102, 103)" not in said, "weights that learned from the patient"
        for kept in ("wav of 101", "wav of 103", "weights (101,)", "weights (101, 103)"):
            assert kept in said
    git(tmp_path, "clone", "-q", str(root), "theirs")
    for commit in (commits[0], commits[4]):
        git(tmp_path / "theirs", "checkout", "-q", commit)
        dvc(tmp_path / "theirs", "pull", "-q")
    assert "102" not in "".join(path.name for path in (tmp_path / "theirs").rglob("*.wav"))


def test_a_dry_look_changes_nothing(base: Path) -> None:
    before = {path: objects(path) for path in (base / "root" / CACHE, base / "store")}
    with make(base / "root", load("sample"), withdraw_table(base), None) as plan:
        first = list(plan.lines())
    with make(base / "root", load("sample"), withdraw_table(base), None) as plan:
        assert list(plan.lines()) == first
    assert {path: objects(path) for path in before} == before


def withdraw_table(base: Path) -> Withdrawals:
    from auscult.core import withdrawals

    return withdrawals.read("sample", base / "root")


def test_what_other_data_sets_use_stays_though_the_lock_has_forgotten_them(base: Path) -> None:
    """Their additions, and their last outputs: ``dvc.lock`` knows one data set's at a time."""
    root = base / "root"
    batch = root / "data/added/icbhi/0123456789ab"
    batch.mkdir(parents=True)
    (batch / f"{name_of(102)}.wav").write_text("another person, 102 of icbhi")
    dvc(root, "add", "-q", str(batch))
    table = b"the recordings of icbhi"
    md5 = hashlib.md5(table).hexdigest()
    (root / CACHE / "files/md5" / md5[:2]).mkdir(exist_ok=True)
    (root / CACHE / "files/md5" / md5[:2] / md5[2:]).write_bytes(table)
    out = f"path: data/icbhi/manifest/recordings.parquet, md5: {md5}"
    lock = f"schema: '2.0'\nstages:\n  validate:\n    cmd: x\n    outs:\n    - {{{out}}}\n"
    (root / ".cache/locks").mkdir(parents=True)
    (root / ".cache/locks/icbhi.lock").write_text(lock)
    clear(root)
    said = content(root / CACHE)
    assert "another person, 102 of icbhi" in said and "the recordings of icbhi" in said
    assert (root / ".cache/locks/icbhi.lock").exists()
    assert "wav of 102" not in said


def test_a_version_of_which_nothing_can_be_known_counts_as_one_with_the_patient(base: Path) -> None:
    root = base / "root"
    tables = [path for path in (root / CACHE).rglob("*") if path.is_file() and path.read_bytes()[:4] == b"PAR1"]
    for path in tables:
        path.unlink()
        (base / "store" / path.relative_to(root / CACHE)).unlink()
    dvc(root, "commit", "-q", "-f")  # what lies here is known
    plan = clear(root)
    assert plan.sorted.unknown >= 1 and len(plan.sorted.holding) == 2
    assert "weights (101,)" not in content(root / CACHE) and "weights (101, 103)" in content(root / CACHE)


def test_amended_commits_and_stashes_are_versions_as_well(base: Path) -> None:
    root = base / "root"
    version(root, 101, 102)
    dvc(root, "push", "-q")
    git(root, "reset", "-q", "--hard", "HEAD~1")
    dvc(root, "checkout", "-q", "--force")
    assert "weights (101, 102)" in content(base / "store")
    clear(root)
    assert "weights (101, 102)" not in content(base / "store") + content(root / CACHE)


def test_of_a_run_that_was_never_committed_the_own_cache_keeps_nothing_and_a_shared_one_all(base: Path) -> None:
    root = base / "root"
    for number, place in enumerate((root / CACHE, base / "shared")):
        if number:
            shutil.copytree(root / CACHE, place)
            dvc(root, "config", "--local", "cache.dir", str(place))
        stray = place / "files/md5/00" / f"{number:030d}"
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("of a run that nobody committed")
        clear(root)
        assert stray.exists() == bool(number)


def test_listings_that_dvc_writes_as_its_version_2_did_go_from_a_shared_cache_those_that_name_them(base: Path) -> None:
    """It takes outputs for that version's which the lock has no entry for, as when the data set was changed."""
    root = base / "root"
    for number, place in enumerate((root / CACHE, base / "shared")):
        if number:
            shutil.copytree(root / CACHE, place)
            dvc(root, "config", "--local", "cache.dir", str(place))
        listings = {}
        for name, patient, beside in (("ours", 102, False), ("theirs", 101, False), ("of version 2", 102, True)):
            entries = [{"md5": f"{patient}{beside:d}".ljust(32, "0"), "relpath": f"{AUDIO}/{name_of(patient)}.wav"}]
            listings[name] = place / f"{len(listings):02d}" / f"{'0' * 30}.dir"
            write(listings[name], json.dumps(entries))
            if beside:
                write(place / entries[0]["md5"][:2] / entries[0]["md5"][2:], "an object of DVC 2")
        clear(root)
        left = {name for name, path in listings.items() if path.exists()}
        assert left == ({"theirs", "of version 2"} if number else set())


def test_a_remote_that_is_away_stops_nothing_else_and_is_told(base: Path) -> None:
    root = base / "root"
    (base / "store").rename(base / "unplugged")
    plan = clear(root)
    assert len(plan.problems) == 1 and "store" in plan.problems[0]
    assert "wav of 102" not in content(root / CACHE)
    (base / "unplugged").rename(base / "store")
    assert "wav of 102" in content(base / "store")
    assert clear(root).problems == []
    assert "wav of 102" not in content(base / "store"), "what tells who is in a version was found there"


@pytest.mark.parametrize("groups", [1, 2])
def test_killed_at_any_moment_the_next_call_ends_as_if_nothing_had_happened(base: Path, groups: int) -> None:
    root, whole = base / "root", base / "whole"
    shutil.copytree(root, whole, symlinks=True)
    shutil.copytree(base / "store", base / "other store")
    config = whole / ".dvc/config"
    config.write_text(config.read_text().replace(str(base / "store"), str(base / "other store")))
    clear(whole)
    with make(root, load("sample"), withdraw_table(base), None) as plan:
        for place in plan.places:
            for some in list(ordered(place.objects, plan.evidence))[:groups]:
                of_dvc.remove(place.odb, some)
    clear(root)
    assert objects(root / CACHE) == objects(whole / CACHE)
    assert objects(base / "store") == objects(base / "other store")


def test_the_run_cache_names_nothing_that_is_gone(base: Path) -> None:
    root = base / "root"
    md5 = next(path for path in (root / CACHE).rglob("*") if path.is_file() and path.read_bytes() == b"wav of 102")
    gone, kept = (root / CACHE / f"runs/aa/{name}/entry" for name in ("gone", "kept"))
    for path, value in ((gone, md5.parent.name + md5.name), (kept, None)):
        path.parent.mkdir(parents=True)
        outs = f"\n- path: x\n  md5: {value}" if value else " []"
        path.write_text(f"cmd: x\nouts:{outs}\n")
    clear(root)
    assert not gone.exists() and kept.exists()


def test_a_remote_that_there_is_not_is_refused_with_those_there_are(base: Path) -> None:
    with (
        pytest.raises(AuscultError, match=r"unknown remote 'stor'.*Did you mean 'store'"),
        make(base / "root", load("sample"), withdraw_table(base), "stor"),
    ):
        pass
