"""Purge of patients who came with an addition with tables, whose recordings' names do not tell the patient."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.errors import DataError
from auscult.core.storage import read_table
from auscult.curation.additions.batch import locked, rewrite
from auscult.curation.withdrawals import withdraw as command
from auscult.curation.withdrawals.objects import removal_order
from auscult.curation.withdrawals.purge import Plan, planned
from auscult.curation.withdrawals.purge import purge as purge_command
from auscult.datasets import load
from tests.curation.data_history import MANIFEST, batch, content, dvc, objects, repository, version, withdraw, write
from tests.flows.repositories import git
from tests.validation.small_data_set import ROOT, name_of

CACHE = ".dvc/cache"
#: Person-1 is in tables alone, 102 in the download as well; 101 stays.
WITHDRAWN = ("rec-17", "rec-19")
WHOSE = {"rec-17": "Person-1", "rec-18": "101", "rec-19": "102"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with Person-1 and 102, one in which their recordings were rejected, and one after their withdrawal."""
    base = tmp_path_factory.mktemp("tables")
    root, dataset = repository(base), load("sample")
    dvc(root, "remote", "add", "-q", "-d", "store", str(base / "store"))
    added = batch(root, WHOSE)
    version(root, 101, 102, named=WHOSE)
    dvc(root, "push", "-q")
    version(root, 101, named={"rec-18": "101"}, rejects=WITHDRAWN)
    dvc(root, "push", "-q")
    for name in WHOSE:
        write(root / f"reports/decisions/{name}/page.html", f"<p>{name}.wav</p>")
    table = withdraw(root, "Person-1", 102)
    with locked(root):
        rewrite(dataset, added, table, root)
    version(root, 101, named={"rec-18": "101"})
    dvc(root, "push", "-q")
    return base


def copy(made: Path, target: Path) -> Path:
    """A private copy, with a remote of its own."""
    shutil.copytree(made, target, symlinks=True)
    config = target / "root/.dvc/config"
    config.write_text(config.read_text().replace(str(made), str(target)))
    return target


def project(made: Path, target: Path) -> Path:
    """The root of a private copy, with the parameters that a command reads."""
    root = copy(made, target) / "root"
    shutil.copy(ROOT / "params.yaml", root)
    return root


def purge(root: Path, killed_after: int | None = None) -> Plan:
    """Purge everything, or only the first groups of objects in the cache and on the remote."""
    with planned(root, load("sample"), withdrawals.read("sample", root), None) as plan:
        if killed_after is None:
            plan.carry_out()
            plan.check()
        else:
            for each in plan.stores:
                for md5s in list(removal_order(each.objects, plan.index))[:killed_after]:
                    each.store.remove(md5s)
    return plan


def traces(base: Path) -> str:
    """Return everything that is kept, as text."""
    pages = [path for path in (base / "root/reports").rglob("*") if path.is_file()]
    return "\n".join([*map(content, (base / "root" / CACHE, base / "store")), *(path.read_text() for path in pages)])


def test_purge_removes_the_patients_and_keeps_the_rest_of_the_addition(made: Path, tmp_path: Path) -> None:
    base = copy(made, tmp_path / "base")
    before = traces(base)
    assert all(name in before for name in (*WITHDRAWN, ",Person-1,", name_of(102)))
    commits = git(base / "root", "rev-list", "--all").split()
    plan = purge(base / "root")
    assert set(plan.partition.commits) == set(commits[1:4]), "versions that rejected their recordings count as well"
    after = traces(base)
    assert not [name for name in (*WITHDRAWN, "Person-1", name_of(102), "102\tCOPD") if name in after]
    for place in (base / "root" / CACHE, base / "store"):
        assert "wav of rec-18" in content(place) and "weights (101,) rec-18" in content(place)
    assert (base / "root/reports/decisions/rec-18/page.html").exists()
    git(tmp_path, "clone", "-q", str(base / "root"), "clone")
    dvc(tmp_path / "clone", "pull", "-q")
    assert len(list((tmp_path / "clone/data/added").rglob("*.wav"))) == 1


def test_purge_refuses_while_an_addition_holds_the_patient_again(made: Path, tmp_path: Path) -> None:
    root = project(made, tmp_path / "base")
    merged = batch(root, WHOSE)  # as the merge of a branch from before the withdrawal brings it
    before = objects(root / CACHE)
    with pytest.raises(DataError) as caught:
        purge_command(tell=print, root=root)
    assert caught.value.where == str(merged.relative_to(root))
    assert "auscult data withdraw" in caught.value.next_step
    assert objects(root / CACHE) == before


def test_purge_refuses_if_nobody_has_withdrawn(made: Path, tmp_path: Path) -> None:
    root = project(made, tmp_path / "base")
    (root / "data/withdrawn/sample.csv").write_text("patient,since\n")
    with pytest.raises(DataError) as caught:
        purge_command(tell=print, root=root)
    assert caught.value.where == "data/withdrawn/sample.csv"


def test_withdraw_accepts_a_patient_of_another_branch_only(made: Path, tmp_path: Path) -> None:
    """Such as the branch of an ingestion before it is merged."""
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
        command.withdraw("P4", root=root)
    command.withdraw("P3", root=root)
    assert "wav of rec-31" in content(root / CACHE)
    purge(root)
    assert "wav of rec-31" not in content(root / CACHE) and "wav of rec-18" in content(root / CACHE)


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_purge_after_a_kill_still_knows_the_patients_recordings(made: Path, tmp_path: Path, groups: int) -> None:
    base, whole = copy(made, tmp_path / "base"), copy(made, tmp_path / "whole")
    purge(whole / "root")
    purge(base / "root", killed_after=groups)
    purge(base / "root")
    for place in ("root/.dvc/cache", "store"):
        assert objects(base / place) == objects(whole / place)
