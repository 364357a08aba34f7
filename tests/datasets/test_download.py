"""Downloads survive interruptions and never return a wrong file."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.core.errors import DownloadError
from auscult.datasets import RemoteFile
from auscult.datasets.retrieval import download

BODY = random.Random(1).randbytes(700_000)
Remote = Callable[..., RemoteFile]


def fetch(file: RemoteFile, folder: Path, attempts: int = 3) -> Path:
    return download.download(file, folder, attempts=attempts, pause_s=0.001)


def test_an_interrupted_download_requests_only_the_rest(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY, cut_after=[400_000])
    fetched = fetch(remote(BODY, "/a.zip"), tmp_path)
    assert fetched.read_bytes() == BODY
    first, second = server.log
    assert (first.range, first.sent) == (None, 400_000)
    assert second.status == 206 and second.range == f"bytes={len(BODY) - second.sent}-"
    assert second.sent < 300_000 + 20_000  # received bytes are not sent again


def test_a_later_run_resumes_the_download(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY, cut_after=[500_000])
    with pytest.raises(DownloadError, match="gave up"):
        fetch(remote(BODY, "/a.zip"), tmp_path, attempts=1)
    assert not (tmp_path / "archive.zip").exists()
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY
    assert server.log[-1].status == 206 and server.log[-1].sent < 200_000 + 20_000


@pytest.mark.parametrize(
    "fault",
    [{"cut_after": [100_000]}, {"cut_after": [100_000], "ranges": False}, {"status": 416}, {"status": 503}],
    ids=["cut", "cut and no ranges", "no rest", "busy"],
)
def test_a_failing_first_url_keeps_the_bytes_of_the_mirror(
    fault: dict[str, Any], server: Any, remote: Remote, tmp_path: Path
) -> None:
    server.put("/mirror", BODY, cut_after=[400_000], etag='"theirs"')
    file = remote(BODY, "/publisher", "/mirror")
    with pytest.raises(DownloadError):
        fetch(file, tmp_path, attempts=1)
    server.put("/publisher", BODY, **fault)
    assert fetch(file, tmp_path, attempts=1).read_bytes() == BODY
    last = server.log[-1]
    assert (last.path, last.status) == ("/mirror", 206) and last.sent < 300_000 + 20_000


def test_a_complete_part_of_a_killed_run_is_not_downloaded_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY)
    (tmp_path / "archive.zip.part").write_bytes(BODY)
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY
    assert server.log == []
    unstated = replace(remote(BODY, "/a.zip", name="other.zip"), md5=None, size_bytes=None)
    (tmp_path / "other.zip.part").write_bytes(BODY)
    stored = {"url": unstated.urls[0], "mark": '"one"', "seen": '"one"'}
    (tmp_path / "other.zip.part.json").write_text(json.dumps(stored))
    assert fetch(unstated, tmp_path).read_bytes() == BODY
    assert sum(served.sent for served in server.log if served.status < 400) == 0


def test_a_wrong_part_of_full_length_is_downloaded_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY)
    (tmp_path / "archive.zip.part").write_bytes(bytes(len(BODY)))
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("stated", [True, False])
def test_progress_is_measured_from_the_start_of_another_version(
    stated: bool, server: Any, remote: Remote, tmp_path: Path
) -> None:
    file = remote(BODY, "/a.zip") if stated else replace(remote(BODY, "/a.zip"), md5=None)
    server.put("/a.zip", random.Random(2).randbytes(len(BODY)), cut_after=[500_000], etag='"old"')
    with pytest.raises(DownloadError):
        fetch(file, tmp_path, attempts=1)
    mixture = [200_000 + 20_000] if stated else []  # sent whole; the checksum tells, then all of it in pieces
    server.put("/a.zip", BODY, cut_after=[*mixture, *[100_000] * 6], etag='"new"')
    assert fetch(file, tmp_path, attempts=3).read_bytes() == BODY


@pytest.mark.parametrize("cuts", [[400_000] * 50, [400_000, 300_000] * 25])
def test_a_server_that_restarts_each_time_is_given_up(
    cuts: list[int], server: Any, remote: Remote, tmp_path: Path
) -> None:
    server.put("/a.zip", BODY, cut_after=cuts, etag=None, ranges=False)
    with pytest.raises(DownloadError, match="gave up"):
        fetch(replace(remote(BODY, "/a.zip"), md5=None), tmp_path)
    assert len(server.log) < 10


def test_a_wrong_file_with_interruptions_is_downloaded_twice_at_most(
    server: Any, remote: Remote, tmp_path: Path
) -> None:
    server.put("/a.zip", bytes(len(BODY)), cut_after=[400_000, len(BODY)] * 20)
    with pytest.raises(DownloadError, match="publisher's file"):
        fetch(remote(BODY, "/a.zip"), tmp_path)
    assert sum(served.sent for served in server.log) <= 2 * len(BODY) + 2 * 20_000


def test_a_server_without_ranges_sends_everything_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY, cut_after=[400_000], ranges=False)
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY
    assert [served.status for served in server.log] == [200, 200]


def test_two_versions_of_a_file_are_not_mixed(server: Any, remote: Remote, tmp_path: Path) -> None:
    old = random.Random(2).randbytes(len(BODY))
    unstated = replace(remote(BODY, "/a.zip"), md5=None)
    server.put("/a.zip", old, cut_after=[400_000], etag='"old"')
    with pytest.raises(DownloadError):
        fetch(unstated, tmp_path, attempts=1)
    server.put("/a.zip", BODY, etag='"new"')
    assert fetch(unstated, tmp_path).read_bytes() == BODY


def test_a_mixture_of_versions_is_noticed_by_its_checksum(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", random.Random(2).randbytes(len(BODY)), cut_after=[400_000], etag=None)
    with pytest.raises(DownloadError):
        fetch(remote(BODY, "/a.zip"), tmp_path, attempts=1)
    server.put("/a.zip", BODY, etag=None)
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY


def test_a_wrong_checksum_is_named_and_the_file_removed(server: Any, remote: Remote, tmp_path: Path) -> None:
    corrupt = BODY[:-1] + bytes([BODY[-1] ^ 1])
    server.put("/a.zip", corrupt)
    with pytest.raises(DownloadError) as caught:
        fetch(remote(BODY, "/a.zip"), tmp_path)
    assert hashlib.md5(BODY).hexdigest() in str(caught.value)
    assert hashlib.md5(corrupt).hexdigest() in str(caught.value)
    assert not list(tmp_path.glob("archive*.part")) and not (tmp_path / "archive.zip").exists()


def test_a_wrong_size_is_rejected_before_the_transfer(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY + b"more")
    with pytest.raises(DownloadError, match="700,004 bytes, expected 700,000"):
        fetch(remote(BODY, "/a.zip"), tmp_path)


def test_the_mirror_is_used_if_the_first_url_has_no_file(
    server: Any, remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.put("/mirror", BODY)
    assert fetch(remote(BODY, "/gone", "/mirror"), tmp_path).read_bytes() == BODY
    assert [served.path for served in server.log] == ["/gone", "/mirror"]  # 404 is final
    assert "404" in caplog.text


def test_the_mirror_is_used_if_the_first_url_has_a_wrong_file(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/bad", bytes(len(BODY)))
    server.put("/mirror", BODY)
    assert fetch(remote(BODY, "/bad", "/mirror"), tmp_path).read_bytes() == BODY


def test_a_busy_server_is_tried_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY, busy=2)
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY


def test_the_error_names_every_url_and_its_reason(server: Any, remote: Remote, tmp_path: Path) -> None:
    unreachable = RemoteFile("archive.zip", ("http://127.0.0.1:9/x?token=secret", server.url("/gone")))
    with pytest.raises(DownloadError) as caught:
        fetch(unreachable, tmp_path, attempts=2)
    message = str(caught.value)
    assert "http://127.0.0.1:9/x" in message and "/gone" in message and "404" in message
    assert "secret" not in message and "--source" in message


def test_the_mirror_is_used_if_a_certificate_is_not_valid(
    server: Any, remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture, self_signed: str
) -> None:
    caplog.set_level("INFO")
    server.put("/mirror", BODY)
    file = remote(BODY, "/mirror")
    assert fetch(replace(file, urls=(self_signed, *file.urls)), tmp_path).read_bytes() == BODY
    assert "certificate" in caplog.text


def test_a_verified_file_is_not_downloaded_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY)
    fetch(remote(BODY, "/a.zip"), tmp_path)
    fetch(remote(BODY, "/a.zip"), tmp_path)
    assert len(server.log) == 1


def test_a_damaged_file_is_downloaded_again(server: Any, remote: Remote, tmp_path: Path) -> None:
    server.put("/a.zip", BODY)
    (tmp_path / "archive.zip").write_bytes(BODY[:1000])
    assert fetch(remote(BODY, "/a.zip"), tmp_path).read_bytes() == BODY


def test_without_a_checksum_a_newer_file_on_the_server_is_downloaded(
    server: Any, remote: Remote, tmp_path: Path
) -> None:
    file = replace(remote(BODY, "/a.zip"), md5=None, size_bytes=None)
    server.put("/a.zip", BODY, etag='"one"')
    fetch(file, tmp_path)
    kept = fetch(file, tmp_path)
    assert kept.read_bytes() == BODY
    server.put("/a.zip", b"newer", etag='"two"')
    assert fetch(file, tmp_path).read_bytes() == b"newer"


def test_an_interrupted_update_is_resumed_and_never_mistaken_for_the_older_file(
    server: Any, remote: Remote, tmp_path: Path
) -> None:
    file = replace(remote(BODY, "/a.zip"), md5=None, size_bytes=None)
    server.put("/a.zip", b"older", etag='"one"')
    fetch(file, tmp_path)
    server.put(
        "/a.zip", BODY, etag='"two"', cut_after=[100, 400_000]
    )  # of the first response only the headers are read
    with pytest.raises(DownloadError, match="resumes"):
        fetch(file, tmp_path, attempts=1)
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert server.log[-1].status == 206 and server.log[-1].sent < 300_000 + 20_000
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert not list(tmp_path.glob("*.part*.json"))


@pytest.mark.parametrize(("etag", "expected"), [('W/"one"', "already"), (None, "remove ")])
def test_a_complete_file_is_kept_if_the_server_has_no_strong_validator(
    etag: str | None, expected: str, server: Any, remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = replace(remote(BODY, "/a.zip"), md5=None, size_bytes=None)
    server.put("/a.zip", BODY, etag=etag)
    fetch(file, tmp_path)
    server.put("/a.zip", BODY, etag=etag, cut_after=[0] * 9)  # only headers are sent
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert expected in caplog.text


def test_a_failed_handshake_is_tried_again(
    server: Any, remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    broken = server.url("/a.zip").replace("http:", "https:")  # plain http answers there
    with pytest.raises(DownloadError, match="2 attempts") as caught:
        fetch(replace(remote(BODY, "/a.zip"), urls=(broken,)), tmp_path, attempts=2)
    assert "certificate" not in str(caught.value)
    assert "trying again" in caplog.text


@pytest.mark.parametrize("address", ["http://host:99999/a.zip", "http://u:secret@host:port/a.zip", "http://[x/a.zip"])
def test_a_malformed_url_is_rejected(address: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="host or port is malformed") as caught:
        fetch(RemoteFile("a.zip", (address,)), tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["ftp://host/a.zip", "javascript:alert(1)", "http://", "data://x"])
def test_other_schemes_are_rejected(address: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only http:// and https://"):
        fetch(RemoteFile("a.zip", (address,)), tmp_path)
