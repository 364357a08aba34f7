"""Hostile and damaged archives are refused, and no file is written outside the target."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from auscult.core.errors import DownloadError
from auscult.datasets.retrieval.unpack import Limits, unpack


def archive(tmp_path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], packed: bool = False) -> Path:
    path = tmp_path / "archive.zip"
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, body in members:
            opened.writestr(name, body, method)
    return path


def refused(path: Path, tmp_path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(DownloadError) as caught:
        unpack(path, tmp_path / "inner" / "target", limits)
    outside = [file for file in tmp_path.rglob("*") if file.is_file() and file != path]
    assert all(file.is_relative_to(tmp_path / "inner" / "target") for file in outside)
    return str(caught.value)


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path, ("a/b.wav", b"sound"), ("empty/", b""), ("ümläut & blank.txt", b"text"), packed=True)
    assert unpack(path, tmp_path / "out") == 2
    assert (tmp_path / "out" / "a" / "b.wav").read_bytes() == b"sound"
    assert (tmp_path / "out" / "ümläut & blank.txt").read_bytes() == b"text"


@pytest.mark.parametrize(("stored", "name"), [("é".encode(), "é"), (b"\x82\x82", "éé")], ids=["macOS", "DOS"])
def test_names_without_the_flag_for_utf8_are_read(stored: bytes, name: str, tmp_path: Path) -> None:
    path = archive(tmp_path, ("a_NN.wav", b"sound"))
    path.write_bytes(path.read_bytes().replace(b"a_NN", b"a_" + stored))
    assert unpack(path, tmp_path / "out") == 1
    assert (tmp_path / "out" / f"a_{name}.wav").read_bytes() == b"sound"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/evil.txt",
        "..\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "//host/evil.txt",
    ],
)
def test_members_outside_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path, ("good.txt", b"good"), (name, b"evil"))
    message = refused(path, tmp_path)
    assert "outside the folder" in message and "evil.txt" in message
    assert not (tmp_path / "inner" / "target" / "good.txt").exists()  # names are checked first


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for mode, expected in ((stat.S_IFLNK, "link"), (stat.S_IFCHR, "neither")):
        member = zipfile.ZipInfo("trap")
        member.external_attr = (mode | 0o777) << 16
        assert expected in refused(archive(tmp_path, (member, b"/etc/passwd")), tmp_path)


def test_a_zip_bomb_is_refused_before_unpacking(tmp_path: Path) -> None:
    path = archive(tmp_path, ("zeros.wav", bytes(5_000_000)), packed=True)
    assert "bomb" in refused(path, tmp_path, Limits(free_bytes=1_000_000))
    assert "unpacks to more than" in refused(path, tmp_path, Limits(total_bytes=1_000_000))
    assert not (tmp_path / "inner" / "target" / "zeros.wav").exists()
    assert unpack(path, tmp_path / "out") == 1  # silence in a small archive is accepted


def test_a_bomb_with_a_wrong_size_is_stopped(tmp_path: Path) -> None:
    path = archive(tmp_path, ("zeros.wav", bytes(5_000_000)), packed=True)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 1000)))
    assert "zeros.wav" in refused(path, tmp_path)
    written = tmp_path / "inner" / "target" / "zeros.wav"
    assert not written.exists() or written.stat().st_size <= 1000


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, *((f"{number}.txt", b"") for number in range(20)))
    assert "more than 10 members" in refused(path, tmp_path, Limits(members=10))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, ("a.wav", bytes(range(256)) * 100))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "damaged or truncated" in refused(path, tmp_path)


def test_a_web_page_instead_of_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(b"<html>please log in</html>")
    assert "no zip" in refused(path, tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_changed_byte_is_found_and_its_member_named(packed: bool, tmp_path: Path) -> None:
    body = bytes(range(256)) * 40
    path = archive(tmp_path, ("good.txt", b"good"), ("flipped.wav", body), packed=packed)
    data = bytearray(path.read_bytes())
    data[data.index(b"flipped.wav") + len("flipped.wav") + 60] ^= 0x10
    path.write_bytes(data)
    assert "flipped.wav" in refused(path, tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_refused(method: int, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", method) as opened:
        opened.writestr("zeros.wav", bytes(5_000_000))
    message = refused(path, tmp_path)
    assert "zeros.wav" in message and "compression" in message


def test_the_packed_size_that_a_member_states_is_not_trusted(tmp_path: Path) -> None:
    path = archive(tmp_path, ("zeros.wav", bytes(5_000_000)), ("pad/", b""), packed=True)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of pad/, in the directory at the end
    data[entry + 20 : entry + 24] = struct.pack("<L", 10**9)
    path.write_bytes(data)
    assert "bomb" in refused(path, tmp_path, Limits(free_bytes=1_000_000))


@pytest.mark.parametrize("damage", ["name", "version", "directory"])
def test_a_damaged_directory_is_refused(damage: str, tmp_path: Path) -> None:
    path = archive(tmp_path, ("ümläut.wav", bytes(range(256)) * 40))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    if damage == "name":
        data = data.replace("ü".encode(), b"\xff\xff")  # marked as UTF-8
    elif damage == "version":
        data[entry + 6] = 255
    else:
        data[-6:-2] = struct.pack("<L", entry + 5000)  # its place, as the end of the archive tells it
    path.write_bytes(data)
    assert "is not unpacked" in refused(path, tmp_path)


def test_an_unreadable_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.mkdir()
    assert "archive.zip cannot be read: Is a directory" in refused(path, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    assert "two members" in refused(archive(tmp_path, ("a.txt", b"one"), ("a.txt", b"two")), tmp_path)
    assert "file and a folder" in refused(archive(tmp_path, ("a", b"one"), ("a/b", b"two")), tmp_path)


def test_invalid_names_are_refused(tmp_path: Path) -> None:
    assert "control characters" in refused(archive(tmp_path, ("a\nb.txt", b"")), tmp_path)
    assert "too long" in refused(archive(tmp_path, ("x" * 300, b"")), tmp_path)
    assert "too long" in refused(archive(tmp_path, ("/".join(["d" * 200] * 25), b"")), tmp_path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, ("secret.wav", b"sound"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in refused(path, tmp_path)
