"""ICBHI is read as published, and its known faults are corrected."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult import datasets
from auscult.core.errors import DataError
from auscult.core.records import Recording, Segment
from auscult.datasets import AnnotationError
from auscult.datasets.retrieval.retrieve import assemble

ICBHI = datasets.load("icbhi")


@pytest.fixture
def raw(official_copy: Path, tmp_path: Path) -> Path:
    assemble(ICBHI, str(official_copy), tmp_path / "data" / "raw")
    return tmp_path / "data" / "raw"


def by_id(raw: Path) -> dict[str, Recording]:
    return {recording.recording_id: recording for recording in ICBHI.recordings(raw)}


def test_a_recording_has_the_metadata_of_its_name_and_the_tables(raw: Path) -> None:
    assert by_id(raw)["101_1b1_Al_sc_Meditron"] == Recording(
        recording_id="101_1b1_Al_sc_Meditron",
        patient_id="101",
        path="ICBHI_final_database/101_1b1_Al_sc_Meditron.wav",
        device="Meditron",
        location="Al",
        age_years=3.0,
        sex="female",
        label="URTI",
        published_part="test",
    )


def test_the_recording_with_a_wrong_name_in_the_split_has_its_part(raw: Path) -> None:
    assert by_id(raw)["226_1b1_Pl_sc_LittC2SE"].published_part == "test"


def test_patients_in_both_parts_are_exempt_in_the_test_part_only(raw: Path) -> None:
    train, test = by_id(raw)["156_2b3_Al_mc_AKGC417L"], by_id(raw)["156_5b3_Al_mc_AKGC417L"]
    assert (train.published_part, train.exempt_reason) == ("train", None)
    assert test.published_part == "test" and "156" in str(test.exempt_reason)


def test_cycles_are_read_in_the_order_of_the_file(raw: Path) -> None:
    assert list(ICBHI.segments(raw, by_id(raw)["101_1b1_Al_sc_Meditron"])) == [
        Segment(0.1, 1.5, "normal"),
        Segment(1.5, 2.75, "crackle"),
        Segment(2.75, 4.0, "wheeze"),
        Segment(4.0, 5.0, "both"),
    ]


def test_na_in_a_table_is_not_missing(raw: Path) -> None:
    recording = by_id(raw)["226_1b1_Pl_sc_LittC2SE"]
    assert (recording.age_years, recording.sex, recording.missing) == (None, None, ())


def test_split_and_demographics_are_optional(raw: Path) -> None:
    (raw / "ICBHI_challenge_train_test.txt").unlink()
    (raw / "ICBHI_Challenge_demographic_information.txt").unlink()
    recordings = ICBHI.recordings(raw)
    assert {(recording.published_part, recording.age_years, recording.missing) for recording in recordings} == {
        (None, None, ())
    }


def test_patients_missing_in_a_table_are_listed(raw: Path) -> None:
    (raw / "ICBHI_Challenge_diagnosis.txt").write_text("101\tURTI\n156\tNA\n")
    (raw / "ICBHI_Challenge_demographic_information.txt").write_text("156 80 M 24.3 NA NA\n")
    recordings = by_id(raw)
    assert recordings["101_1b1_Al_sc_Meditron"].missing == ("demographics",)
    assert recordings["156_2b3_Al_mc_AKGC417L"].missing == ("diagnosis",)


def test_audio_without_annotation_and_annotation_without_audio_are_recordings(raw: Path) -> None:
    folder = raw / "ICBHI_final_database"
    (folder / "101_1b1_Al_sc_Meditron.wav").unlink()
    (folder / "156_2b3_Al_mc_AKGC417L.txt").unlink()
    (folder / "holiday.wav").write_bytes(b"RIFF")
    recordings = by_id(raw)
    assert recordings["101_1b1_Al_sc_Meditron"].path == ""
    assert "patient" in recordings["holiday"].missing
    with pytest.raises(AnnotationError, match=r"no annotation file 156_2b3_Al_mc_AKGC417L\.txt"):
        ICBHI.segments(raw, recordings["156_2b3_Al_mc_AKGC417L"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 1 0 0\n1 2 0\n", "line 2: 3 columns instead of 4"),
        ("0 1 0 0\n\none 2 0 0\n", "line 3: 'one' is no time"),
        ("0 nan 0 0\n", "line 1: 'nan' is no time"),
        ("0 1 2 0\n", "line 1: crackles and wheezes must be 0 or 1"),
        ("\n", "no cycle"),
        ("\x00\xff", "columns"),
    ],
)
def test_a_malformed_annotation_names_the_line(text: str, expected: str, raw: Path) -> None:
    path = raw / "ICBHI_final_database" / "101_1b1_Al_sc_Meditron.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=expected):
        ICBHI.segments(raw, by_id(raw)["101_1b1_Al_sc_Meditron"])
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(AnnotationError, match="not a text file"):
        ICBHI.segments(raw, by_id(raw)["101_1b1_Al_sc_Meditron"])


def test_a_malformed_table_names_file_and_line(raw: Path) -> None:
    (raw / "ICBHI_challenge_train_test.txt").write_text("101_1b1_Al_sc_Meditron\ttest\nrubbish\n")
    with pytest.raises(DataError, match=r"line 2 of ICBHI_challenge_train_test\.txt"):
        ICBHI.recordings(raw)


def test_tasks_group_the_diagnoses_and_sounds() -> None:
    tasks = {task.name: task for task in ICBHI.tasks}
    assert list(tasks) == ["binary", "multiclass", "abnormal", "sounds"]
    groups = {name: tasks["multiclass"].mapping[name] for name in ICBHI.recording_labels}
    assert sorted(name for name, group in groups.items() if group == "infectious") == [
        "Bronchiolitis",
        "LRTI",
        "Pneumonia",
        "URTI",
    ]
    assert sorted(name for name, group in groups.items() if group == "chronic") == ["Asthma", "Bronchiectasis", "COPD"]
    assert {tasks["binary"].class_index(name) for name in ICBHI.recording_labels - {"Healthy"}} == {1}
    assert [tasks["abnormal"].class_index(label) for label in ("normal", "crackle", "wheeze", "both")] == [0, 1, 1, 1]
