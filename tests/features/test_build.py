"""Feature arrays match their tables, and do not depend on the state of the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import yaml

from auscult.audio.cache import forget
from auscult.audio.resampled import StoredAudio, write_audio
from auscult.core.errors import ParameterError
from auscult.core.paths import CACHE_DIR
from auscult.core.records import ITEM_COLUMNS, SEGMENT_COLUMNS
from auscult.core.sections import Params
from auscult.core.storage import read_json, read_table, write_table
from auscult.features import representations
from auscult.features.extraction.augment import KINDS, stretch_rate
from auscult.features.extraction.build import write_features
from stages.features import main as make_features
from tests.audio.recordings import PATHS, REPOSITORY, folder_bytes


class Build:
    """Writes a representation and returns the message about it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        self._caplog = caplog

    def __call__(self, name: str, params: Params, workers: int = 2) -> str:
        self._caplog.clear()
        folder = PATHS.features(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        write_features(PATHS, name, params.features, workers, folder)
        return self._caplog.messages[-1]


@pytest.fixture
def build(caplog: pytest.LogCaptureFixture) -> Build:
    return Build(caplog)


@pytest.mark.parametrize("name", representations.names())
def test_arrays_and_tables_of_every_representation_agree(name: str, params: Params, build: Build) -> None:
    build(name, params)
    folder = PATHS.features(name)
    spec = read_json(folder / "spec.json")
    assert spec["representation"] == name
    assert spec["resample"]["high_hz"] == params.resample.high_hz
    for array in ("segments", "windows"):
        rows = np.load(folder / f"{array}.npy")
        table = read_table(folder / f"{array}.parquet")
        assert rows.dtype == np.float32
        assert rows.shape == (len(table), spec["bins"], spec[array]["frames"])
        assert np.isfinite(rows).all()
        assert list(table.columns) == list(ITEM_COLUMNS)
        assert table["frames"].between(1, spec[array]["frames"]).all()
        originals = table[table["copy"] == "original"]
        assert originals.index.tolist() == list(range(len(originals)))
        assert originals["item_id"].is_unique
        ordered = originals.sort_values(["recording_id", "start_s"], kind="stable")
        assert ordered.index.tolist() == originals.index.tolist()
        assert set(originals["recording_id"]) == {f"rec{n:02d}" for n in range(8)}
        for row, frames in zip(rows, table["frames"], strict=True):
            assert not row[:, frames:].any()


def items_in_seconds(kind: str) -> dict[str, tuple[float, float]]:
    """Start and end of each item, from the annotation: segments, or windows of 5 s of recordings of 3 to 5.8 s."""
    if kind == "segments":
        table = read_table(PATHS.manifest / "segments.parquet")
        return {s.segment_id: (s.start_s, s.end_s) for s in table.itertuples()}
    found = {}
    for recording in read_table(PATHS.manifest / "recordings.parquet").itertuples():
        name, length = recording.recording_id, recording.duration_s
        found[f"{name}:w000"] = (0.0, min(length, 5.0))
        if length > 5.0:
            found[f"{name}:w001"] = (length - 5.0, length)
    return found


def test_rows_equal_the_frames_of_librosa_at_the_annotated_times(params: Params, build: Build) -> None:
    params = params.model_copy(update={"features": params.features.model_copy(update={"subtract": "nothing"})})
    build("logmel", params)
    build("mfcc", params)
    audio = StoredAudio(PATHS)
    settings, spec = params.features, audio.spec
    for name, kind in (("logmel", "segments"), ("mfcc", "windows")):
        rows = np.load(PATHS.features(name) / f"{kind}.npy")
        table = read_table(PATHS.features(name) / f"{kind}.parquet")
        times = items_in_seconds(kind)
        assert sorted(table["item_id"]) == sorted(times)
        for entry in audio.index.itertuples():
            mel = librosa.feature.melspectrogram(
                y=audio.read(entry.offset, entry.length),
                sr=spec.sample_rate_hz,
                n_fft=settings.n_fft,
                win_length=settings.window_length,
                hop_length=settings.hop_length,
                n_mels=settings.n_mels,
                fmin=spec.low_hz,
                fmax=spec.high_hz,
            )
            whole = librosa.power_to_db(mel, ref=1.0, top_db=None)
            whole = whole if name == "logmel" else librosa.feature.mfcc(S=whole, n_mfcc=settings.n_mfcc)
            for n, item in table[table["recording_id"] == entry.recording_id].iterrows():
                rate = spec.sample_rate_hz / settings.hop_length
                first, last = (round(time * rate) for time in times[item["item_id"]])
                expected = whole[:, first : min(last + 1, first + rows.shape[2])]
                assert item["frames"] == expected.shape[1]
                assert np.abs(rows[n][:, : item["frames"]] - expected).max() < 1e-3


def test_the_mean_of_a_recording_is_subtracted_as_asked_and_the_spectrograms_are_shared(
    params: Params, build: Build
) -> None:
    rows = {}
    for subtract in ("nothing", "level", "bands"):
        changed = params.features.model_copy(update={"subtract": subtract, "window_s": 7.0, "window_hop_s": 7.0})
        said = build("logmel", params.model_copy(update={"features": changed}))
        assert ("8 of them new" if subtract == "nothing" else "0 of them new") in said
        rows[subtract] = np.load(PATHS.features("logmel") / "windows.npy")
    table = read_table(PATHS.features("logmel") / "windows.parquet")
    assert table["recording_id"].is_unique, "each window is a whole recording"
    for row, frames in enumerate(table["frames"]):
        plain, level, bands = (rows[name][row, :, :frames] for name in ("nothing", "level", "bands"))
        np.testing.assert_allclose(level, plain - plain.mean(), atol=1e-3)
        np.testing.assert_allclose(bands, plain - plain.mean(axis=1, keepdims=True), atol=1e-3)


def test_copies_are_made_of_the_development_part_only(params: Params, build: Build) -> None:
    assert f"8 recordings and {6 * len(KINDS)} augmented copies" in build("augmented", params)
    for array in ("segments", "windows"):
        table = read_table(PATHS.features("augmented") / f"{array}.parquet")
        rows = np.load(PATHS.features("augmented") / f"{array}.npy")
        copies = table[table["copy"] != "original"]
        assert set(copies["copy"]) == set(KINDS)
        assert set(copies["recording_id"]) == {f"rec{n:02d}" for n in range(6)}
        originals = table[table["copy"] == "original"].set_index("item_id")
        for n, copy in copies.iterrows():
            original = originals.loc[copy["item_id"]]
            assert copy["start_s"] == original["start_s"]
            if copy["copy"] == "stretch" and original["frames"] < rows.shape[2]:
                speed = stretch_rate(copy["recording_id"], params.features.augmented)
                assert copy["frames"] == pytest.approx(min(original["frames"] / speed, rows.shape[2]), abs=2)
            assert not np.array_equal(rows[n], rows[table.index[table["item_id"] == copy["item_id"]][0]])


def test_an_augmentation_added_to_kinds_is_made_at_its_rate(params: Params, build: Build) -> None:
    """In a process of its own: the representation reads the kinds once."""
    code = (
        "from auscult.features.extraction.augment import KINDS, Kind, add_noise\n"
        "KINDS['twice'] = Kind(lambda audio, *rest: add_noise(audio[::2], *rest), lambda recording_id, params: 2.0)\n"
        "from auscult.features.representations import load\n"
        "augmented = load('augmented')\n"
        "from types import SimpleNamespace\n"
        "rates = [augmented.rate(kind, 'rec00', SimpleNamespace(augmented=None)) for kind in ('twice', 'noise')]\n"
        "assert augmented.copies[-1] == 'twice' and rates == [2.0, 1.0]\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True)


@pytest.mark.parametrize("name", ["logmel", "augmented"])
def test_bytes_depend_neither_on_workers_nor_on_the_cache(name: str, params: Params, build: Build) -> None:
    build(name, params, workers=1)
    cold = folder_bytes(PATHS.features(name))
    assert ", 0 of them new" in build(name, params, workers=4)
    assert folder_bytes(PATHS.features(name)) == cold
    for n, entry in enumerate(sorted([*CACHE_DIR.glob("logmel/*/*"), *CACHE_DIR.glob("copies/*/*")])):
        if n % 3 == 0:
            entry.unlink()
        elif n % 3 == 1:
            entry.write_bytes(entry.read_bytes()[: n * 100])
    assert ", 0 of them new" not in build(name, params, workers=2)
    assert folder_bytes(PATHS.features(name)) == cold


def test_representations_share_one_spectrogram(params: Params, build: Build) -> None:
    assert "8 of them new" in build("logmel", params)
    assert "0 of them new" in build("mfcc", params)
    other_length = params.features.model_copy(update={"segment_s": 2.0, "padding": "tile"})
    assert "0 of them new" in build("logmel", params.model_copy(update={"features": other_length}))
    assert f"{6 * len(KINDS)} of them new" in build("augmented", params)


def test_only_a_changed_recording_is_computed_again(params: Params, build: Build) -> None:
    build("augmented", params)
    forget(read_table(PATHS.manifest / "recordings.parquet")["sha256"][0])
    write_audio(PATHS, params.resample, 2)
    assert f", {1 + len(KINDS)} of them new" in build("augmented", params)


def test_forgetting_a_recording_removes_all_its_cache_entries(params: Params, build: Build) -> None:
    build("augmented", params)
    assert forget(read_table(PATHS.manifest / "recordings.parquet")["sha256"][0]) == 2 + len(KINDS)  # audio, log-mel


def test_data_set_without_segments_has_windows_only(params: Params, build: Build) -> None:
    segments = read_table(PATHS.manifest / "segments.parquet")
    write_table(PATHS.manifest / "segments.parquet", segments[:0], SEGMENT_COLUMNS)
    build("mfcc", params)
    frames = round(params.features.segment_s * params.resample.sample_rate_hz / params.features.hop_length) + 1
    assert np.load(PATHS.features("mfcc") / "segments.npy").shape == (0, params.features.n_mfcc, frames)
    assert len(np.load(PATHS.features("mfcc") / "windows.npy")) >= 8


def test_unknown_representation_is_an_error_that_lists_the_known_ones(params: Params, build: Build) -> None:
    with pytest.raises(ParameterError, match=rf"'logmell'.*{', '.join(representations.names())}"):
        build("logmell", params)


def test_the_command_makes_what_experiments_use_and_what_the_report_shows(params: Params) -> None:
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    raw["experiments"] = {"one": {"task": "sounds", "features": "mfcc", "model": "cnn2d"}}
    raw["combinations"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    stale = PATHS.features("augmented")
    stale.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "stages.features"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "features mfcc: 8 recordings" in done.stdout
    assert sorted(path.name for path in PATHS.all_features.iterdir()) == ["logmel", "mfcc"], "nothing of earlier runs"
    assert (PATHS.features("mfcc") / "spec.json").exists()


def test_an_unknown_representation_of_an_experiment_stops_the_command_and_keeps_the_last_features(
    params: Params, build: Build
) -> None:
    build("logmel", params)
    before = folder_bytes(PATHS.features("logmel"))
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    raw["experiments"] = {"one": {"task": "sounds", "features": "spectrum", "model": "cnn2d"}}
    raw["combinations"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(ParameterError, match=rf"'spectrum'.*{', '.join(representations.names())}"):
        make_features()
    assert folder_bytes(PATHS.features("logmel")) == before
