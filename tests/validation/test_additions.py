"""Additions enter the manifest and never change the recordings that are already in it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.audio.checks import Audio
from auscult.core.errors import DataError
from auscult.core.records import Recording
from auscult.core.storage import read_json, read_table
from auscult.datasets import load
from auscult.validation.manifest import Examined, build
from auscult.validation.summary import summarise
from stages.validate import main
from tests.validation.small_data_set import (
    AUDIO,
    PATHS,
    breath,
    make_data_set,
    make_delivery,
    name_of,
    put_batch,
    set_parameter,
    write_recording,
)

OLD, NEW = name_of(101, 5), name_of(301)  # of a known and of a new patient


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with valid raw recordings; visit v of patient n has the sound of seed 10 n + v."""
    make_data_set(tmp_path, patients=6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch_of(root: Path, *names: str, seeds: tuple[int, ...] = ()) -> str:
    """Add a batch of these recordings; each has its own sound unless seeds are given."""
    sounds = {name: breath(seed) for name, seed in zip(names, seeds or range(7000, 8000), strict=False)}
    return put_batch(root, make_delivery(root / f"delivery-{'-'.join(names)}-{seeds}", sounds))


def recordings() -> pd.DataFrame:
    return read_table(PATHS.manifest / "recordings.parquet").set_index("recording_id")


def rejects() -> dict[tuple[str, str], str]:
    """(recording, reason) → detail."""
    table = read_table(PATHS.manifest / "rejects.parquet")
    return {(row.recording_id, row.reason): row.detail for row in table.itertuples()}


def test_addition_enters_the_manifest_and_changes_no_row_of_the_download(root: Path) -> None:
    main()
    before = recordings()
    assert before["batch"].isna().all()
    assert before.loc[name_of(101), "path"] == f"sample/raw/{AUDIO}/{name_of(101)}.wav"
    batch = batch_of(root, OLD, NEW)
    main()
    after = recordings()
    assert rejects() == {}
    assert set(after.index) - set(before.index) == {OLD, NEW}
    assert before["sequence"].tolist() == before["patient_id"].astype(int).tolist()
    assert after.loc[[OLD, NEW], "sequence"].isna().all()
    # pandas reads a column of integers as float64 once one of them is unknown
    pd.testing.assert_frame_equal(after.loc[before.index].astype(before.dtypes), before)
    assert after.loc[NEW, "path"] == f"added/sample/{batch}/{AUDIO}/{NEW}.wav"
    assert (Path("data") / after.loc[NEW, "path"]).is_file()
    assert set(after.loc[[OLD, NEW], "batch"]) == {batch}
    segments = read_table(PATHS.manifest / "segments.parquet")
    assert segments["segment_id"].is_monotonic_increasing and {OLD, NEW} <= set(segments["recording_id"])
    assert {OLD, NEW} <= set(read_table(PATHS.manifest / "fingerprints.parquet")["recording_id"])
    assert read_json(PATHS.manifest / "summary.json")["additions"] == {"batches": 1, "recordings": 2}
    assert "1 additions" in (PATHS.manifest / "validation.html").read_text(encoding="utf-8")


def test_published_split_in_a_delivery_is_ignored(root: Path) -> None:
    delivery = make_delivery(root / "delivery", {NEW: breath(7)})
    (delivery / "ICBHI_challenge_train_test.txt").write_text(f"{NEW}\ttest\n", encoding="utf-8")
    put_batch(root, delivery)
    main()
    assert pd.isna(recordings().loc[NEW, "published_part"])


def test_present_name_is_rejected_in_the_later_addition(root: Path) -> None:
    main()
    first = recordings().loc[name_of(101), "audio_sha256"]
    batches = sorted([batch_of(root, name_of(101), NEW), batch_of(root, name_of(302), NEW, seeds=(31, 32))])
    set_parameter(root, "max_reject_share", "0.5")
    main()
    assert set(rejects()) == {(name_of(101), "duplicate_id"), (NEW, "duplicate_id")}
    assert "downloaded" in rejects()[name_of(101), "duplicate_id"]
    assert f"the addition {batches[0]} has" in rejects()[NEW, "duplicate_id"]
    assert f"(addition {batches[1]})" in rejects()[NEW, "duplicate_id"]
    assert recordings().loc[name_of(101), "audio_sha256"] == first
    assert recordings().loc[NEW, "batch"] == batches[0]


@pytest.mark.parametrize("name", [name_of(101, 7), name_of(102, 7)], ids=["same patient", "another patient"])
def test_present_audio_is_rejected_in_the_addition_only(root: Path, name: str) -> None:
    batch_of(root, name, seeds=(1011,))
    main()
    assert set(rejects()) == {(name, "duplicate_audio")}
    assert name_of(101) in recordings().index


def test_audio_in_two_additions_is_kept_in_the_first(root: Path) -> None:
    names = {batch_of(root, name, seeds=(77,)): name for name in (name_of(301), name_of(302))}
    main()
    first, second = (names[batch] for batch in sorted(names))
    assert set(rejects()) == {(second, "duplicate_audio")}
    assert first in recordings().index


def test_another_copy_of_audio_that_two_patients_share_is_rejected(root: Path) -> None:
    write_recording(root, name_of(102, 3), breath(1011))
    set_parameter(root, "max_reject_share", "0.5")
    batch_of(root, NEW, seeds=(1011,))
    main()
    assert set(rejects()) == {(name, "duplicate_audio") for name in (name_of(101), name_of(102, 3), NEW)}


def test_broken_additions_count_towards_the_limit_of_rejects(root: Path) -> None:
    delivery = make_delivery(root / "delivery", {OLD: breath(7), NEW: breath(8)})
    for name in (OLD, NEW):
        (delivery / AUDIO / f"{name}.wav").write_bytes((delivery / AUDIO / f"{name}.wav").read_bytes()[:5000])
    put_batch(root, delivery)
    with pytest.raises(DataError, match=r"2 of 14 recordings"):
        main()
    set_parameter(root, "max_reject_share", "0.5")
    main()
    assert set(rejects()) == {(OLD, "truncated"), (NEW, "truncated")}


@pytest.mark.parametrize("fault", ["edited", "removed", "more", "table"])
def test_changed_batch_is_an_error_that_says_how_to_restore_it(root: Path, fault: str) -> None:
    folder = PATHS.added / batch_of(root, NEW)
    audio = folder / AUDIO / f"{NEW}.wav"
    if fault == "removed":
        audio.unlink()
    elif fault == "table":
        (folder / "ICBHI_Challenge_diagnosis.txt").write_bytes(b"\xff\xfe<html>")
    else:
        target = audio if fault == "edited" else audio.with_stem(name_of(302))
        target.write_bytes(audio.read_bytes()[:-2] + b"\1\1")
    with pytest.raises(DataError, match=folder.name) as caught:
        main()
    assert caught.value.where == str(folder)
    assert f"dvc checkout --force {folder}.dvc" in caught.value.next_step
    assert f"git checkout {folder}.dvc" in caught.value.next_step


def test_missing_batch_is_an_error_that_says_how_to_pull_it(root: Path) -> None:
    folder = PATHS.added / batch_of(root, NEW)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=folder.name) as caught:
        main()
    assert f"dvc pull {folder}.dvc" in caught.value.next_step


