"""One reader decides samples, scale and channel, for validation and for resampling."""

from __future__ import annotations

import io
import logging
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from auscult.audio import container
from auscult.audio.checks import inspect
from auscult.audio.reader import Recording, read
from auscult.core.errors import DataError
from auscult.core.sections import ValidateParams
from tests.audio.wav import encoded, resized, unknown_length
from tests.validation.small_data_set import breath

LIMITS = ValidateParams(
    min_duration_s=0.5, max_duration_s=100.0, max_clipped_share=0.05, silence_dbfs=-80.0, max_reject_share=0.1
)
SOUND = breath(3)
OVERDRIVEN = np.clip(SOUND * 40, -1, 1)


def hiss(seed: int, level: float) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(len(SOUND))


def written(folder: Path, sound: np.ndarray, subtype: str = "PCM_16", rate: int = 4000) -> Path:
    path = folder / "a.wav"
    path.write_bytes(encoded(sound, subtype, rate=rate))
    return path


def reasons(path: Path) -> list[str]:
    return [problem.reason for problem in inspect(path, LIMITS)[1]]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_24_bits_decode_to_the_bits_of_libsndfile(tmp_path: Path, channels: int, form: str) -> None:
    values = np.random.default_rng(0).integers(-(2**23), 2**23, (150_001, channels)) << 8  # three blocks
    values[0], values[1] = -(2**31), 2**31 - 256
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(values.astype(np.int32), "PCM_24", form, 44100))
    recording = Recording(path)
    found = np.concatenate([block.copy() for block in recording.blocks()])
    np.testing.assert_array_equal(found, soundfile.read(path, dtype="float32", always_2d=True)[0])
    assert (recording.sample_rate_hz, recording.subtype) == (44100, "PCM_24")


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "PCM_32", "PCM_U8"])
def test_other_formats_decode_to_the_bits_of_libsndfile(tmp_path: Path, subtype: str) -> None:
    path = written(tmp_path, np.tile(SOUND, 9), subtype)
    np.testing.assert_array_equal(Recording(path).mono(), soundfile.read(path, dtype="float32")[0])


def test_a_24_bit_file_without_a_size_takes_the_memory_of_its_audio(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND, "PCM_24")
    path.write_bytes(resized(path.read_bytes(), 0xFFFFFFFF))
    tracemalloc.start()
    samples, _ = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(samples) == len(SOUND) and peak < 5e6


def test_a_length_that_only_the_header_states_takes_no_memory(tmp_path: Path) -> None:
    data = bytearray(encoded(SOUND, form="FLAC"))
    data[18:26] = (int.from_bytes(data[18:26], "big") >> 36 << 36 | (1 << 36) - 1).to_bytes(8, "big")
    (tmp_path / "a.flac").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataError):
        read(tmp_path / "a.flac")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8


def test_memory_holds_a_long_recording_once(tmp_path: Path) -> None:
    path = written(tmp_path, np.tile(np.stack([SOUND, SOUND], 1), (60, 1)))
    tracemalloc.start()
    samples, _ = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < samples.nbytes + 8e6


def test_a_file_of_unknown_length_grows_to_all_its_samples(tmp_path: Path) -> None:
    data = encoded(np.tile(SOUND, 20), form="FLAC")
    (tmp_path / "a.flac").write_bytes(unknown_length(data))
    expected = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    np.testing.assert_array_equal(read(tmp_path / "a.flac")[0], expected)


def test_float_samples_beyond_full_scale_are_kept(tmp_path: Path) -> None:
    loud = (SOUND * 12 / np.abs(SOUND).max()).astype(np.float32)
    path = written(tmp_path, loud, "FLOAT")
    assert reasons(path) == []
    np.testing.assert_array_equal(read(path)[0], loud)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "ULAW", "ALAW", "FLOAT"])
def test_an_overdriven_recording_is_clipped_in_every_format(tmp_path: Path, subtype: str) -> None:
    assert reasons(written(tmp_path, OVERDRIVEN, subtype)) == ["clipped"]


def test_float_does_not_hide_clipping(tmp_path: Path) -> None:
    assert reasons(written(tmp_path, 3 * OVERDRIVEN, "FLOAT")) == ["clipped"]
    resampled = soxr.resample(OVERDRIVEN, 8000, 4000)
    assert np.abs(resampled).max() > 1.1
    assert reasons(written(tmp_path, resampled, "FLOAT")) == ["clipped"]


@pytest.mark.parametrize(("bits", "subtype"), [(16, "FLOAT"), (16, "DOUBLE"), (24, "FLOAT"), (32, "DOUBLE")])
def test_integers_written_as_float_are_scaled(tmp_path: Path, bits: int, subtype: str) -> None:
    peak = SOUND / np.abs(SOUND).max() * 0.9
    path = written(tmp_path, np.rint(peak * 2 ** (bits - 1)), subtype)
    audio, problems = inspect(path, LIMITS)
    assert not problems and audio is not None and len(audio.notes) == 1
    np.testing.assert_allclose(read(path)[0], peak, atol=2**-15)
    if bits == 16:  # the same samples as a file of integers
        (tmp_path / "b.wav").write_bytes(encoded(np.rint(peak * 2**15) / 2**15))
        other = inspect(tmp_path / "b.wav", LIMITS)[0]
        assert other is not None and other.audio_sha256 == audio.audio_sha256


