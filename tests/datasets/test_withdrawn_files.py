"""A raw folder has no file and no table line of withdrawn patients; all other bytes are unchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult import datasets
from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import Dataset
from auscult.datasets.retrieval.retrieve import assemble
from auscult.datasets.retrieval.source import remember
from auscult.datasets.retrieval.withdrawn_files import contains_withdrawn, leave_out, leave_out_of_raw, reduced
from stages.download import main

ROOT = Path(__file__).parents[2]
Contents = Callable[[Path], dict[str, bytes]]
#: Two patients of each small copy: one withdraws, one stays.
PATIENTS = {"icbhi": ("226", "156"), "sample": ("226", "156"), "sprsound": ("65058931", "40069321")}

pytestmark = pytest.mark.usefixtures("in_a_root")


@pytest.fixture(params=datasets.names())
def dataset(request: pytest.FixtureRequest) -> Dataset:
    assert request.param in PATIENTS, "add two patients of a small copy of it"
    return datasets.load(request.param)


@pytest.fixture
def raw(dataset: Dataset, official_copy: Path, sprsound_copy: Path) -> Path:
    """Create a raw folder in the layout of the data set."""
    source = sprsound_copy if dataset.name == "sprsound" else official_copy
    folder = Path("data") / dataset.name / "raw"
    for place, file in dataset.layout(source).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / place)
    return folder


def withdrawn(dataset: Dataset, *patients: str) -> Withdrawals:
    return Withdrawals(dataset.name, {patient_key(dataset.name, name): "2026-11-25" for name in patients})


def test_every_file_of_the_raw_folder_has_a_patient_or_is_a_table(dataset: Dataset, raw: Path) -> None:
    recordings = {recording.recording_id: recording.patient_id for recording in dataset.recordings(raw)}
    assert set(PATIENTS[dataset.name]) <= set(recordings.values())
    for path in (path for path in raw.rglob("*") if path.is_file()):
        place = path.relative_to(raw).as_posix()
        if not dataset.is_table(place):
            assert dataset.patient_of(place) == recordings[path.name.removesuffix(path.suffix)], place
    for name, patient in recordings.items():
        assert dataset.patient_of(name) == patient, "of a recording id"


def test_files_and_lines_of_a_withdrawn_patient_are_removed_and_no_others(
    dataset: Dataset, raw: Path, content_of: Contents
) -> None:
    leaves, stays = PATIENTS[dataset.name]
    before = content_of(raw)
    table = withdrawn(dataset, leaves)
    assert contains_withdrawn(dataset, raw, table)
    others = {r.recording_id: dataset.segments(raw, r) for r in dataset.recordings(raw) if r.patient_id != leaves}
    about = [r for r in dataset.recordings(raw) if r.patient_id != leaves]
    assert leave_out(dataset, raw, table)
    after = content_of(raw)
    assert not [place for place, content in after.items() if leaves in place or leaves.encode() in content]
    assert {place for place in before if leaves not in place} == set(after)
    assert any(stays in place for place in after)
    assert dataset.recordings(raw) == about
    assert {r.recording_id: dataset.segments(raw, r) for r in about} == others
    assert not contains_withdrawn(dataset, raw, table) and not leave_out(dataset, raw, table)


def test_other_lines_of_a_table_are_unchanged(dataset: Dataset, raw: Path) -> None:
    leaves, stays = PATIENTS[dataset.name]
    tables = [path for path in raw.rglob("*") if dataset.is_table(path.relative_to(raw).as_posix())]
    for path in tables:
        content = path.read_bytes()
        kept = reduced(dataset, path.relative_to(raw).as_posix(), content, withdrawn(dataset, leaves))
        assert kept == b"".join(line for line in content.splitlines(keepends=True) if leaves.encode() not in line)
        assert stays.encode() in kept and kept != content
        assert reduced(dataset, path.relative_to(raw).as_posix(), content, withdrawn(dataset, "7")) == content


def test_hard_linked_files_are_not_written(dataset: Dataset, raw: Path, tmp_path: Path, content_of: Contents) -> None:
    """Files of the raw folder may be hard links into DVC's cache."""
    cache = tmp_path / "cache"
    shutil.copytree(raw, cache, copy_function=os.link)
    before = content_of(cache)
    leave_out_of_raw(dataset, raw, withdrawn(dataset, PATIENTS[dataset.name][0]))
    assert content_of(cache) == before
    assert len(content_of(raw)) < len(before)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def use(name: str, *patients: str) -> None:
    """Write parameters for a data set, and its withdrawal table."""
    text = (ROOT / "params.yaml").read_text().replace("dataset: sample", f"dataset: {name}", 1)
    Path("params.yaml").write_text(text)
    withdrawals.write(withdrawn(datasets.load(name), *patients))