def test_untracked_batch_is_an_error(root: Path) -> None:
    folder = PATHS.added / batch_of(root, NEW)
    folder.with_name(f"{folder.name}.dvc").unlink()
    with pytest.raises(DataError, match=f"{folder.name}.dvc") as caught:
        main()
    assert f"rm -r {folder}" in caught.value.next_step


def test_additions_of_another_data_set_are_ignored(root: Path) -> None:
    batch_of(root, NEW)
    shutil.move(PATHS.added, PATHS.added.with_name("icbhi"))
    main()
    assert recordings()["batch"].isna().all()


def test_publisher_counts_are_compared_with_the_download_only(root: Path) -> None:
    main()
    frame = recordings().reset_index()
    made = [_examined(row.recording_id, None) for row in frame.itertuples()]
    dataset = load("icbhi")
    alone = summarise(dataset, build(made), [])["notes"]
    assert alone == ["this copy names 12 of 920 recordings"]
    assert summarise(dataset, build([*made, _examined(NEW, "0123456789ab")]), [])["notes"] == alone


def _examined(name: str, batch: str | None) -> Examined:
    """A valid recording without segments."""
    nothing = np.zeros(0, dtype=np.int64)
    audio = Audio("0" * 64, name, 4000, 1, "PCM_16", 6.0, nothing, nothing)
    return Examined(Recording(name, name[:3], f"{name}.wav"), audio, (), (), Counter(), f"x/{name}.wav", batch)
