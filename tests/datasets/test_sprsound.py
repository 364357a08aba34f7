"""SPRSound is read as published: training part, official test, labels of recordings and events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auscult import datasets
from auscult.core.records import Recording, Segment
from auscult.datasets import AnnotationError
from auscult.datasets.retrieval.retrieve import assemble

SPRSOUND = datasets.load("sprsound")
TRAIN, POOR = "65058931_3.4_1_p2_1086", "40069321_15.3_0_p1_981"
INTER, INTRA = "40890405_3.3_0_p3_3655", "65058931_3.4_1_p4_1090"


@pytest.fixture
def raw(sprsound_copy: Path, tmp_path: Path) -> Path:
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    return tmp_path / "data" / "raw"


def by_id(raw: Path) -> dict[str, Recording]:
    return {recording.recording_id: recording for recording in SPRSOUND.recordings(raw)}


def test_a_recording_has_the_metadata_of_its_name(raw: Path) -> None:
    assert by_id(raw)[TRAIN] == Recording(
        recording_id=TRAIN,
        patient_id="65058931",
        path=f"train2022_wav/{TRAIN}.wav",
        device="Yunting II",
        location="left lateral",
        age_years=3.4,
        sex="female",
        label="DAS",
        published_part="train",
    )
    assert by_id(raw)[POOR].sex == "male"


def test_events_are_in_seconds_and_in_the_order_of_the_file(raw: Path) -> None:
    assert list(SPRSOUND.segments(raw, by_id(raw)[TRAIN])) == [
        Segment(2.499, 4.277, "Fine Crackle"),
        Segment(0.1, 2.4, "Normal"),
    ]
    assert list(SPRSOUND.segments(raw, by_id(raw)[POOR])) == []


def test_the_intra_patient_part_of_the_official_test_is_exempt(raw: Path) -> None:
    recordings = by_id(raw)
    assert list(recordings) == sorted((TRAIN, POOR, INTER, INTRA))  # no later challenge
    assert (recordings[INTER].published_part, recordings[INTER].exempt_reason) == ("test", None)
    assert recordings[INTRA].published_part == "test"
    assert str(recordings[INTRA].exempt_reason).startswith("intra-patient test: ")
    assert len(SPRSOUND.segments(raw, recordings[INTRA])) == 1


def test_folder_names_without_the_year_and_flac_files_are_accepted(sprsound_copy: Path, tmp_path: Path) -> None:
    root = sprsound_copy / "BioCAS2022"
    (root / "test2022_wav").rename(root / "test_wav")
    (root / "test2022_json").rename(root / "test_json")
    for path in (root / "train2022_wav").iterdir():
        path.rename(path.with_suffix(".flac"))
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    recordings = by_id(tmp_path / "data" / "raw")
    assert recordings[TRAIN].path == f"train2022_wav/{TRAIN}.flac"
    assert recordings[INTER].path == f"test2022_wav/{INTER}.wav"
    assert recordings[INTER].published_part == "test"


def test_the_training_part_alone_is_a_copy(sprsound_copy: Path, tmp_path: Path) -> None:
    assemble(SPRSOUND, str(sprsound_copy / "BioCAS2022" / "train2022_wav" / ".."), tmp_path / "data" / "all")
    for folder in ("test2022_wav", "test2022_json"):
        (sprsound_copy / "BioCAS2022" / folder).rename(tmp_path / folder)
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    assert {recording.published_part for recording in by_id(tmp_path / "data" / "raw").values()} == {"train"}


def test_files_without_a_patient_in_their_name_are_not_used_and_logged(
    sprsound_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (sprsound_copy / "BioCAS2022" / "train2022_wav" / "holiday.wav").write_bytes(b"RIFF")
    assemble(SPRSOUND, str(sprsound_copy), tmp_path / "data" / "raw")
    assert "holiday" not in by_id(tmp_path / "data" / "raw")
    assert "2 other audio files" in caplog.text  # the other one is of a later challenge


def test_a_recording_without_annotation_lacks_its_label(raw: Path) -> None:
    (raw / "train2022_json" / f"{TRAIN}.json").unlink()
    recording = by_id(raw)[TRAIN]
    assert recording.label is None and "record_annotation" in recording.missing
    with pytest.raises(AnnotationError, match="no annotation file"):
        SPRSOUND.segments(raw, recording)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"record_annotation": "Normal",\n "event_annotation": [', "line 2"),
        ("[]", "an object is needed"),
        ('{"record_annotation": "Normal"}', "no list event_annotation"),
        ('{"event_annotation": [{"start": "1", "end": "2"}]}', "event 1: start, end and type"),
        ('{"event_annotation": [{"start": "1s", "end": "2", "type": "Normal"}]}', "'1s' is no time"),
        ('{"event_annotation": [{"start": NaN, "end": "2", "type": "Normal"}]}', "no time in milliseconds"),
        ('{"event_annotation": [{"start": 1, "end": true, "type": "Normal"}]}', "True is no time"),
        ('{"event_annotation": [{"start": 1, "end": 2, "type": 3}]}', "type must be text"),
        (
            '{"event_annotation": [{"start": 1' + "0" * 400 + ', "end": 2, "type": "Normal"}]}',
            "no time in milliseconds",
        ),
        ("[" * 100_000, "depth|recursion|line 1"),
    ],
)
def test_a_malformed_annotation_is_an_error_that_names_the_place(text: str, expected: str, raw: Path) -> None:
    (raw / "train2022_json" / f"{TRAIN}.json").write_text(text)
    with pytest.raises(AnnotationError, match=expected):
        SPRSOUND.segments(raw, by_id(raw)[TRAIN])


def test_tasks_are_the_official_ones_and_the_sounds_of_icbhi() -> None:
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