def test_a_users_copy_is_assembled_without_them_and_not_changed(
    official_copy: Path, content_of: Contents, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = content_of(official_copy)
    use("icbhi", "226")
    remember("icbhi", str(official_copy))
    main()
    raw = content_of(Path("data/icbhi/raw"))
    assert not [place for place, content in raw.items() if "226" in place or b"226" in content]
    assert content_of(official_copy) == before
    log = caplog.text
    assert "4 recordings of 3 patients" in log, "counted before the removal"
    assert "2 files and 3 table lines" in log
    assert "226" not in log


def test_withdrawn_patients_are_removed_from_raw_without_its_source(
    official_copy: Path, tmp_path: Path, content_of: Contents, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    disk = Path(shutil.copytree(official_copy, tmp_path / "disk"))
    use("icbhi")
    remember("icbhi", str(disk))
    main()
    shutil.rmtree(disk)
    use("icbhi", "226")
    for _ in range(2):
        main()
        raw = content_of(Path("data/icbhi/raw"))
        assert not [place for place, content in raw.items() if "226" in place or b"226" in content]
        assert len([place for place in raw if place.endswith(".wav")]) == 3
    remember_again = tmp_path / "again"
    shutil.copytree(official_copy, remember_again)
    remember("icbhi", str(remember_again))
    shutil.rmtree(remember_again)
    use("icbhi", "226", "101")
    main()
    assert not [place for place in content_of(Path("data/icbhi/raw")) if "101" in place]
    assert "is kept" in caplog.text


def test_a_withdrawal_downloads_nothing(
    official_copy: Path, remote: Any, server: Any, zip_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = zip_of(official_copy, tmp_path / "copy.zip").read_bytes()
    server.put("/copy.zip", body)
    icbhi = datasets.load("icbhi")
    monkeypatch.setattr(type(icbhi), "files", (remote(body, "/copy.zip"),))
    monkeypatch.setattr(type(icbhi), "expected", None)
    use("icbhi")
    main()
    shutil.rmtree(".cache")
    asked = len(server.log)
    use("icbhi", "226")
    main()
    assert len(server.log) == asked
    assert not list(Path("data/icbhi/raw").rglob("226_*"))


def test_a_new_source_is_retrieved_also_after_a_withdrawal(official_copy: Path, tmp_path: Path) -> None:
    use("icbhi")
    remember("icbhi", str(official_copy))
    main()
    more = Path(shutil.copytree(official_copy, tmp_path / "more"))
    for ending in (".wav", ".txt"):
        file = more / "ICBHI_final_database" / f"101_1b1_Al_sc_Meditron{ending}"
        shutil.copyfile(file, file.with_name(f"101_1b1_Ar_sc_Meditron{ending}"))
    use("icbhi", "226")
    remember("icbhi", str(more))
    main()
    names = {path.name for path in Path("data/icbhi/raw").rglob("*.wav")}
    assert "101_1b1_Ar_sc_Meditron.wav" in names and not any(name.startswith("226") for name in names)


def test_a_copy_is_counted_before_withdrawn_patients_are_removed(official_copy: Path) -> None:
    icbhi = datasets.load("icbhi")
    counts = assemble(icbhi, str(official_copy), Path("data/icbhi/raw"), withdrawn(icbhi, "226"))
    assert (counts.recordings, counts.patients) == (4, 3)
