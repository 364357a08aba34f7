"""ICBHI and SPRSound are read as published, and their known faults are corrected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auscult import datasets
from auscult.core.errors import DataError
from auscult.core.records import Recording, Segment
from auscult.datasets import AnnotationError, Dataset
from auscult.datasets.retrieval.retrieve import assemble

ICBHI, SPRSOUND = datasets.load("icbhi"), datasets.load("sprsound")
TRAIN, POOR = "65058931_3.4_1_p2_1086", "40069321_15.3_0_p1_981"
INTER, INTRA = "40890405_3.3_0_p3_3655", "65058931_3.4_1_p4_1090"
CYCLES, EVENTS = "ICBHI_final_database/101_1b1_Al_sc_Meditron.txt", f"train2022_json/{TRAIN}.json"


@pytest.fixture
def icbhi_raw(official_copy: Path, tmp_path: Path) -> Path:
    assemble(ICBHI, str(official_copy), tmp_path / "data" / "icbhi")
    return tmp_path / "data" / "icbhi"


@pytest.fixture
def sprsound_raw(sprsound_copy: Path, tmp_path: Path) -> Path:
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "sprsound")
    return tmp_path / "data" / "sprsound"


def by_id(dataset: Dataset, raw: Path) -> dict[str, Recording]:
    return {recording.recording_id: recording for recording in dataset.recordings(raw)}


@pytest.mark.parametrize(
    ("dataset", "content", "expected"),
    [
        (ICBHI, "0 1 0 0\n1 2 0\n", "line 2: 3 columns instead of 4"),
        (ICBHI, "0 1 0 0\n\none 2 0 0\n", "line 3: 'one' is no time"),
        (ICBHI, "0 nan 0 0\n", "line 1: 'nan' is no time"),
        (ICBHI, "0 1 2 0\n", "line 1: crackles and wheezes must be 0 or 1"),
        (ICBHI, "\n", "no cycle"),
        (ICBHI, "\x00\xff", "columns"),
        (ICBHI, b"\xff\x00\xfe\x01", "not a text file"),
        (SPRSOUND, '{"record_annotation": "Normal",\n "event_annotation": [', "line 2"),
        (SPRSOUND, "[]", "an object is needed"),
        (SPRSOUND, '{"record_annotation": "Normal"}', "no list event_annotation"),
        (SPRSOUND, '{"event_annotation": [{"start": "1", "end": "2"}]}', "event 1: start, end and type"),
        (SPRSOUND, '{"event_annotation": [{"start": "1s", "end": "2", "type": "Normal"}]}', "'1s' is no time"),
        (SPRSOUND, '{"event_annotation": [{"start": NaN, "end": "2", "type": "Normal"}]}', "no time in milliseconds"),
        (SPRSOUND, '{"event_annotation": [{"start": 1, "end": true, "type": "Normal"}]}', "True is no time"),
        (SPRSOUND, '{"event_annotation": [{"start": 1, "end": 2, "type": 3}]}', "type must be text"),
        (
            SPRSOUND,
            f'{{"event_annotation": [{{"start": {10**400}, "end": 2, "type": "Normal"}}]}}',
            "no time in millise",
        ),
        (SPRSOUND, "[" * 100_000, "depth|recursion|line 1"),
    ],
)
def test_a_malformed_annotation_is_an_error_that_names_the_place(
    dataset: Dataset, content: str | bytes, expected: str, icbhi_raw: Path, sprsound_raw: Path
) -> None:
    raw, place = (icbhi_raw, CYCLES) if dataset is ICBHI else (sprsound_raw, EVENTS)
    (raw / place).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AnnotationError, match=expected):
        dataset.segments(raw, by_id(dataset, raw)[Path(place).stem])


def test_a_recording_of_icbhi_has_the_metadata_of_its_name_and_the_tables(icbhi_raw: Path) -> None:
    assert by_id(ICBHI, icbhi_raw)["101_1b1_Al_sc_Meditron"] == Recording(
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


def test_the_recording_with_a_wrong_name_in_the_split_has_its_part(icbhi_raw: Path) -> None:
    assert by_id(ICBHI, icbhi_raw)["226_1b1_Pl_sc_LittC2SE"].published_part == "test"


def test_patients_in_both_parts_are_exempt_in_the_test_part_only(icbhi_raw: Path) -> None:
    train, test = by_id(ICBHI, icbhi_raw)["156_2b3_Al_mc_AKGC417L"], by_id(ICBHI, icbhi_raw)["156_5b3_Al_mc_AKGC417L"]
    assert (train.published_part, train.exempt_reason) == ("train", None)
    assert test.published_part == "test" and "156" in str(test.exempt_reason)


def test_cycles_are_read_in_the_order_of_the_file(icbhi_raw: Path) -> None:
    assert list(ICBHI.segments(icbhi_raw, by_id(ICBHI, icbhi_raw)["101_1b1_Al_sc_Meditron"])) == [
        Segment(0.1, 1.5, "normal"),
        Segment(1.5, 2.75, "crackle"),
        Segment(2.75, 4.0, "wheeze"),
        Segment(4.0, 5.0, "both"),
    ]


def test_na_in_a_table_is_not_missing(icbhi_raw: Path) -> None:
    recording = by_id(ICBHI, icbhi_raw)["226_1b1_Pl_sc_LittC2SE"]
    assert (recording.age_years, recording.sex, recording.missing) == (None, None, ())


def test_split_and_demographics_are_optional(icbhi_raw: Path) -> None:
    (icbhi_raw / "ICBHI_challenge_train_test.txt").unlink()
    (icbhi_raw / "ICBHI_Challenge_demographic_information.txt").unlink()
    recordings = ICBHI.recordings(icbhi_raw)
    assert {(recording.published_part, recording.age_years, recording.missing) for recording in recordings} == {
        (None, None, ())
    }


def test_patients_missing_in_a_table_are_listed(icbhi_raw: Path) -> None:
    (icbhi_raw / "ICBHI_Challenge_diagnosis.txt").write_text("101\tURTI\n156\tNA\n")
    (icbhi_raw / "ICBHI_Challenge_demographic_information.txt").write_text("156 80 M 24.3 NA NA\n")
    recordings = by_id(ICBHI, icbhi_raw)
    assert recordings["101_1b1_Al_sc_Meditron"].missing == ("demographics",)
    assert recordings["156_2b3_Al_mc_AKGC417L"].missing == ("diagnosis",)


def test_audio_without_annotation_and_annotation_without_audio_are_recordings(icbhi_raw: Path) -> None:
    folder = icbhi_raw / "ICBHI_final_database"
    (folder / "101_1b1_Al_sc_Meditron.wav").unlink()
    (folder / "156_2b3_Al_mc_AKGC417L.txt").unlink()
    (folder / "holiday.wav").write_bytes(b"RIFF")
    recordings = by_id(ICBHI, icbhi_raw)
    assert recordings["101_1b1_Al_sc_Meditron"].path == ""
    assert "patient" in recordings["holiday"].missing
    with pytest.raises(AnnotationError, match=r"no annotation file 156_2b3_Al_mc_AKGC417L\.txt"):
        ICBHI.segments(icbhi_raw, recordings["156_2b3_Al_mc_AKGC417L"])


def test_a_malformed_table_names_file_and_line(icbhi_raw: Path) -> None:
    (icbhi_raw / "ICBHI_challenge_train_test.txt").write_text("101_1b1_Al_sc_Meditron\ttest\nrubbish\n")
    with pytest.raises(DataError, match=r"line 2 of ICBHI_challenge_train_test\.txt"):
        ICBHI.recordings(icbhi_raw)


def test_tasks_of_icbhi_group_the_diagnoses_and_sounds() -> None:
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


def test_a_recording_of_sprsound_has_the_metadata_of_its_name(sprsound_raw: Path) -> None:
    assert by_id(SPRSOUND, sprsound_raw)[TRAIN] == Recording(
        recording_id=TRAIN,
        patient_id="65058931",
        path=f"train2022_wav/{TRAIN}.wav",
        device="Yunting II",
        location="left lateral",
        age_years=3.4,
        sex="female",
        label="DAS",
        sequence=1086,
        published_part="train",
    )
    assert by_id(SPRSOUND, sprsound_raw)[POOR].sex == "male"


def test_events_are_in_seconds_and_in_the_order_of_the_file(sprsound_raw: Path) -> None:
    assert list(SPRSOUND.segments(sprsound_raw, by_id(SPRSOUND, sprsound_raw)[TRAIN])) == [
        Segment(2.499, 4.277, "Fine Crackle"),
        Segment(0.1, 2.4, "Normal"),
    ]
    assert list(SPRSOUND.segments(sprsound_raw, by_id(SPRSOUND, sprsound_raw)[POOR])) == []


def test_the_intra_patient_part_of_the_official_test_is_exempt(sprsound_raw: Path) -> None:
    recordings = by_id(SPRSOUND, sprsound_raw)
    assert list(recordings) == sorted((TRAIN, POOR, INTER, INTRA))  # no later challenge
    assert (recordings[INTER].published_part, recordings[INTER].exempt_reason) == ("test", None)
    assert recordings[INTRA].published_part == "test"
    assert str(recordings[INTRA].exempt_reason).startswith("intra-patient test: ")
    assert len(SPRSOUND.segments(sprsound_raw, recordings[INTRA])) == 1


def test_folder_names_without_the_year_and_flac_files_are_accepted(sprsound_copy: Path, tmp_path: Path) -> None:
    root = sprsound_copy / "BioCAS2022"
    (root / "test2022_wav").rename(root / "test_wav")
    (root / "test2022_json").rename(root / "test_json")
    for path in (root / "train2022_wav").iterdir():
        path.rename(path.with_suffix(".flac"))
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    recordings = by_id(SPRSOUND, tmp_path / "data" / "raw")
    assert recordings[TRAIN].path == f"train2022_wav/{TRAIN}.flac"
    assert recordings[INTER].path == f"test2022_wav/{INTER}.wav"
    assert recordings[INTER].published_part == "test"


def test_the_training_part_alone_is_a_copy(sprsound_copy: Path, tmp_path: Path) -> None:
    assemble(SPRSOUND, str(sprsound_copy / "BioCAS2022" / "train2022_wav" / ".."), tmp_path / "data" / "all")
    for folder in ("test2022_wav", "test2022_json"):
        (sprsound_copy / "BioCAS2022" / folder).rename(tmp_path / folder)
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    assert {recording.published_part for recording in by_id(SPRSOUND, tmp_path / "data" / "raw").values()} == {"train"}


def test_files_without_a_patient_in_their_name_are_not_used_and_logged(
    sprsound_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (sprsound_copy / "BioCAS2022" / "train2022_wav" / "holiday.wav").write_bytes(b"RIFF")
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    assert "holiday" not in by_id(SPRSOUND, tmp_path / "data" / "raw")
    assert "2 other audio files" in caplog.text  # the other one is of a later challenge


def test_a_recording_without_annotation_lacks_its_label(sprsound_raw: Path) -> None:
    (sprsound_raw / "train2022_json" / f"{TRAIN}.json").unlink()
    recording = by_id(SPRSOUND, sprsound_raw)[TRAIN]
    assert recording.label is None and "record_annotation" in recording.missing
    with pytest.raises(AnnotationError, match="no annotation file"):
        SPRSOUND.segments(sprsound_raw, recording)


def test_tasks_of_sprsound_are_the_official_ones_and_the_sounds_of_icbhi() -> None:
    tasks = {task.name: task for task in SPRSOUND.tasks}
    assert list(tasks) == ["binary", "multiclass", "abnormal", "sounds", "official_1_2", "official_2_1"]
    assert tasks["binary"].class_index("Poor Quality") == -1
    assert len({tasks["multiclass"].class_index(label) for label in SPRSOUND.recording_labels}) == 5
    assert len({tasks["official_2_1"].class_index(label) for label in SPRSOUND.recording_labels}) == 3
    assert len({tasks["official_1_2"].class_index(label) for label in SPRSOUND.segment_labels}) == 7
    sounds = {label: tasks["sounds"].mapping[label] for label in SPRSOUND.segment_labels}
    assert json.dumps(sounds, sort_keys=True) == json.dumps(
        {
            "Coarse Crackle": "crackle",
            "Fine Crackle": "crackle",
            "Normal": "normal",
            "Rhonchi": "wheeze",
            "Stridor": "wheeze",
            "Wheeze": "wheeze",
            "Wheeze+Crackle": "both",
        }
    )
