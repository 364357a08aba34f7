"""The audio array is complete, in order, and independent of the cache and of the number of workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.audio.cache import forget
from auscult.audio.resampled import StoredAudio, write_audio
from auscult.audio.resampling import condition
from auscult.core.errors import DataError
from auscult.core.paths import CACHE_DIR
from auscult.core.records import RECORDING_COLUMNS
from auscult.core.sections import Params
from auscult.core.storage import read_table, write_table
from tests.audio.recordings import PATHS, REPOSITORY, folder_bytes
from tests.waiting import HANGS_AFTER_S


def entries() -> list[Path]:
    return sorted(CACHE_DIR.glob("audio/*/*.f32"))


def test_every_recording_is_in_the_array_in_order(params: Params) -> None:
    message = write_audio(PATHS, params.resample, workers=2)
    assert "8 recordings, 8 of them new" in message
    audio = StoredAudio(PATHS)
    assert audio.spec == params.resample
    assert audio.index["recording_id"].tolist() == [f"rec{n:02d}" for n in range(8)]
    assert audio.index["key"].is_unique
    whole = np.load(PATHS.audio / "audio.npy")
    assert whole.dtype == np.float32
    assert whole.shape == (audio.index["length"].sum(),)
    for row in audio.index.itertuples():
        expected = condition(PATHS.raw / f"{row.recording_id}.wav", params.resample)
        np.testing.assert_array_equal(audio.read(row.offset, row.length), expected)
        np.testing.assert_array_equal(whole[row.offset : row.offset + row.length], expected)


def test_the_bytes_depend_on_neither_workers_nor_cache(params: Params) -> None:
    write_audio(PATHS, params.resample, workers=1)
    cold = folder_bytes(PATHS.audio)
    assert "0 of them new" in write_audio(PATHS, params.resample, workers=3)
    assert folder_bytes(PATHS.audio) == cold

    whole, truncated, altered, emptied, foreign, *_ = entries()
    whole.unlink()
    truncated.write_bytes(truncated.read_bytes()[:-5])
    bits = bytearray(altered.read_bytes())
    bits[-100] ^= 1
    altered.write_bytes(bits)
    emptied.write_bytes(b"")
    foreign.write_bytes(b'{"shape": [9999999999999]}' + b" " * 1000)
    assert "5 of them new" in write_audio(PATHS, params.resample, workers=4)
    assert folder_bytes(PATHS.audio) == cold


def test_only_new_recordings_are_computed(params: Params) -> None:
    table = read_table(PATHS.manifest / "recordings.parquet")
    write_table(PATHS.manifest / "recordings.parquet", table[table["recording_id"] != "rec03"], RECORDING_COLUMNS)
    write_audio(PATHS, params.resample, workers=2)
    write_table(PATHS.manifest / "recordings.parquet", table, RECORDING_COLUMNS)
    assert "8 recordings, 1 of them new" in write_audio(PATHS, params.resample, workers=2)


def test_a_recording_of_an_addition_is_read_from_its_folder(params: Params) -> None:
    write_audio(PATHS, params.resample, workers=2)
    before = folder_bytes(PATHS.audio)
    batch = PATHS.added / "0123456789ab"
    batch.mkdir(parents=True)
    (PATHS.raw / "rec03.wav").rename(batch / "rec03.wav")
    table = read_table(PATHS.manifest / "recordings.parquet").set_index("recording_id")
    forget(table.loc["rec03", "sha256"])
    table.loc["rec03", ["path", "batch"]] = [f"added/sample/{batch.name}/rec03.wav", batch.name]
    write_table(PATHS.manifest / "recordings.parquet", table.reset_index(), RECORDING_COLUMNS)
    assert "8 recordings, 1 of them new" in write_audio(PATHS, params.resample, workers=2)
    assert folder_bytes(PATHS.audio) == before


def test_other_parameters_use_other_cache_entries(params: Params) -> None:
    write_audio(PATHS, params.resample, workers=2)
    narrower = params.resample.model_copy(update={"high_hz": 1500.0})
    assert "8 of them new" in write_audio(PATHS, narrower, workers=2)
    assert "0 of them new" in write_audio(PATHS, params.resample, workers=2)


def test_concurrent_runs_write_equal_outputs(params: Params, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "AUSCULT_WORKERS": "2"}
    second = tmp_path / "second"
    second.mkdir()
    for name in ("params.yaml", "data"):
        subprocess.run(["cp", "-r", str(tmp_path / name), str(second / name)], check=True)
    (tmp_path / CACHE_DIR).mkdir()
    (second / CACHE_DIR).symlink_to(tmp_path / CACHE_DIR)
    runs = [
        subprocess.Popen([sys.executable, "-m", "stages.resample"], cwd=root, env=environment)
        for root in (tmp_path, second)
    ]
    assert [run.wait(timeout=HANGS_AFTER_S) for run in runs] == [0, 0]
    assert folder_bytes(tmp_path / PATHS.audio) == folder_bytes(second / PATHS.audio)
    assert not list((tmp_path / CACHE_DIR).rglob("*.part"))


def test_cache_entries_are_removed_by_checksum(params: Params) -> None:
    write_audio(PATHS, params.resample, workers=2)
    checksum = read_table(PATHS.manifest / "recordings.parquet")["sha256"][2]
    assert forget(checksum) == 1
    assert len(entries()) == 7
    assert not [path for path in CACHE_DIR.rglob("*") if checksum in path.name]


def test_a_file_changed_since_validation_is_an_error_and_keeps_the_output(params: Params) -> None:
    write_audio(PATHS, params.resample, workers=2)
    before = folder_bytes(PATHS.audio)
    (PATHS.raw / "rec01.wav").write_bytes((PATHS.raw / "rec02.wav").read_bytes())
    forget(read_table(PATHS.manifest / "recordings.parquet")["sha256"][1])
    with pytest.raises(DataError, match="rec01"):
        write_audio(PATHS, params.resample, workers=2)
    assert folder_bytes(PATHS.audio) == before
    assert not list(PATHS.data.glob(".*"))


def test_an_empty_manifest_is_an_error(params: Params) -> None:
    empty = pd.DataFrame(columns=list(RECORDING_COLUMNS))
    write_table(PATHS.manifest / "recordings.parquet", empty, RECORDING_COLUMNS)
    with pytest.raises(DataError, match="'sample'"):
        write_audio(PATHS, params.resample, workers=1)
