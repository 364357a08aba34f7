"""24-bit WAV files decode to the bits of libsndfile; all other files are read by libsndfile."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.audio.container import decode, read_wav24
from auscult.core.errors import DataError


def wav(path: Path, channels: int = 1, container: str = "WAV", subtype: str = "PCM_24") -> np.ndarray:
    generator = np.random.default_rng(0)
    values = generator.integers(-(2**23), 2**23, (501, channels)) << 8
    values[0], values[1] = -(2**31), 2**31 - 256
    soundfile.write(path, values.astype(np.int32), 44100, subtype=subtype, format=container)
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_samples_equal_those_of_libsndfile(tmp_path: Path, channels: int, container: str) -> None:
    expected = wav(tmp_path / "a.wav", channels, container)
    found = read_wav24(tmp_path / "a.wav")
    assert found is not None
    np.testing.assert_array_equal(found[0], expected)
    assert found[1] == 44100


def test_chunks_before_the_samples_are_skipped(tmp_path: Path) -> None:
    expected = wav(tmp_path / "a.wav")
    whole = (tmp_path / "a.wav").read_bytes()
    extra = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    (tmp_path / "b.wav").write_bytes(whole[:12] + extra + whole[12:])
    found = read_wav24(tmp_path / "b.wav")
    assert found is not None
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "PCM_32", "PCM_U8"])
def test_other_sample_formats_are_read_by_libsndfile(tmp_path: Path, subtype: str) -> None:
    expected = wav(tmp_path / "a.wav", subtype=subtype)
    assert read_wav24(tmp_path / "a.wav") is None
    np.testing.assert_array_equal(decode(tmp_path / "a.wav")[0], expected)


def test_truncated_and_foreign_files_are_read_by_libsndfile(tmp_path: Path) -> None:
    wav(tmp_path / "a.wav")
    whole = (tmp_path / "a.wav").read_bytes()
    for length in (0, 3, 11, 12, 20, 30, 43, 44, 45, 500, len(whole) - 2):
        (tmp_path / "b.wav").write_bytes(whole[:length])
        assert read_wav24(tmp_path / "b.wav") is None
    wav(tmp_path / "c.flac", container="FLAC")
    assert read_wav24(tmp_path / "c.flac") is None


def test_a_file_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav"):
        decode(tmp_path / "broken.wav")
