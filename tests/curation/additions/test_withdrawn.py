"""Withdrawn patients are rejected in deliveries, and removed from additions."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.withdrawals import Withdrawals
from auscult.curation.additions import Delivery, add, batch, examine, message
from auscult.curation.additions.batch import locked, rewrite
from auscult.datasets import load
from auscult.retraining.ingestion import write_rejected
from auscult.validation.additions import batch_name, batches, checksums
from tests.curation.additions.delivery_checks import NEW, NEWER, accepted, reasons
from tests.validation.small_data_set import AUDIO, PATHS, name_of

DIAGNOSES = "ICBHI_Challenge_diagnosis.txt"


def withdraw(root: Path, *patients: str) -> Withdrawals:
    table = Withdrawals("sample", {patient_key("sample", name): "2026-11-25" for name in patients})
    withdrawals.write(table, root)
    return table


def test_examine_rejects_recordings_and_table_rows_of_withdrawn_patients(root: Path, delivery: Path) -> None:
    withdraw(root, "301")
    examined = examine("sample", delivery, root)
    assert accepted(examined) == [name_of(104, 5), NEWER]
    assert reasons(examined) == {NEW: "withdrawn"}
    folder = root / PATHS.added / str(add(examined))
    assert not list(folder.rglob("301_*"))
    assert (folder / DIAGNOSES).read_text().split()[::2] == ["104", "302"]
    assert "301\t" in (delivery / DIAGNOSES).read_text(), "the delivery is as it was"
    assert "301" not in message(examined) and "1 withdrawn" in message(examined)
    listed = write_rejected(root, "sample", "run", examined.rejected)
    assert (root / listed).read_text().splitlines()[1:] == [",withdrawn,its patient has withdrawn"]


def test_add_of_withdrawn_patients_only_adds_nothing(root: Path, delivery: Path) -> None:
    withdraw(root, "301", "302", "104")
    examined = examine("sample", delivery, root)
    assert accepted(examined) == [] and set(reasons(examined).values()) == {"withdrawn"}
    assert add(examined) is None


@pytest.fixture
def added(root: Path, examined: Delivery) -> Path:
    """The repository with all three recordings added."""
    add(examined)
    return root


def test_rewrite_replaces_an_addition_by_one_without_the_patient(added: Path) -> None:
    table = withdraw(added, "301")
    (before,) = batches(added / PATHS.added)
    others = {place: sha for place, sha in checksums(before).items() if place.startswith(AUDIO) and "301_" not in place}
    with locked(added):
        name = rewrite(load("sample"), before, table, added)
    (after,) = batches(added / PATHS.added)
    assert after.name == name != before.name and batch_name(checksums(after)) == name
    assert {place: sha for place, sha in checksums(after).items() if place.startswith(AUDIO)} == others
    assert "301" not in (after / DIAGNOSES).read_text()
    assert sorted(path.name for path in (added / PATHS.added).iterdir()) == [name, f"{name}.dvc"]


def test_rewrite_removes_an_addition_of_withdrawn_patients_only(added: Path) -> None:
    table = withdraw(added, "301", "302", "104")
    (before,) = batches(added / PATHS.added)
    with locked(added):
        assert rewrite(load("sample"), before, table, added) is None
    assert not list((added / PATHS.added).iterdir())


def test_rewrite_after_a_kill_ends_in_the_same_state(
    added: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = withdraw(added, "301")
    (before,) = batches(added / PATHS.added)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        child = os.fork()
        if child == 0:
            try:
                batch.rewrite(load("sample"), before, table, added)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert before.is_dir()
    with locked(added):
        name = rewrite(load("sample"), before, table, added)
    assert [folder.name for folder in batches(added / PATHS.added)] == [name]