def test_scaled_samples_that_are_no_integers_are_found_by_their_height(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND * 32767, "FLOAT")
    assert reasons(path) == []
    np.testing.assert_allclose(read(path)[0], SOUND, atol=1e-4)


def test_a_quiet_recording_of_integers_stays_quiet(tmp_path: Path) -> None:
    path = written(tmp_path, np.rint(SOUND / np.abs(SOUND).max() * 100), "FLOAT")
    assert np.abs(read(path)[0]).max() == np.float32(100 / 2**15)


def test_float_of_unknown_full_scale_is_refused(tmp_path: Path) -> None:
    assert reasons(written(tmp_path, SOUND * 1e20, "FLOAT")) == ["unreadable"]


#: Three times as loud, 15 % of the samples are beyond full scale.
HOT = SOUND / (3 * np.quantile(np.abs(SOUND), 0.85))
CANCEL = {
    "opposite": (SOUND, -SOUND, 0),
    "opposite, nearly": (SOUND, -0.98 * SOUND + hiss(1, 0.002), 0),
    "second louder": (-0.5 * SOUND, SOUND, 1),
    "in noise": (SOUND + hiss(1, 0.8 * SOUND.std()), -SOUND + hiss(2, 0.8 * SOUND.std()), None),
    "on an offset": (SOUND, 0.2 - 0.9 * SOUND, 0),
    "louder one overdriven": (np.clip(-3 * HOT, -1, 1), HOT, 1),
}


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("name", CANCEL)
def test_channels_that_cancel_leave_the_better_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, subtype: str
) -> None:
    caplog.set_level(logging.INFO)
    *channels, better = CANCEL[name]
    path = written(tmp_path, np.stack(channels, 1), subtype)
    audio, problems = inspect(path, LIMITS)
    assert not problems and audio is not None and len(audio.notes) == 1
    samples, _ = read(path)
    kept = soundfile.read(path, dtype="float32")[0]
    chosen = [n for n in (0, 1) if np.array_equal(samples, kept[:, n])]
    assert len(chosen) == 1 and chosen[0] == (chosen[0] if better is None else better)
    assert "a.wav" in caplog.text


@pytest.mark.parametrize(
    "channels",
    [(SOUND, SOUND), (SOUND, 0 * SOUND), (SOUND, breath(4)), (SOUND, 0.3 * SOUND), (SOUND, 0 * SOUND + 0.5)],
)
def test_channels_that_do_not_cancel_are_averaged(tmp_path: Path, channels: tuple[np.ndarray, ...]) -> None:
    path = written(tmp_path, np.stack(channels, 1))
    audio, problems = inspect(path, LIMITS)
    assert not problems and audio is not None and audio.notes == ()
    expected = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    np.testing.assert_array_equal(read(path)[0], expected)


def test_four_channels_that_cancel(tmp_path: Path) -> None:
    path = written(tmp_path, np.stack([0.5 * SOUND, -SOUND, 0.9 * SOUND, -0.4 * SOUND], 1))
    np.testing.assert_array_equal(read(path)[0], soundfile.read(path, dtype="float32")[0][:, 1])


def test_a_silent_stereo_recording_is_silent(tmp_path: Path) -> None:
    for level in (0.0, 0.3):
        assert reasons(written(tmp_path, np.full((8000, 2), level))) == ["silent"]


def test_a_channel_stuck_at_full_scale_is_not_clipping(tmp_path: Path) -> None:
    assert reasons(written(tmp_path, np.stack([SOUND, np.ones(len(SOUND))], 1))) == []
    assert reasons(written(tmp_path, np.stack([OVERDRIVEN, np.ones(len(SOUND))], 1))) == ["clipped"]


def test_96_khz_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND, "PCM_24", rate=96000)
    assert read(path)[1] == 96000 and reasons(written(tmp_path, np.tile(SOUND, 5), rate=96000)) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    for name in ("broken.wav", "absent.wav"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)


def test_a_failing_disk_is_no_short_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(container.Part):
        def readinto(self, buffer: memoryview) -> int:
            if self.tell() > 20000:
                self.error = OSError(5, "Input/output error")
                return 0
            return super().readinto(buffer)

    path = written(tmp_path, SOUND)
    path.write_bytes(resized(path.read_bytes(), 0))
    monkeypatch.setattr(container, "Part", Failing)
    audio, (problem,) = inspect(path, LIMITS)
    assert audio is None and problem.detail == "Input/output error"


def test_a_file_that_shrinks_is_truncated(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND, "PCM_24")
    recording = Recording(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(container.Rejected) as caught:
        recording.mono()
    assert caught.value.problem.reason == "truncated"


def test_more_than_4_gib_without_a_size_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND)
    path.write_bytes(resized(path.read_bytes(), 0))
    with path.open("r+b") as file:
        file.truncate(1 << 32)  # sparse
    assert reasons(path) == ["unreadable"]
    assert struct.unpack("<I", path.open("rb").read(44)[40:])[0] == 0
