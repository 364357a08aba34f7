"""A delivery is examined alone and with the present data: accepted, present or rejected, with reasons."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from auscult.core.errors import DataError, ParameterError
from auscult.core.records import RECORDING_COLUMNS
from auscult.core.storage import read_table, write_table
from auscult.curation.additions import Delivery, Rejected, add, count_rejected, examination, examine, message
from stages.validate import main as validate
from tests.curation.additions.delivery_checks import NEW, NEWER, accepted, reasons
from tests.validation.small_data_set import (
    AUDIO,
    PATHS,
    RATE_HZ,
    breath,
    describe,
    make_delivery,
    name_of,
    write_into,
    write_recording,
)


def test_examine_rejects_faulty_recordings_with_reasons(root: Path, delivery: Path) -> None:
    def put(name: str, sound: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
        return write_into(delivery, name, sound, rate_hz)

    cut = put(name_of(303), breath(10))
    cut.write_bytes(cut.read_bytes()[:5000])
    put(name_of(102), breath(11))  # a present name, another sound
    put(name_of(103, 9), breath(1051))  # a present sound, another name
    put(name_of(304), soxr.resample(breath(1061), RATE_HZ, 11025) * 0.5, 11025)  # a near copy of a present sound
    put(name_of(305), breath(12))
    put(name_of(306), soxr.resample(breath(12), RATE_HZ, 8000), 8000)  # a near copy within the delivery
    put(name_of(307), breath(13)).with_suffix(".txt").write_text("0.1\t2\t0\n")
    (delivery / AUDIO / "holiday.wav").write_bytes(b"RIFF")
    describe(delivery, [102, 103, 104, 301, 302, 303, 304, 305, 306, 307, 308])
    put(name_of(308), breath(14))
    table = delivery / "ICBHI_Challenge_demographic_information.txt"
    table.write_text(re.sub(r"^308\t\d+", "308\t444", table.read_text(), flags=re.M))
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {
        name_of(303): "truncated",
        name_of(102): "duplicate_id",
        name_of(103, 9): "duplicate_audio",
        name_of(304): "near_duplicate",
        name_of(305): "near_duplicate",
        name_of(306): "near_duplicate",
        name_of(307): "annotation_malformed",
        name_of(308): "expectation",
        f"{AUDIO}/holiday.wav": "unplaced",
    }
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]
    detail = next(entry.detail for entry in examined.rejected if entry.recording_id == name_of(304))
    assert name_of(106) in detail
    assert {Path(place).stem for place in examined.files if place.startswith(AUDIO)} == set(accepted(examined))


def test_examine_rejects_another_copy_of_a_recording_that_two_patients_share(root: Path, delivery: Path) -> None:
    write_recording(root, name_of(102, 3), breath(1011))  # the sound of 101
    with chdir(root):
        validate()
    write_into(delivery, name_of(104, 6), breath(1011))
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {name_of(104, 6): "duplicate_audio"}
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]


@pytest.mark.parametrize("ending", ["wav", "txt"])
def test_examine_rejects_a_recording_with_an_unreadable_file(
    root: Path, delivery: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    refuse(monkeypatch, f"{NEW}.{ending}")
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {NEW: "unreadable"}
    assert accepted(examined) == [name_of(104, 5), NEWER]


def test_examine_names_a_table_without_read_permission(
    root: Path, delivery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "ICBHI_Challenge_diagnosis.txt")
    with pytest.raises(DataError, match="cannot be read: Permission denied") as caught:
        examine("sample", delivery, root)
    assert str(delivery / "ICBHI_Challenge_diagnosis.txt") in caught.value.what


def refuse(patch: pytest.MonkeyPatch, name: str) -> None:
    """Let nobody open files of this name."""

    def refusing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *arguments, **options)

    open_ = Path.open
    patch.setattr(Path, "open", refusing)


def test_examine_rejects_names_that_are_not_utf_8(root: Path, delivery: Path) -> None:
    sound = write_into(delivery, name_of(304), breath(9))
    for file in (sound, sound.with_suffix(".txt")):
        file.rename(file.with_name(os.fsdecode(b"301_2b1_Al_sc_M\xe9ditron" + file.suffix.encode())))
    examined = examine("sample", delivery, root)
    assert [entry.reason for entry in examined.rejected] == ["unplaced"]
    assert accepted(examined) == [name_of(104, 5), NEW, NEWER]


def test_add_refuses_a_file_that_changed_during_the_examination(
    root: Path, delivery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any) -> Any:
        found = alone(*arguments)
        write_into(delivery, NEW, breath(77))
        return found

    alone = examination._examine_alone
    monkeypatch.setattr(examination, "_examine_alone", slowly)
    examined = examine("sample", delivery, root)
    with pytest.raises(DataError, match="changed since it was examined"):
        add(examined)


def test_examine_rejects_contradicting_metadata_of_a_known_patient(root: Path, delivery: Path) -> None:
    table = delivery / "ICBHI_Challenge_demographic_information.txt"
    table.write_text(re.sub(r"^(104\t\d+)\tM", r"\1\tF", table.read_text(), flags=re.M))
    examined = examine("sample", delivery, root)
    assert reasons(examined) == {name_of(104, 5): "expectation"}
    assert "one sex per patient" in examined.rejected[0].detail


def test_examine_accepts_only_new_recordings_of_a_second_delivery(
    root: Path, examined: Delivery, tmp_path: Path
) -> None:
    add(examined)
    sounds = {NEW: breath(2), name_of(301, 2): breath(4), NEWER: breath(5), name_of(103, 9): breath(3)}
    second = examine("sample", make_delivery(tmp_path / "second", sounds), root)
    assert second.present == (NEW,)
    assert reasons(second) == {NEWER: "duplicate_id", name_of(103, 9): "duplicate_audio"}
    assert accepted(second) == [name_of(301, 2)]
    assert (second.known, second.parts["301"]) == ({"301"}, examined.parts["301"]), "known by the first delivery"


def test_examine_rejects_corrected_labels_of_present_recordings(root: Path, tmp_path: Path) -> None:
    folder = make_delivery(tmp_path / "delivery", {name_of(101): breath(1011), name_of(102): breath(1021)})
    shutil.copytree(root / PATHS.raw / AUDIO, folder / AUDIO, dirs_exist_ok=True)
    describe(folder, range(101, 113))
    unchanged = examine("sample", folder, root)
    assert (accepted(unchanged), unchanged.rejected, len(unchanged.present)) == ([], (), 24)
    (folder / AUDIO / f"{name_of(101)}.txt").write_text("0.1\t3.000\t0\t1\n3.000\t6.000\t1\t0\n")
    table = folder / "ICBHI_Challenge_diagnosis.txt"
    table.write_text(re.sub(r"^102\t\w+", "102\tAsthma", table.read_text(), flags=re.M))
    corrected = examine("sample", folder, root)
    assert reasons(corrected) == dict.fromkeys([name_of(101), name_of(102), name_of(102, 2)], "corrected")


def test_examine_rejects_names_of_rejected_recordings(root: Path, tmp_path: Path) -> None:
    audio = root / PATHS.raw / AUDIO / f"{name_of(101)}.wav"
    audio.write_bytes(audio.read_bytes()[:5000])
    with chdir(root):
        validate()
    examined = examine("sample", make_delivery(tmp_path / "delivery", {name_of(101): breath(1011)}), root)
    assert reasons(examined) == {name_of(101): "duplicate_id"}


def test_message_holds_counts_and_no_names(root: Path, delivery: Path) -> None:
    write_into(delivery, name_of(102), breath(11))
    describe(delivery, [102, 104, 301, 302])
    examined = examine("sample", delivery, root)
    text = message(examined)
    first, blank, *rest = text.splitlines()
    assert (first, blank) == ("data: 3 recordings of 3 patients added to sample", "")
    assert f"Addition {examined.batch}, 0.01 hours" in rest
    assert "Recordings: Healthy 1, URTI 2" in rest
    assert "Segments: crackle 3, normal 3" in rest
    assert any(re.fullmatch(r"Known patients, who keep their part: 1 \(\w+ 1\)", line) for line in rest)
    assert any(line.startswith("New patients: 2 (") for line in rest)
    assert rest[-1] == "Not added: 1 duplicate_id"
    assert not re.search(r"\b(102|104|301|302)\b|_", text.replace("duplicate_id", ""))


def test_count_rejected_counts_a_recording_with_two_reasons_once() -> None:
    reasons = [("a", "unknown_label"), ("a", "truncated"), ("a", "truncated"), ("b", "near_duplicate")]
    assert count_rejected([Rejected(name, reason, "") for name, reason in reasons]) == {
        "truncated": 1,
        "near_duplicate": 1,
    }


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write_bytes(b"PK"), "is a file"),
        (lambda folder: folder.mkdir(), "this is no copy of"),
        (lambda folder: write_into(folder, NEW, breath(2)), "lacks the diagnoses"),
    ],
    ids=["nothing", "archive", "empty", "no table"],
)
def test_examine_refuses_a_folder_in_another_layout(root: Path, tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "delivery")
    with pytest.raises(DataError, match=words) as caught:
        examine("sample", tmp_path / "delivery", root)
    assert str(tmp_path / "delivery") in caught.value.where and caught.value.next_step


def test_examine_names_an_unreadable_table_in_the_delivery(root: Path, delivery: Path) -> None:
    table = (delivery / "ICBHI_Challenge_diagnosis.txt").rename(delivery / "patient_diagnosis.csv")
    table.write_text("<html>please log in</html>")
    with pytest.raises(DataError, match=r"is not a table") as caught:
        examine("sample", delivery, root)
    assert caught.value.where == str(table)


def test_examine_without_a_manifest_names_the_next_command(root: Path, delivery: Path) -> None:
    shutil.rmtree(root / PATHS.manifest)
    with pytest.raises(DataError, match="manifest of sample") as caught:
        examine("sample", delivery, root)
    assert "dvc repro validate" in caught.value.next_step


def test_examine_refuses_a_manifest_with_a_missing_addition(root: Path, delivery: Path) -> None:
    file = root / PATHS.manifest / "recordings.parquet"
    write_table(file, read_table(file).assign(batch="0123456789ab"), RECORDING_COLUMNS)
    with pytest.raises(DataError, match="0123456789ab"):
        examine("sample", delivery, root)


def test_examine_refuses_an_unknown_data_set(root: Path, delivery: Path) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'sample'"):
        examine("samples", delivery, root)
