"""Each fault inserted into an audio file is found, with the right reason."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.audio import checks as examined
from auscult.audio.checks import inspect
from auscult.core.sections import ValidateParams
from tests.validation.small_data_set import RATE_HZ, breath

LIMITS = ValidateParams(
    min_duration_s=0.5, max_duration_s=100.0, max_clipped_share=0.05, silence_dbfs=-80.0, max_reject_share=0.1
)


def wav(sound: np.ndarray, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE_HZ, subtype=subtype, format=form)
    return buffer.getvalue()


def mp3() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, breath(1), 8000, format="MP3")
    return buffer.getvalue()


def with_nan() -> bytes:
    sound = breath(1)
    sound[100] = np.nan
    return wav(sound, "FLOAT")


def with_header_of_ten_hours() -> bytes:
    data = bytearray(wav(breath(1)))
    struct.pack_into("<I", data, data.index(b"data") + 4, 36000 * RATE_HZ * 2)
    return bytes(data)


def at_rate(rate_hz: int) -> bytes:
    """A file of 24 kB whose header names another rate; at 1 Hz it claims three hours."""
    data = bytearray(wav(breath(1)[:12000]))
    struct.pack_into("<II", data, data.index(b"fmt ") + 12, rate_hz, rate_hz * 2)
    return bytes(data)


FAULTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty file": ("unreadable", lambda: b""),
    "header without audio": ("truncated", lambda: wav(breath(1))[:30]),
    "cut in the middle": ("truncated", lambda: wav(breath(1))[:20000]),
    "cut by one sample": ("truncated", lambda: wav(breath(1))[:-2]),
    "header of ten hours": ("truncated", with_header_of_ten_hours),
    "text": ("wrong_content", lambda: b"404 not found: the file has moved somewhere else\n" * 9),
    "page": ("wrong_content", lambda: b"<!doctype html><html><body>sign in</body></html>" * 9),
    "zip": ("wrong_content", lambda: b"PK\x03\x04" + bytes(500)),
    "mp3": ("wrong_content", mp3),
    "flac under wav": ("wrong_content", lambda: wav(breath(1), "PCM_16", "FLAC")),
    "zeros for a file": ("wrong_content", lambda: bytes(5000)),
    "video in RIFF": ("wrong_content", lambda: b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(500)),
    "unknown codec": (
        "unreadable",
        lambda: wav(breath(1)).replace(b"fmt \x10\x00\x00\x00\x01\x00", b"fmt \x10\x00\x00\x00\x77\x77"),
    ),
    "digital silence": ("silent", lambda: wav(np.zeros(9000))),
    "silence on an offset": ("silent", lambda: wav(np.full(9000, 0.25))),
    "very quiet": ("silent", lambda: wav(breath(1) * 1e-4, "PCM_24")),
    "overdriven": ("clipped", lambda: wav(np.clip(breath(1) * 40, -1, 1))),
    "too short": ("too_short", lambda: wav(breath(1)[:1000])),
    "too long": ("too_long", lambda: wav(np.tile(breath(1), 17))),
    "no sample": ("too_short", lambda: wav(np.zeros(0))),
    "NaN": ("not_finite", with_nan),
    "rate of 1 Hz": ("unreadable", lambda: at_rate(1)),
    "rate below a voice": ("unreadable", lambda: at_rate(999)),
    "rate of 2 GHz": ("unreadable", lambda: at_rate(2_000_000_000)),
    "17 channels": ("unreadable", lambda: wav(np.tile(breath(1)[:, None], 17))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named(fault: str, tmp_path: Path) -> None:
    reason, make = FAULTS[fault]
    path = tmp_path / "a.wav"
    path.write_bytes(make())
    _, problems = inspect(path, LIMITS)
    assert reason in {problem.reason for problem in problems}
    assert {problem.reason for problem in problems} <= {reason, "too_short"}
    assert str(tmp_path) not in " ".join(problem.detail for problem in problems)


@pytest.mark.parametrize("fault", ["rate of 1 Hz", "17 channels"])
def test_implausible_header_is_quoted(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(FAULTS[fault][1]())
    audio, problems = inspect(path, LIMITS)
    assert audio is None
    assert fault.removeprefix("rate of ") in problems[0].detail


@pytest.mark.parametrize("rate_hz", [1000, 384000])
def test_lowest_and_highest_rate_are_accepted(rate_hz: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(at_rate(rate_hz))
    audio, problems = inspect(path, LIMITS.model_copy(update={"min_duration_s": 0.01}))
    assert not problems and audio is not None and audio.sample_rate_hz == rate_hz


def test_cut_flac_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    data = wav(breath(1), "PCM_16", "FLAC")
    path.write_bytes(data[: len(data) // 2])
    assert [problem.reason for problem in inspect(path, LIMITS)[1]] == ["truncated"]


def test_damaged_flac_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    data = bytearray(wav(breath(1), "PCM_16", "FLAC"))
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    assert {problem.reason for problem in inspect(path, LIMITS)[1]} <= {"unreadable", "truncated"}
    assert inspect(path, LIMITS)[1]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_valid_file_has_no_problem(subtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(breath(1), subtype))
    audio, problems = inspect(path, LIMITS)
    assert not problems
    assert audio is not None and audio.duration_s == 6.0 and audio.subtype == subtype


def test_unknown_size_in_the_header_is_no_truncation(tmp_path: Path) -> None:
    """Programs that write to a pipe cannot state the size."""
    path = tmp_path / "a.wav"
    data = bytearray(wav(breath(1)))
    struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
    path.write_bytes(data)
    assert not inspect(path, LIMITS)[1]


def test_chunks_before_and_after_the_audio_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    data = wav(breath(1))
    at = data.index(b"data")
    data = data[:at] + b"LIST\x05\x00\x00\x00abcde\x00" + data[at:] + b"note\x04\x00\x00\x00abcd"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    audio, problems = inspect(path, LIMITS)
    assert not problems
    assert audio is not None and audio.duration_s == 6.0


def test_audio_checksum_is_independent_of_the_container(tmp_path: Path) -> None:
    codes = np.round(breath(1) * 32768) / 32768
    checksums = set()
    for name, subtype, form in (
        ("a.wav", "PCM_16", "WAV"),
        ("b.flac", "PCM_16", "FLAC"),
        ("c.wav", "PCM_24", "WAV"),
        ("d.wav", "FLOAT", "WAV"),
    ):
        (tmp_path / name).write_bytes(wav(codes, subtype, form))
        audio, _ = inspect(tmp_path / name, LIMITS)
        assert audio is not None
        checksums.add(audio.audio_sha256)
    assert len(checksums) == 1


def test_audio_checksum_depends_on_every_sample(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(breath(1)))
    (tmp_path / "b.wav").write_bytes(wav(breath(1)[:-1]))
    a, b = (inspect(tmp_path / name, LIMITS)[0] for name in ("a.wav", "b.wav"))
    assert a is not None and b is not None and a.audio_sha256 != b.audio_sha256


def test_long_file_is_read_in_blocks(tmp_path: Path) -> None:
    """No sample is lost or counted twice between blocks."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.tile(breath(1), 15)))
    audio, problems = inspect(path, LIMITS)
    assert not problems and audio is not None and audio.duration_s == 90.0


