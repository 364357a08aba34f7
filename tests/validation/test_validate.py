"""The stage validate on generated recordings: faults in raw files become rejects, or stop the stage."""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.audio.resampled import StoredAudio, write_audio
from auscult.core import params as parameters
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.records import Recording
from auscult.core.reject_reasons import Problem
from auscult.core.storage import read_json, read_table
from auscult.datasets import load
from auscult.validation.expectations import check_rejects
from auscult.validation.manifest import Examined, build
from stages.validate import main
from tests.audio.wav import ID3, encoded, resized, unknown_length
from tests.validation.small_data_set import (
    AUDIO,
    PATHS,
    RATE_HZ,
    ROOT,
    breath,
    make_data_set,
    name_of,
    set_parameter,
    write_annotation,
    write_patients,
    write_recording,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_data_set(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rejects() -> dict[str, set[str]]:
    """Reason → recordings."""
    table = read_table(PATHS.manifest / "rejects.parquet")
    return {reason: set(rows["recording_id"]) for reason, rows in table.groupby("reason")}


def audio_of(root: Path, name: str) -> Path:
    return root / PATHS.raw / AUDIO / f"{name}.wav"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_valid_recordings_are_all_accepted(root: Path) -> None:
    main()
    assert rejects() == {}
    assert len(read_table(PATHS.manifest / "recordings.parquet")) == 24
    segments = read_table(PATHS.manifest / "segments.parquet")
    assert len(segments) == 48 and segments["segment_id"].is_monotonic_increasing
    assert all(entry["passed"] for entry in read_json(PATHS.manifest / "summary.json")["expectations"])


def test_outputs_do_not_depend_on_the_number_of_workers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for workers in ("1", "2", "4"):
        monkeypatch.setenv("AUSCULT_WORKERS", workers)
        main()
        made.append(contents(PATHS.manifest))
    assert made[0] == made[1] == made[2]


def test_broken_recordings_are_rejected_and_the_others_accepted(root: Path) -> None:
    set_parameter(root, "max_reject_share", "0.5")
    audio_of(root, name_of(101)).write_bytes(audio_of(root, name_of(101)).read_bytes()[:9000])
    write_annotation(root, name_of(102), "0.1\tabc\t0\t0\n")
    write_annotation(root, name_of(103), "0.1\t2.0\t0\t7\n")
    (root / PATHS.raw / AUDIO / f"{name_of(104)}.txt").unlink()
    (root / PATHS.raw / AUDIO / f"{name_of(105)}.txt").write_text("", encoding="utf-8")
    audio_of(root, name_of(106)).unlink()
    write_patients(root, list(range(101, 112)))
    main()
    found = rejects()
    assert found["truncated"] == {name_of(101)}
    assert found["annotation_missing"] == {name_of(104), name_of(105)}
    assert found["missing_audio"] == {name_of(106)}
    assert found["missing_metadata"] == {name_of(112), name_of(112, 2)}
    assert found["annotation_malformed"] >= {name_of(102)}
    assert set().union(*found.values()) == {name_of(p) for p in range(101, 107)} | {name_of(112), name_of(112, 2)}
    assert not set(read_table(PATHS.manifest / "segments.parquet")["recording_id"]) & set().union(*found.values())
    page = (PATHS.manifest / "validation.html").read_text(encoding="utf-8")
    assert name_of(101) in page and "truncated" in page


def test_files_of_pipes_and_opposite_channels_pass_validation_and_resampling(root: Path) -> None:
    sound = breath(1011)
    odd = {
        101: resized(encoded(breath(1), "PCM_24", rate=RATE_HZ), 0xFFFFFFFF),
        102: resized(encoded(breath(2), rate=RATE_HZ), 0x7FFFF000),
        103: ID3 + encoded(breath(3), rate=RATE_HZ),
        104: encoded(np.stack([sound, -sound], 1), rate=RATE_HZ),
        105: encoded(breath(5) * 32768, "FLOAT", rate=RATE_HZ),
    }
    for patient, content in odd.items():
        audio_of(root, name_of(patient)).write_bytes(content)
    unknown = audio_of(root, name_of(106)).with_suffix(".flac")
    unknown.write_bytes(unknown_length(encoded(breath(6), form="FLAC", rate=RATE_HZ)))
    audio_of(root, name_of(106)).unlink()
    main()
    assert rejects() == {}
    notes = [note for note in read_json(PATHS.manifest / "summary.json")["notes"] if note.startswith("recordings with")]
    assert len(notes) == 2 and all(note.endswith(": 1") for note in notes)
    write_audio(PATHS, parameters.load().resample, workers=1)
    index = read_table(PATHS.audio / "index.parquet").set_index("recording_id")
    assert len(index) == 24
    row = index.loc[name_of(104)]
    assert StoredAudio(PATHS).read(row["offset"], row["length"]).std() > 0.5 * sound.std()


def test_of_copies_of_one_patient_the_first_is_kept(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_recording(root, name_of(101, 3), breath(1011))
    main()
    assert rejects() == {"duplicate_audio": {name_of(101, 3)}}
    assert "24 recordings accepted, 1 rejected: 1 duplicate_audio" in caplog.text


def test_of_copies_of_two_patients_none_is_kept(root: Path) -> None:
    write_recording(root, name_of(102, 3), breath(1011), subtype="PCM_16")
    main()
    assert rejects() == {"duplicate_audio": {name_of(101), name_of(102, 3)}}


def test_silent_recordings_are_no_duplicates(root: Path) -> None:
    for patient in (101, 102):
        write_recording(root, name_of(patient), breath(1) * 0)
    main()
    assert rejects() == {"silent": {name_of(101), name_of(102)}}


def test_too_many_rejects_stop_the_stage_and_keep_the_last_outputs(root: Path) -> None:
    main()
    before = contents(PATHS.manifest)
    for patient in range(101, 113):
        for visit in (1, 2):
            if (patient, visit) != (101, 1):
                audio_of(root, name_of(patient, visit)).write_text("gone", encoding="utf-8")
    with pytest.raises(DataError, match=r"23 of 24 recordings.*95\.8%.*10\.0%") as caught:
        main()
    assert name_of(102) in str(caught.value)
    listed = Path(".cache/rejects-sample.csv")
    assert str(listed) in str(caught.value)
    assert name_of(112, 2) in listed.read_text(encoding="utf-8")
    assert contents(PATHS.manifest) == before


def test_annotations_without_audio_are_an_error(root: Path) -> None:
    for path in (root / PATHS.raw / AUDIO).glob("*.wav"):
        path.unlink()
    with pytest.raises(DataError, match="no recording left: 24 missing_audio"):
        main()


def test_error_names_a_limit_that_no_recording_meets(root: Path) -> None:
    set_parameter(root, "min_duration_s", "500.0")
    with pytest.raises(DataError, match="no recording left: 24 too_short") as caught:
        main()
    assert "lower validate.min_duration_s" in caught.value.next_step and "500" in caught.value.next_step
    assert "--source" not in caught.value.next_step


def test_error_names_the_limit_of_the_duration(root: Path) -> None:
    set_parameter(root, "max_duration_s", "5.0")
    with pytest.raises(DataError, match="no recording left: 24 too_long") as caught:
        main()
    assert "raise validate.max_duration_s" in caught.value.next_step


def test_recording_with_an_unreadable_annotation_file_is_rejected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == f"{name_of(101)}.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *arguments, **options)

    open_ = Path.open
    monkeypatch.setattr(Path, "open", refusing)
    main()
    assert rejects() == {"unreadable": {name_of(101)}}


def test_next_step_follows_the_most_frequent_reason(root: Path) -> None:
    # All are too quiet for the limit, one is truncated as well.
    set_parameter(root, "silence_dbfs", "0.0")
    audio_of(root, name_of(101)).write_bytes(audio_of(root, name_of(101)).read_bytes()[:9000])
    with pytest.raises(DataError, match="23 silent, 1 truncated") as caught:
        main()
    assert "lower validate.silence_dbfs" in caught.value.next_step


def test_generated_data_set_without_its_tables_is_generated_again(root: Path) -> None:
    write_patients(root, [])
    with pytest.raises(DataError, match="no recording left: 24 missing_metadata") as caught:
        main()
    assert "dvc repro --force --single-item download" in caught.value.next_step
    assert "--source" not in caught.value.next_step


@pytest.mark.parametrize(
    ("reasons", "remedy"),
    [
        (["missing_audio"], "holds the audio"),
        (["missing_audio", "missing_metadata"], "holds the audio"),
        (["unreadable"], "holds the audio"),
        (["missing_metadata"], "publisher's tables"),
        (["annotation_malformed"], "datasets/icbhi.py"),
        ([], "holds the audio"),
    ],
)
def test_next_step_for_a_downloaded_data_set_is_another_copy(reasons: list[str], remedy: str) -> None:
    recording = Recording(recording_id="a", patient_id="1", path="a.wav")
    problems = tuple(Problem(reason, "") for reason in reasons)
    tables = build([Examined(recording, None, (), problems, Counter())] if reasons else [])
    with pytest.raises(DataError) as caught:
        check_rejects(tables, load("icbhi"), Paths("icbhi"), parameters.load(ROOT / "params.yaml").validate_)
    assert remedy in caught.value.next_step
    assert "auscult run --dataset icbhi --source" in caught.value.next_step


def test_recordings_with_an_impossible_sample_rate_are_rejected(root: Path) -> None:
    for patient, rate_hz in ((101, 1), (102, 500)):
        data = bytearray(audio_of(root, name_of(patient)).read_bytes())
        struct.pack_into("<II", data, data.index(b"fmt ") + 12, rate_hz, rate_hz * 2)
        audio_of(root, name_of(patient)).write_bytes(data)
    main()
    assert rejects() == {"unreadable": {name_of(101), name_of(102)}}
    assert len(read_table(PATHS.manifest / "recordings.parquet")) == 22


def test_incomplete_copy_is_accepted_with_a_note(root: Path) -> None:
    for patient in range(103, 113):
        for visit in (1, 2):
            audio_of(root, name_of(patient, visit)).unlink()
    main()
    assert len(read_table(PATHS.manifest / "recordings.parquet")) == 4
    assert any(note.startswith("20 recordings") for note in read_json(PATHS.manifest / "summary.json")["notes"])


def test_failed_expectation_names_the_rows(root: Path) -> None:
    table = root / PATHS.raw / "ICBHI_Challenge_demographic_information.txt"
    table.write_text(re.sub(r"^104\t\d+", "104\t444", table.read_text(encoding="utf-8"), flags=re.M), encoding="utf-8")
    with pytest.raises(DataError, match="age_years from 0 to 120") as caught:
        main()
    assert name_of(104) in str(caught.value) and name_of(104, 2) in str(caught.value)
    assert name_of(103) not in str(caught.value)


def test_missing_raw_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data_set(tmp_path, patients=1)
    (tmp_path / PATHS.raw).rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=str(PATHS.raw)):
        main()


def test_page_is_self_contained_and_escapes_markup(root: Path) -> None:
    write_annotation(root, name_of(101), "0.1\t<script>alert(1)</script>\t0\t0\n")
    main()
    page = (PATHS.manifest / "validation.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert str(root) not in page
