"""``auscult data withdraw``: the patient is checked, the others keep their parts, a second call changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from contextlib import chdir
from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.digests import patient_key, patient_keys
from auscult.core.errors import DataError, ParameterError
from auscult.core.storage import read_table
from auscult.curation.withdrawals.withdraw import withdraw
from auscult.datasets import load
from auscult.datasets.retrieval.withdrawn_files import leave_out_of_raw
from auscult.splitting import pinned
from auscult.validation.additions import batches
from stages.split import main as split
from stages.validate import main as validate
from tests.flows.repositories import git
from tests.validation.small_data_set import PATHS, breath, make_data_set, make_delivery, name_of, put_batch

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validated and split data set of the patients 101 to 112, and 301 of an addition."""
    root = tmp_path_factory.mktemp("data-set")
    make_data_set(root)
    put_batch(root, make_delivery(root / "delivery", {name_of(301): breath(1), name_of(104, 5): breath(2)}))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    model = root / "models/sample/mine/model.json"
    model.parent.mkdir(parents=True)
    model.write_text(json.dumps({"learned_from": [patient_key("sample", "104")]}))
    with chdir(root):
        validate()
        split()
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "root"))


def assignment(root: Path) -> dict[str, tuple[str, int]]:
    table = read_table(root / PATHS.split / "assignment.parquet")
    return {row.recording_id: (row.part, row.fold) for row in table.itertuples()}


def everything(root: Path) -> dict[str, bytes]:
    files = [path for top in ("data", "models") for path in (root / top).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_withdraw_refuses_an_unknown_patient_and_names_only_the_closest(root: Path) -> None:
    before = everything(root)
    with pytest.raises(DataError, match=r"'1044'.*104\?\n"):
        withdraw("1044", root=root)
    with pytest.raises(DataError, match=r"'Smith'\n"):
        withdraw("Smith", root=root)
    with pytest.raises(ParameterError, match="yesterday"):
        withdraw("104", "yesterday", root=root)
    assert everything(root) == before


def test_withdraw_without_data_names_the_command_that_brings_them(root: Path) -> None:
    shutil.rmtree(root / "data")
    with pytest.raises(DataError, match="no data of the data set sample") as caught:
        withdraw("104", root=root)
    assert "dvc pull" in caught.value.next_step


def test_withdraw_dry_run_reports_and_changes_nothing(root: Path) -> None:
    before = everything(root)
    said = str(withdraw("104", dry_run=True, root=root))
    assert (
        "3 recordings, 6 segments" in said and "without them: 1" in said and "learned from this patient: mine" in said
    )
    assert everything(root) == before


def test_withdraw_keeps_the_parts_of_others_and_stores_no_id(root: Path) -> None:
    before = assignment(root)
    said = str(withdraw("104", "2026-11-25", root=root))
    assert "git add data/withdrawn" in said and "auscult data purge" in said
    assert (root / PATHS.withdrawn).read_text() == f"patient,since\n{patient_key('sample', '104')},2026-11-25\n"
    assert patient_key("sample", "104") not in (root / PATHS.pinned_split).read_text()
    assert not list((root / PATHS.added).rglob("104_*")), "the addition is another one now"
    (batch,) = batches(root / PATHS.added)
    assert list(batch.rglob("301_*.wav"))
    with chdir(root):
        leave_out_of_raw(load("sample"), PATHS.raw, withdrawals.read("sample"))
        validate()
        split()
    assert assignment(root) == {name: part for name, part in before.items() if not name.startswith("104_")}


def test_withdraw_without_a_manifest_is_refused(root: Path) -> None:
    (root / PATHS.version).write_text("{}")  # git has it: there was a split
    shutil.rmtree(root / PATHS.manifest)
    before = everything(root)
    with pytest.raises(DataError, match="manifest is missing") as caught:
        withdraw("104", root=root)
    assert "dvc checkout" in caught.value.next_step and everything(root) == before


def test_withdraw_a_second_time_changes_nothing(root: Path) -> None:
    withdraw("104", "2026-11-25", root=root)
    before = everything(root)
    assert withdraw("104", "2027-01-01", root=root).since == "2026-11-25"
    assert everything(root) == before
    leave_out_of_raw(load("sample"), root / PATHS.raw, withdrawals.read("sample", root))
    before = everything(root)
    withdraw("104", root=root)
    assert everything(root) == before


def test_withdraw_of_a_patient_of_an_addition_pins_no_assignment(root: Path) -> None:
    withdraw("301", root=root)
    assert not (root / PATHS.pinned_split).exists()
    (batch,) = batches(root / PATHS.added)
    assert not list(batch.rglob("301_*")) and list(batch.rglob("104_*"))


def test_withdrawals_on_two_branches_merge(root: Path) -> None:
    shutil.copy2(REPOSITORY / ".gitattributes", root)
    (root / ".gitignore").write_text("*\n!/data/\n!/data/withdrawn/\n!/data/withdrawn/*\n!/.git*\n")
    withdrawals.make_ready("sample", root)
    for command in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "T"],
        ["config", "user.email", "t@example.org"],
    ):
        git(root, *command)
    commit(root)
    for patient in ("101", "102", "103"):
        git(root, "checkout", "-q", "-b", patient, "main")
        withdraw(patient, "2026-11-25", root=root)
        commit(root)
    for patient in ("101", "102"):
        subprocess.run(["git", "merge", "-q", "--no-edit", patient], cwd=root, check=False)
        commit(root)
    assert withdrawals.read("sample", root).keys == {patient_key("sample", name) for name in ("101", "102", "103")}
    assert set(pinned.read("sample", root).folds) >= {patient_key("sample", str(n)) for n in range(104, 113)}


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")


