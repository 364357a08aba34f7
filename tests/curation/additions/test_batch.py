"""Batches are added completely or not at all, and the stages take them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from auscult.core.digests import file_sha256
from auscult.core.errors import AuscultError, DataError
from auscult.core.storage import read_table
from auscult.curation.additions import Delivery, add, examine, message
from auscult.curation.additions import batch as batch_module
from auscult.validation.additions import batch_name, batches, checksums
from auscult.versioning import commands
from stages.split import main as split
from stages.validate import main as validate
from tests.curation.additions.delivery_checks import NEW, NEWER, accepted, everything, folder_of, parts
from tests.validation.small_data_set import AUDIO, PATHS, breath, make_delivery, name_of


def test_stages_take_an_added_batch_and_assign_the_predicted_parts(root: Path, examined: Delivery) -> None:
    before = parts(root)
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]
    assert (examined.known, examined.new) == ({"104"}, {"301", "302"})
    name = add(examined)
    folder = root / PATHS.added / str(name)
    assert re.fullmatch(r"[0-9a-f]{12}", str(name)) and batch_name(checksums(folder)) == name
    assert "md5" in folder.with_name(f"{name}.dvc").read_text()
    with chdir(root):
        validate()
        split()
    after = parts(root)
    assert {key: after[key] for key in before} == before
    assert {key: after[key] for key in after.keys() - before.keys()} == {
        item.recording.recording_id: examined.parts[item.recording.patient_id] for item in examined.accepted
    }
    assert examined.parts["104"] == before[name_of(104)]
    manifest = read_table(root / PATHS.manifest / "recordings.parquet")
    assert (manifest["batch"] == name).sum() == 3
    for place, file in examined.files.items():
        assert file.stat().st_mode & stat.S_IWUSR, "DVC made its own copy read-only, not the delivery"
        assert not file.samefile(folder / place) and file_sha256(file) == examined.checksums[place]
    known = examine("sample", folder_of(examined), root)
    assert (accepted(known), known.rejected, len(known.present)) == ([], (), 3)


def test_add_of_the_same_delivery_twice_adds_it_once(root: Path, examined: Delivery) -> None:
    name = add(examined)
    before = everything(root)
    assert add(examined) == name
    again = examine("sample", folder_of(examined), root)  # the manifest does not know the batch yet
    assert (accepted(again), again.rejected) == ([], ())
    assert set(again.present) == {name_of(104, 5), NEW, NEWER}
    assert add(again) is None
    assert everything(root) == before


def test_add_without_accepted_recordings_writes_nothing(root: Path, tmp_path: Path) -> None:
    folder = make_delivery(tmp_path / "delivery", {NEW: breath(2)})
    (folder / AUDIO / f"{NEW}.wav").write_bytes(b"")
    examined = examine("sample", folder, root)
    before = everything(root)
    assert add(examined) is None
    assert everything(root) == before and not (root / PATHS.added).exists()
    assert message(examined).splitlines() == ["data: nothing added to sample", "", "Not added: 1 unreadable"]


def stop(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["copying", "tracking"])
def test_add_after_a_kill_ends_in_the_same_state(
    root: Path, examined: Delivery, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch_module, "checksums" if moment == "copying" else "track", stop)
        child = os.fork()
        if child == 0:
            try:
                add(examined)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (left,) = (root / PATHS.added).iterdir()
    assert (left / AUDIO / f"{NEW}.wav").exists(), "the kill came after files were copied"
    before = everything(root)
    if moment == "tracking":
        with pytest.raises(DataError, match="so nobody else can get it"):
            examine("sample", folder_of(examined), root)
    else:
        assert len(examine("sample", folder_of(examined), root).accepted) == 3
    assert everything(root) == before, "an examination removes nothing"
    name = add(examined)
    assert sorted(path.name for path in (root / PATHS.added).iterdir()) == [str(name), f"{name}.dvc"]
    assert [folder.name for folder in batches(root / PATHS.added)] == [name]


def test_add_removes_a_batch_that_dvc_cannot_track(
    root: Path, examined: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "DVC", (sys.executable, "-c", "raise SystemExit('ERROR: the disk is gone')"))
    with pytest.raises(AuscultError, match="the disk is gone"):
        add(examined)
    assert not list((root / PATHS.added).iterdir())


def test_add_and_examine_refuse_a_folder_without_dvc(root: Path, examined: Delivery) -> None:
    shutil.rmtree(root / ".dvc")
    with pytest.raises(AuscultError, match="DVC repository"):
        add(examined)
    with pytest.raises(AuscultError, match="DVC repository"):
        examine("sample", folder_of(examined), root)
    assert not (root / ".dvc").exists() and not (root / PATHS.added).exists()


def test_add_refuses_a_file_that_changed_after_its_examination(root: Path, delivery: Path) -> None:
    examined = examine("sample", delivery, root)
    before = everything(root)
    batch_module.check(examined)
    (delivery / AUDIO / f"{NEW}.txt").write_text("0.1\t2\t0\t0\n")
    with pytest.raises(DataError, match="changed since it was examined"):
        batch_module.check(examined)
    assert everything(root) == before
    with pytest.raises(DataError, match="changed since it was examined"):
        add(examined)
    assert not list((root / PATHS.added).iterdir())
