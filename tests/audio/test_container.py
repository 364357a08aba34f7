"""Unusual but whole files are read to the last sample; truncated and foreign ones are named for what they are."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.audio.container import Part, Rejected, locate
from auscult.audio.reader import Recording
from tests.audio.wav import ID3, chunk, encoded, form, resized, riff, unknown_length
from tests.validation.small_data_set import breath

RATE_HZ = 4000
SOUND = np.round(breath(3)[: 3 * RATE_HZ] * 2**15) / 2**15
PCM = encoded(SOUND)[44:]
PCM24 = encoded(SOUND, "PCM_24")[44:]
FLAC = encoded(SOUND, form="FLAC")
ODD = b"INFOISFT\x0b\0\0\0Recorder 12"


def ds64(audio: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", 72 + audio, audio, audio // 2, 0))


#: Files with the same 12,000 samples.
WHOLE: dict[str, Callable[[], bytes]] = {
    "size 0": lambda: riff(form(), chunk(b"data", PCM, size=0), size=0),
    "size 0, chunk before": lambda: riff(form(), chunk(b"LIST", b"INFO"), chunk(b"data", PCM, size=0), size=0),
    "size 2^32 - 1": lambda: riff(form(), chunk(b"data", PCM, size=0xFFFFFFFF), size=0xFFFFFFFF),
    "size 2^32 - 37": lambda: resized(encoded(SOUND), 0xFFFFFFDB),
    "size 2^31": lambda: resized(encoded(SOUND), 0x80000000),
    "SoX to a pipe": lambda: riff(form(), chunk(b"data", PCM, size=0x7FFFF000), size=0x7FFFF024),
    "SoX, whole frames of 24 bits": lambda: resized(encoded(SOUND, "PCM_24"), 0x7FFFF000 // 3 * 3),
    "arecord": lambda: resized(encoded(SOUND), 0x7FFFFF00),
    "24 bits, size unknown": lambda: resized(encoded(SOUND, "PCM_24"), 0xFFFFFFFF),
    "24 bits, size unknown, part of a sample": lambda: resized(encoded(SOUND, "PCM_24"), 0) + b"\x01",
    "part of a sample": lambda: riff(form(), chunk(b"data", PCM + b"\x01", pad=False)),
    "header counted as audio": lambda: riff(form(), chunk(b"data", PCM, size=len(PCM) + 44)),
    "padding counted as audio": lambda: riff(form(), chunk(b"data", PCM, size=len(PCM) + 1)),
    "size of the file too small": lambda: riff(form(), chunk(b"data", PCM), size=36),
    "odd chunk": lambda: riff(form(), chunk(b"LIST", ODD), chunk(b"data", PCM)),
    "odd chunk without padding": lambda: riff(form(), chunk(b"LIST", ODD, pad=False), chunk(b"data", PCM)),
    "odd chunk before the format": lambda: riff(chunk(b"bext", bytes(603), pad=False), form(), chunk(b"data", PCM)),
    "chunk of zeros": lambda: riff(form(), chunk(b"FLLR", bytes(4044)), chunk(b"data", PCM)),
    "garbage at the end": lambda: encoded(SOUND) + b"\xde\xad\xbe\xef" * 99,
    "wrong block size": lambda: riff(form(align=4), chunk(b"data", PCM)),
    "format of 18 bytes": lambda: riff(form(extra=b"\0\0"), chunk(b"data", PCM)),
    "extensible": lambda: encoded(SOUND, form="WAVEX"),
    "extensible, size unknown": lambda: resized(encoded(SOUND, form="WAVEX"), 0),
    "extensible, 24 bits, size unknown": lambda: resized(encoded(SOUND, "PCM_24", "WAVEX"), 0),
    "32 bits": lambda: encoded(SOUND, "PCM_32"),
    "float": lambda: encoded(SOUND, "FLOAT"),
    "double": lambda: encoded(SOUND, "DOUBLE"),
    "RIFX": lambda: encoded(SOUND, endian="BIG"),
    "RIFX, 24 bits": lambda: encoded(SOUND, "PCM_24", endian="BIG"),
    "RIFX, size unknown": lambda: resized(encoded(SOUND, endian="BIG"), 0xFFFFFFFF),
    "RF64": lambda: encoded(SOUND, form="RF64"),
    "RF64 without a size": lambda: riff(ds64(0), form(), chunk(b"data", PCM, size=0xFFFFFFFF), magic=b"RF64"),
    "BW64": lambda: riff(ds64(len(PCM)), form(), chunk(b"data", PCM, size=0xFFFFFFFF), magic=b"BW64"),
    "BW64, 24 bits": lambda: riff(ds64(len(PCM24)), form(bits=24), chunk(b"data", PCM24), magic=b"BW64"),
    "ID3": lambda: ID3 + encoded(SOUND),
    "ID3 twice": lambda: ID3 + ID3 + encoded(SOUND),
    "ID3 with a footer, 24 bits": lambda: ID3[:5] + b"\x10" + ID3[6:] + bytes(10) + encoded(SOUND, "PCM_24"),
    "ID3, size unknown": lambda: ID3 + resized(encoded(SOUND), 0x7FFFF000),
}
WHOLE_FLAC: dict[str, Callable[[], bytes]] = {
    "length unknown": lambda: unknown_length(FLAC),
    "length and checksum unknown": lambda: unknown_length(FLAC[:26] + bytes(16) + FLAC[42:]),
    "24 bits, length unknown": lambda: unknown_length(encoded(SOUND, "PCM_24", "FLAC")),
    "ID3": lambda: ID3 + FLAC,
    "ID3, length unknown": lambda: ID3 + unknown_length(FLAC),
    "tag at the end": lambda: FLAC + b"TAG" + bytes(125),
    "tag at the end, length unknown": lambda: unknown_length(FLAC) + b"TAG" + bytes(125),
}
#: ending, reason, content
REFUSED: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "3 GiB stated": (".wav", "truncated", lambda: resized(encoded(SOUND), 0xC0000000)),
    "nearly 2 GiB stated": (".wav", "truncated", lambda: resized(encoded(SOUND), 0x7FF00000)),
    "one sample more stated": (".wav", "truncated", lambda: encoded(SOUND)[:-2]),
    "44 bytes missing": (".wav", "truncated", lambda: encoded(SOUND)[:-44]),
    "24 bits, cut": (".wav", "truncated", lambda: encoded(SOUND, "PCM_24")[:-3]),
    "RF64, cut": (".wav", "truncated", lambda: encoded(SOUND, form="RF64")[:-2]),
    "RIFX, cut": (".wav", "truncated", lambda: encoded(SOUND, endian="BIG")[:-2]),
    "ID3, cut": (".wav", "truncated", lambda: ID3 + encoded(SOUND)[:-2]),
    "cut in the tag": (".wav", "truncated", lambda: ID3[:15]),
    "FLAC, cut": (".flac", "truncated", lambda: FLAC[:-100]),
    "FLAC, length unknown, cut": (".flac", "unreadable", lambda: unknown_length(FLAC)[:-100]),
    "FLAC, header zeroed": (".flac", "unreadable", lambda: FLAC[:4] + bytes(38) + FLAC[42:]),
    "rate of 0": (".wav", "unreadable", lambda: riff(form(rate=0), chunk(b"data", PCM))),
    "no channel": (".wav", "unreadable", lambda: riff(form(channels=0, align=2), chunk(b"data", PCM))),
    "48 bits": (".wav", "unreadable", lambda: riff(form(bits=48), chunk(b"data", PCM))),
    "no format": (".wav", "unreadable", lambda: riff(chunk(b"data", PCM))),
    "no audio": (".wav", "unreadable", lambda: riff(form(), chunk(b"LIST", b"INFO"))),
    "two chunks of audio": (".wav", "unreadable", lambda: riff(form(), chunk(b"data", PCM), chunk(b"data", PCM))),
}
#: What a file named .wav contains → content
FOREIGN: dict[str, Callable[[], bytes]] = {
    "an ID3 tag and MP3": lambda: ID3 + encoded(SOUND, "MPEG_LAYER_III", "MP3", 8000),
    "MP3": lambda: encoded(SOUND, "MPEG_LAYER_III", "MP3", 8000),
    "AAC": lambda: b"\xff\xf1\x50\x80" + bytes(60),
    "AMR": lambda: b"#!AMR\n" + bytes(60),
    "MP4": lambda: b"\0\0\0\x18ftyp3gp4" + bytes(60),
    "Ogg": lambda: encoded(SOUND, "VORBIS", "OGG", 8000),
    "AIFF": lambda: encoded(SOUND, form="AIFF"),
    "Wave64": lambda: encoded(SOUND, form="W64"),
    "CAF": lambda: encoded(SOUND, form="CAF"),
    "FLAC": lambda: FLAC,
    "text in UTF-16": lambda: "the file has moved".encode("utf-16"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_wav_file_is_read_to_its_last_sample(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE[name]())
    recording = Recording(path)
    np.testing.assert_array_equal(recording.mono(), SOUND.astype(np.float32))
    assert (recording.sample_rate_hz, recording.channels, recording.frames) == (RATE_HZ, 1, len(SOUND))


@pytest.mark.parametrize("name", WHOLE_FLAC)
def test_a_whole_flac_file_is_read_to_its_last_sample(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(WHOLE_FLAC[name]())
    np.testing.assert_array_equal(Recording(path).mono(), SOUND.astype(np.float32))


@pytest.mark.parametrize("subtype", ["ALAW", "ULAW", "PCM_U8", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_codec_without_a_size_decodes_to_the_same_samples(tmp_path: Path, subtype: str, size: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(SOUND, subtype, rate=8000))
    expected = soundfile.read(path, dtype="float32")[0]
    path.write_bytes(resized(path.read_bytes(), size))
    np.testing.assert_array_equal(Recording(path).mono(), expected)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, name: str) -> None:
    ending, reason, make = REFUSED[name]
    path = tmp_path / f"a{ending}"
    path.write_bytes(make())
    with pytest.raises(Rejected) as caught:
        Recording(path).mono()
    assert caught.value.problem.reason == reason
    assert "rror" not in caught.value.problem.detail  # libsndfile's words


@pytest.mark.parametrize("what", FOREIGN)
def test_other_content_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(FOREIGN[what]())
    with pytest.raises(Rejected) as caught:
        locate(path)
    assert caught.value.problem.reason == "wrong_content"
    assert caught.value.problem.detail.endswith(f"its content is {what}")


def test_a_size_of_0_before_other_chunks_is_meant(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(form(), chunk(b"data"), chunk(b"LIST", b"INFOICMT\4\0\0\0none")))
    assert Recording(tmp_path / "a.wav").frames == 0


def test_damage_inside_a_flac_file_is_no_truncation(tmp_path: Path) -> None:
    data = bytearray(encoded(np.tile(SOUND, 20), form="FLAC"))
    third = len(data) // 3
    data[third : third + 2000] = bytes(2000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(Rejected) as caught:
        Recording(tmp_path / "a.flac").mono()
    assert caught.value.problem.reason == "unreadable"


def test_the_codec_of_an_unknown_wav_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(form(tag=0x7777), chunk(b"data", PCM)))
    with pytest.raises(Rejected, match="0x7777"):
        Recording(tmp_path / "a.wav")


def test_a_failure_to_read_is_not_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(9000))
    part = Part(path, 0, 9000, b"header")
    buffer = bytearray(100)
    assert part.readinto(memoryview(buffer)) == 100 and bytes(buffer) == b"header" + bytes(94) and part.error is None
    os.close(part._file.fileno())
    part.seek(0, 2)
    part.seek(-100, 1)
    assert part.readinto(memoryview(bytearray(200))) == 0
    assert isinstance(part.error, OSError)