@pytest.mark.parametrize(
    "moment", ["core.withdrawals.write", "curation.withdrawals.withdraw.rewrite", "curation.additions.batch.track"]
)
def test_withdraw_after_a_kill_ends_in_the_same_state(
    root: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    withdraw("104", "2026-11-25", root=whole)
    with monkeypatch.context() as patch:
        patch.setattr(f"auscult.{moment}", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        child = os.fork()
        if child == 0:
            try:
                withdraw("104", "2026-11-25", root=root)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (root / PATHS.pinned_split).exists() and list((root / PATHS.added).rglob("104_*"))
    withdraw("104", "2026-11-25", root=root)
    assert everything(root) == everything(whole)


def test_models_of_an_older_version_know_the_decomposed_id(root: Path, tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    rows = f"a.wav,{decomposed},a,COPD,Eko,Al\nb.wav,P2,b,COPD,Eko,Al\n"
    (delivery / "recordings.csv").write_text(f"file,patient_id,recording_id,label,device,location\n{rows}")
    (delivery / "segments.csv").write_text("recording_id,start_s,end_s,label\na,0,1,normal\nb,0,1,normal\n")
    for name in ("a.wav", "b.wav"):
        (delivery / name).write_bytes(b"RIFF")
    put_batch(root, delivery)
    (older,) = patient_keys("sample", composed) - {patient_key("sample", composed)}
    (root / "models/sample/mine/model.json").write_text(json.dumps({"learned_from": [older]}))
    found = withdraw(f"{decomposed} ", dry_run=True, root=root)
    assert (found.patient, found.models, found.additions) == (composed, ["mine"], 1)
    table = root / PATHS.withdrawn
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(f"patient,since\n{older},2026-01-31\n")
    assert withdraw(composed, "2026-02-01", root=root).since == "2026-01-31"
    assert withdrawals.read("sample", root).keys == {older, patient_key("sample", composed)}
    assert not any((folder / "a.wav").exists() for folder in batches(root / PATHS.added))
    assert any((folder / "b.wav").exists() for folder in batches(root / PATHS.added))
