"""Names and patient ids in several spellings: one patient stays one, and a dry run finds what the real run does."""

from __future__ import annotations

import csv
import unicodedata
from contextlib import chdir
from pathlib import Path

import pytest
import soundfile

from auscult.core import withdrawals
from auscult.core.storage import read_table
from auscult.curation.additions import Delivery, examine, message
from auscult.curation.additions.adding import Added, add_all
from auscult.curation.withdrawals.patient_lookup import patients_in_folder
from auscult.curation.withdrawals.withdraw import withdraw
from auscult.datasets import load
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS
from auscult.validation.additions import batches
from stages.split import main as split
from stages.validate import main as validate
from tests.curation.additions.delivery_checks import accepted, everything, reasons
from tests.validation.small_data_set import PATHS, breath, make_delivery, name_of

NFC, NFD = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def deliver(folder: Path, rows: list[tuple[str, str, str]], seed: int = 700) -> Path:
    """Audio with two tables; a row is the file on the disk, the file in the tables, and the patient."""
    folder.mkdir(parents=True)
    for number, (on_disk, _, _) in enumerate(rows):
        soundfile.write(folder / on_disk, breath(seed + number), 4000, format="WAV")
    described = [[name, patient, "COPD", "Eko", "Al"] for _, name, patient in rows]
    timed = [[name, "0.5", "3", "crackle"] for _, name, _ in rows]
    tables = (
        (RECORDINGS, [["file", "patient_id", "label", "device", "location"], *described]),
        (SEGMENTS, [["file", "start_s", "end_s", "label"], *timed]),
    )
    for name, lines in tables:
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
    return folder


def found(added: Added) -> dict[str, object]:
    """Return all that is reported, except that it was a dry run."""
    return added.to_json() | {"dry_run": None}


def test_a_dry_run_finds_what_the_real_run_does(root: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    deliver(
        inbox / "week-1",
        [
            ("plain.wav", "plain.wav", "P1"),
            ("trailing .wav", "trailing .wav ", "P2"),
            (" leading.wav", "leading.wav", "P3"),
            (unicodedata.normalize("NFD", "Müßig.wav"), unicodedata.normalize("NFC", "Müßig.wav"), NFD),
            ("#1 left.wav", "#1 left.wav", "P5"),
            ("other.wav", "missing.wav", "P6"),
        ],
    )
    repeated = [("copy.wav", "copy.wav", "P5"), ("plain.wav", "plain.wav", "P1"), ("x.wav", "x.wav", NFC)]
    deliver(inbox / "week-2", repeated, seed=704)  # copy.wav sounds like "#1 left.wav" of the week before
    before = everything(root)
    dry = add_all(None, inbox, root, dry_run=True)
    assert everything(root) == before
    real = add_all(None, inbox, root)
    assert found(dry) == found(real)
    assert sorted(real.accepted) == sorted(["#1 left", "Müßig", "leading", "plain", "trailing", "x"])
    assert {(entry.recording_id, entry.reason) for entry in real.rejected} == {
        ("week-1/missing", "missing_audio"),
        ("week-1/missing", "missing_metadata"),
        ("week-1/other.wav", "unplaced"),
        ("week-2/plain", "duplicate_id"),
        ("week-2/copy", "duplicate_audio"),
    }
    assert len(real.batches) == 2


def test_a_patient_in_two_unicode_forms_is_one(root: Path, tmp_path: Path) -> None:
    add_all(None, deliver(tmp_path / "one", [("a.wav", "a.wav", NFC)]), root)
    other = deliver(tmp_path / "two", [("b.wav", "b.wav", f"{NFD} ")], seed=710)
    examined = examine("sample", other, root)
    assert (examined.known, examined.look_alikes) == ({NFC}, ())
    add_all(None, other, root)
    with chdir(root):
        validate()
        split()
    table = read_table(root / PATHS.split / "assignment.parquet")
    rows = table[table["recording_id"].isin(["a", "b"])]
    assert set(rows["patient_id"]) == {NFC} and rows["part"].nunique() == rows["fold"].nunique() == 1
    for form in (NFD, f" {NFC}"):
        assert withdraw(form, dry_run=True, root=root).recordings == 2
    with chdir(root):
        assert withdraw(NFD).additions == 2
        validate()
    assert batches(root / PATHS.added) == [] and len(withdrawals.read("sample", root)) == 1
    assert reasons(examine("sample", other, root)) == {"b": "withdrawn"}


@pytest.fixture
def alike(root: Path, tmp_path: Path) -> Delivery:
    """Recordings of patients that look like each other, or like 101 of the present data."""
    names = ["0101", "101.0", "P10", "p10", "P11"]
    rows = [(f"{number}.wav", f"{number}.wav", name) for number, name in enumerate(names)]
    return examine("sample", deliver(tmp_path / "alike", rows), root)


def test_patients_that_look_alike_are_reported_and_kept_apart(
    alike: Delivery, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(accepted(alike)) == 5 and len(alike.new) == 5
    assert alike.look_alikes == (("0101", "101", "101.0"), ("P10", "p10"))
    assert "look alike: 2" in message(alike)
    assert not any(name in message(alike) for name in ("P10", "0101"))
    added = Added("sample", root, True, [alike], [])
    assert added.to_json()["look_alikes"] == [("0101", "101", "101.0"), ("P10", "p10")]
    assert "'P10', 'p10'" in str(added)


def test_validate_names_patients_that_look_alike(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_all(None, deliver(tmp_path / "one", [("a.wav", "a.wav", "0101"), ("b.wav", "b.wav", "P9")]), root)
    with chdir(root):
        validate()
    assert "'0101', '101'" in caplog.text
    assert "0101 · 101" in (root / PATHS.manifest / "validation.html").read_text(encoding="utf-8")
    assert "0101" not in (root / PATHS.manifest / "summary.json").read_text(encoding="utf-8"), "it goes into the card"
    said = withdraw("101", dry_run=True, root=root)
    assert said.look_alikes == ["0101"] and "'0101'" in str(said)
    assert patients_in_folder(load("sample"), batches(root / PATHS.added)[0]) == {"0101", "P9"}


def test_a_delivery_in_the_layout_of_the_data_set_may_have_decomposed_names(root: Path, tmp_path: Path) -> None:
    name = name_of(301).replace("Meditron", "Gerät")
    folder = make_delivery(tmp_path / "delivery", {unicodedata.normalize("NFD", name): breath(730)})
    dry, real = add_all(None, folder, root, dry_run=True), add_all(None, folder, root)
    assert found(dry) == found(real) and real.accepted == [name] and not real.rejected
