"""Leaks planted in raw files stop validate or split, and nothing else is reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from auscult.core.errors import LeakError
from auscult.core.storage import read_json, read_table
from stages.split import main as split
from stages.validate import main as validate
from tests.validation.small_data_set import (
    AUDIO,
    PATHS,
    RATE_HZ,
    breath,
    make_data_set,
    name_of,
    write_annotation,
    write_recording,
)

Samples = NDArray[np.int32] | NDArray[np.float64]


@pytest.fixture(scope="module")
def split_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose small data set is validated and split."""
    folder = tmp_path_factory.mktemp("split")
    make_data_set(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        validate()
        split()
    return folder


@pytest.fixture
def root(split_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(split_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts() -> dict[int, str]:
    """Patient → part."""
    table = read_table(PATHS.split / "assignment.parquet")
    return {int(patient): part for patient, part in zip(table["patient_id"], table["part"], strict=True)}


def publish_split(root: Path, part_of: dict[int, str]) -> None:
    """Publish the parts of patients, so that a planted recording does not change the draw."""
    lines = [
        f"{name_of(p, v)}\t{'test' if part == 'test' else 'train'}\n" for p, part in part_of.items() for v in (1, 2, 3)
    ]
    (root / PATHS.raw / "ICBHI_challenge_train_test.txt").write_text("".join(lines), encoding="utf-8")


def plant(root: Path, change: Callable[[Samples], tuple[Samples, int]], subtype: str = "PCM_16") -> tuple[str, str]:
    """Write a changed copy of a development patient's recording under a test patient's name; return both names."""
    part_of = parts()
    train = next(p for p, part in part_of.items() if part == "development")
    test = next(p for p, part in part_of.items() if part == "test")
    # Integers, as writing floats rounds: an unchanged copy must have the same samples.
    sound, rate = change(soundfile.read(audio_of(root, name_of(train)), dtype="int32")[0])
    write_recording(root, name_of(test, 3), sound, rate, subtype)
    publish_split(root, part_of)
    return name_of(train), name_of(test, 3)


def audio_of(root: Path, name: str) -> Path:
    return root / PATHS.raw / AUDIO / f"{name}.wav"


def unchanged(sound: Samples) -> tuple[Samples, int]:
    return sound, RATE_HZ


def as_float(sound: Samples) -> NDArray[np.float64]:
    return sound / 2.0**31


def resampled(sound: Samples) -> tuple[Samples, int]:
    return soxr.resample(as_float(sound), RATE_HZ, 11025) * 0.5, 11025


def trimmed(sound: Samples) -> tuple[Samples, int]:
    return sound[int(1.37 * RATE_HZ) + 13 :], RATE_HZ


def noisy(sound: Samples) -> tuple[Samples, int]:
    noise = np.random.default_rng(5).standard_normal(len(sound))
    return -as_float(sound) + noise * as_float(sound).std() * 0.02, RATE_HZ


def padded(sound: Samples) -> tuple[Samples, int]:
    return np.concatenate([breath(999, 2.0), as_float(sound)]), RATE_HZ


def test_valid_data_set_has_no_leak_and_no_near_duplicate(root: Path) -> None:
    summary = read_json(PATHS.split / "summary.json")
    assert [check["leaks"] for check in summary["leak_checks"]] == [[], [], [], []]
    assert summary["near_duplicates_on_one_side"] == []


def test_renamed_recording_and_its_original_are_rejected(root: Path) -> None:
    pair = plant(root, unchanged)
    validate()
    rejects = read_table(PATHS.manifest / "rejects.parquet")
    assert set(rejects.loc[rejects["reason"] == "duplicate_audio", "recording_id"]) == set(pair)


def test_lossless_re_encoding_and_its_original_are_rejected(root: Path) -> None:
    pair = plant(root, unchanged, "PCM_24")
    validate()
    rejects = read_table(PATHS.manifest / "rejects.parquet")
    assert set(rejects.loc[rejects["reason"] == "duplicate_audio", "recording_id"]) == set(pair)


@pytest.mark.parametrize("change", [resampled, trimmed, noisy, padded], ids=lambda change: change.__name__)
def test_near_duplicate_of_another_patient_stops_the_pipeline(
    root: Path, change: Callable[[Samples], tuple[Samples, int]]
) -> None:
    original, copy = plant(root, change, "PCM_24")
    before = (PATHS.split / "assignment.parquet").read_bytes()
    validate()
    with pytest.raises(LeakError, match="1 leaks") as caught:
        split()
    assert original in str(caught.value) and copy in str(caught.value)
    assert (PATHS.split / "assignment.parquet").read_bytes() == before


def test_lossy_copy_stops_the_pipeline(root: Path) -> None:
    original, copy = plant(root, lambda sound: (soxr.resample(as_float(sound), RATE_HZ, 8000), 8000))
    path = root / PATHS.raw / AUDIO / f"{copy}.wav"
    sound, _ = soundfile.read(path)
    soundfile.write(path.with_suffix(".ogg"), sound, 8000)
    decoded, _ = soundfile.read(path.with_suffix(".ogg"))
    path.with_suffix(".ogg").unlink()
    soundfile.write(path, decoded, 8000)
    validate()
    with pytest.raises(LeakError, match=copy) as caught:
        split()
    assert original in str(caught.value)


def test_near_duplicates_in_the_test_part_are_reported_and_allowed(root: Path) -> None:
    original, copy = plant(root, trimmed)
    pair = {int(name[:3]) for name in (original, copy)}
    publish_split(root, {p: "test" if p in pair else "train" for p in range(101, 113)})
    validate()
    split()
    (note,) = read_json(PATHS.split / "summary.json")["near_duplicates_on_one_side"]
    assert original in note and copy in note


def test_patient_in_both_parts_of_a_published_split_is_a_leak(root: Path) -> None:
    publish_split(root, dict.fromkeys(range(101, 109), "train") | dict.fromkeys(range(109, 113), "test"))
    table = root / PATHS.raw / "ICBHI_challenge_train_test.txt"
    table.write_text(table.read_text().replace(f"{name_of(101, 2)}\ttrain", f"{name_of(101, 2)}\ttest"))
    write_annotation(root, name_of(101, 2), "0.1\t2.0\t0\t1\n")
    validate()
    with pytest.raises(LeakError, match="patient 101") as caught:
        split()
    assert name_of(101, 2) in str(caught.value)