def flac_of(frames: int) -> bytes:
    """Six seconds whose header claims another number of samples."""
    data = bytearray(wav(breath(1), "PCM_16", "FLAC"))
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames
    return bytes(data[:18] + fields.to_bytes(8, "big") + data[26:])


def test_a_file_longer_than_the_limit_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac_of(10 * 3600 * RATE_HZ))
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    audio, problems = inspect(path, LIMITS)
    assert audio is None and [problem.reason for problem in problems] == ["too_long"]
    assert "3.6e+04 s, at most 100 s" in problems[0].detail


def test_the_limit_of_length_holds_for_a_header_without_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.tile(breath(1), 200)))
    read: list[int] = []

    def counted(file: soundfile.SoundFile, *arguments: Any, **options: Any) -> np.ndarray:
        block = read_(file, *arguments, **options)
        read.append(len(block))
        return block

    read_ = soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "frames", 2**63 - 1)
    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    audio, problems = inspect(path, LIMITS)
    assert audio is None and [problem.reason for problem in problems] == ["too_long"]
    assert 100 * RATE_HZ < sum(read) < 200 * RATE_HZ


def test_the_longest_allowed_recording_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.tile(breath(1), 15)))
    audio, problems = inspect(path, LIMITS.model_copy(update={"max_duration_s": 90.0}))
    assert not problems and audio is not None and audio.duration_s == 90.0


@pytest.mark.parametrize("moment", ["Recording", "file_sha256"])
def test_a_file_that_cannot_be_read_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Reading may fail at any moment: no permission, or the file is removed."""

    def refused(path: Path, *_: float) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "a.wav"
    path.write_bytes(wav(breath(1)))
    monkeypatch.setattr(examined, moment, refused)
    audio, problems = inspect(path, LIMITS)
    assert audio is None and [problem.reason for problem in problems] == ["unreadable"]
    assert "Permission denied" in problems[0].detail and str(tmp_path) not in problems[0].detail


def test_a_file_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xe9.wav")
    path.write_bytes(wav(breath(1)))
    audio, (problem,) = inspect(path, LIMITS)
    assert audio is None and problem.reason == "unreadable" and "rename it" in problem.detail
