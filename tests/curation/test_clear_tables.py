"""Who came with an addition with tables, under names that tell nobody, is found everywhere and goes as others do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.errors import DataError
from auscult.core.storage import read_table
from auscult.curation.additions.batch import locked, replaced
from auscult.curation.withdrawals.objects import remove
from auscult.curation.withdrawals.patient_index import ordered
from auscult.curation.withdrawals.plan import Plan, make
from auscult.curation.withdrawals.withdraw import withdraw as say_withdrawn
from auscult.datasets import load
from tests.curation.laboratory import MANIFEST, batch, content, dvc, laboratory, objects, version, withdraw, write
from tests.flows.repositories import git
from tests.validation.made_clinic import ROOT, name_of

CACHE = ".dvc/cache"
#: Person-1 is in tables alone, 102 in the download as well; 101 stays.
THEIRS = ("rec-17", "rec-19")
WHOSE = {"rec-17": "Person-1", "rec-18": "101", "rec-19": "102"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with Person-1 and 102, one in which their recordings were set aside, and one after their withdrawal."""
    base = tmp_path_factory.mktemp("tables")
    root, dataset = laboratory(base), load("sample")
    dvc(root, "remote", "add", "-q", "-d", "store", str(base / "store"))
    added = batch(root, WHOSE)
    version(root, 101, 102, named=WHOSE)
    dvc(root, "push", "-q")
    version(root, 101, named={"rec-18": "101"}, rejects=THEIRS)
    dvc(root, "push", "-q")
    for name in WHOSE:
        write(root / f"reports/decisions/{name}/page.html", f"<p>{name}.wav</p>")
    table = withdraw(root, "Person-1", 102)
    with locked(root):
        replaced(dataset, added, table, root)
    version(root, 101, named={"rec-18": "101"})
    dvc(root, "push", "-q")
    return base


def copy(made: Path, target: Path) -> Path:
    """A private copy, with a remote of its own."""
    shutil.copytree(made, target, symlinks=True)
    config = target / "root/.dvc/config"
    config.write_text(config.read_text().replace(str(made), str(target)))
    return target


def clear(root: Path, killed_after: int | None = None) -> Plan:
    """The whole, or the first groups of objects in the cache and on the remote alone."""
    with make(root, load("sample"), withdrawals.read("sample", root), None) as plan:
        if killed_after is None:
            assert plan.carry_out() == []
        else:
            for place in plan.places:
                for some in list(ordered(place.objects, plan.evidence))[:killed_after]:
                    remove(place.odb, some)
    return plan


def traces(base: Path) -> str:
    """Everything that is kept, as text."""
    pages = [path for path in (base / "root/reports").rglob("*") if path.is_file()]
    return "\n".join([*map(content, (base / "root" / CACHE, base / "store")), *(path.read_text() for path in pages)])


def test_nothing_of_them_remains_and_the_rest_of_the_addition_does(made: Path, tmp_path: Path) -> None:
    base = copy(made, tmp_path / "base")
    before = traces(base)
    assert all(name in before for name in (*THEIRS, ",Person-1,", name_of(102)))
    commits = git(base / "root", "rev-list", "--all").split()
    plan = clear(base / "root")
    assert set(plan.sorted.holding) == set(commits[1:4]), "that they were set aside counts as well"
    after = traces(base)
    assert not [name for name in (*THEIRS, "Person-1", name_of(102), "102\tCOPD") if name in after]
    for place in (base / "root" / CACHE, base / "store"):
        assert "wav of rec-18" in content(place) and "weights (101,) rec-18" in content(place)
    assert (base / "root/reports/decisions/rec-18/page.html").exists()
    git(tmp_path, "clone", "-q", str(base / "root"), "theirs")
    dvc(tmp_path / "theirs", "pull", "-q")
    assert len(list((tmp_path / "theirs/data/added").rglob("*.wav"))) == 1


def test_who_is_on_another_branch_alone_can_withdraw_as_well(made: Path, tmp_path: Path) -> None:
    """Such as an ingestion's, before it is merged; nobody else's id is taken for theirs."""
    root = copy(made, tmp_path / "base") / "root"
    shutil.copy2(ROOT / "params.yaml", root)
    git(root, "commit", "-q", "-a", "-m", "parameters")
    git(root, "checkout", "-q", "-b", "ingest")
    batch(root, {"rec-31": "P3"})
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "an ingestion")
    git(root, "checkout", "-q", "main")
    shutil.rmtree(root / "data/added")
    read_table(root / MANIFEST / "recordings.parquet").to_parquet(root / MANIFEST / "segments.parquet")
    with pytest.raises(DataError, match="no patient 'P4'"):
        say_withdrawn("P4", root=root)
    say_withdrawn("P3", root=root)
    assert "wav of rec-31" in content(root / CACHE)
    clear(root)
    assert "wav of rec-31" not in content(root / CACHE) and "wav of rec-18" in content(root / CACHE)


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_killed_at_any_moment_it_is_still_known_what_they_are_called(made: Path, tmp_path: Path, groups: int) -> None:
    base, whole = copy(made, tmp_path / "base"), copy(made, tmp_path / "whole")
    clear(whole / "root")
    clear(base / "root", killed_after=groups)
    clear(base / "root")
    for place in ("root/.dvc/cache", "store"):
        assert objects(base / place) == objects(whole / place)
