"""What a stranger's run uploads is data: refused where it is not exactly a comparison, and the comment says so."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from auscult.comparison import markdown
from auscult.comparison.comment import event, words
from auscult.comparison.comment.sticky import MARKER
from auscult.comparison.document import LARGEST, Fault
from tests.comparison.comment.clinic import RUN_PAGE, Clinic, archive, comparison, packed


def _of_kind(kind: int) -> bytes:
    """A good comparison, marked as something else than a file."""
    entry = zipfile.ZipInfo("comparison.json")
    entry.create_system = 3  # Unix
    entry.external_attr = (kind | 0o777) << 16
    return archive((entry, json.dumps(asdict(comparison())).encode()))


def _bomb() -> bytes:
    return archive(("comparison.json", b" " * (LARGEST + 1)))


def _bomb_that_lies() -> bytes:
    """Ten times as much as its directory says."""
    made = bytearray(archive(("comparison.json", b" " * (10 * LARGEST))))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", made, made.index(signature) + offset, 100)
    return bytes(made)


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = asdict(comparison())
    change(document)
    return packed(document)


HOSTILE = {
    "a link": lambda: _of_kind(stat.S_IFLNK),
    "a device": lambda: _of_kind(stat.S_IFCHR),
    "a folder": lambda: archive(("comparison.json/", b"")),
    "another name": lambda: archive(("../comparison.json", b"{}")),
    "a file more": lambda: archive(("comparison.json", b"{}"), ("run.sh", b"id")),
    "the name twice": lambda: archive(("comparison.json", b"{}"), ("comparison.json", b"{}")),
    "nothing": lambda: archive(),
    "no archive": lambda: b"<html>",
    "cut short": lambda: packed(comparison())[:-30],
    "more than is read": _bomb,
    "more than it says": _bomb_that_lies,
    "no JSON": lambda: archive(("comparison.json", b"score: 1")),
    "deep JSON": lambda: archive(("comparison.json", b"[" * 100_000)),
    "a number too long": lambda: archive(("comparison.json", b"1" * 1_000_000)),
    "not a number": lambda: _changed(lambda document: document.update(confidence=float("nan"))),
    "a key more": lambda: _changed(lambda document: document.update(link="https://evil.example")),
    "another version": lambda: _changed(lambda document: document.update(schema=2)),
    "another type": lambda: _changed(lambda document: document.update(experiments={"a": 1})),
    "another commit": lambda: _changed(lambda document: document["head"].update(commit="cd" * 20)),
    "no commit": lambda: _changed(lambda document: document["head"].update(commit="")),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_artifact_that_is_no_comparison_is_refused_in_the_comment(clinic: Clinic, made: Callable[[], bytes]) -> None:
    clinic.tell()
    clinic.github.archives[700] = made()
    (body,) = clinic.tell()
    assert "was refused" in body
    assert RUN_PAGE in body
    assert "abnormal_logmel_cnn2d" not in body
    assert "evil" not in body


def test_a_large_archive_is_refused_before_it_is_asked_for(clinic: Clinic) -> None:
    clinic.github.artifacts[0]["size_in_bytes"] = 10**12
    (body,) = clinic.tell()
    assert "was refused" in body
    assert not [asked for asked in clinic.github.asked if "/blob/" in asked]


def test_an_archive_larger_than_was_announced_is_not_read_to_its_end(clinic: Clinic) -> None:
    clinic.github.archives[700] = b"x" * (8 * LARGEST)
    (body,) = clinic.tell()
    assert "too large" in body


def test_strings_of_the_document_become_no_markup(clinic: Clinic) -> None:
    hostile = f"`</code><img src=x onerror=1>\n@everyone {MARKER} [a](https://evil.example) |"
    faults = (Fault("head", hostile[:90], hostile),)
    clinic.github.archives[700] = packed(comparison(faults=faults, dataset=hostile[:60]))
    (body,) = clinic.tell()
    assert body.count("\n<!--") == 0
    outside = "".join(body.replace("``", "").split("`")[::2])  # what is not shown as code
    for planted in ("<img", "@everyone", "evil.example"):
        assert planted not in outside


def test_a_long_comparison_stays_within_githubs_limit(clinic: Clinic) -> None:
    faults = tuple(Fault("head", "w" * 200, f"{number} " + "ü" * 500) for number in range(400))
    clinic.github.archives[700] = packed(comparison(faults=faults))
    (body,) = clinic.tell()
    assert len(body.encode()) <= 65_536
    assert f"{RUN_PAGE}/artifacts/701" in body


@pytest.mark.parametrize("conclusion", ["success", "failure"])
def test_what_stands_around_the_comparison_fits_too(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, conclusion: str
) -> None:
    monkeypatch.setattr(markdown, "render", lambda document, limit, link: "x" * limit)
    clinic.run["conclusion"] = conclusion
    (body,) = clinic.tell()
    assert 65_000 < len(body.encode()) <= 65_536


def test_whatever_goes_wrong_with_a_strangers_file_is_said_without_its_words(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "::stop-commands::" + "evil"  # a line that the runner would obey

    def stumble(document: object, **_: object) -> str:
        raise KeyError(hostile)

    monkeypatch.setattr(markdown, "render", stumble)
    (body,) = clinic.tell()
    assert "could not be shown (KeyError)" in body
    assert "stumble" in (log := capsys.readouterr().err)
    assert hostile not in body + log


def test_an_artifact_that_has_expired_is_said_to_be_missing(clinic: Clinic) -> None:
    clinic.github.artifacts[0]["expired"] = True
    (body,) = clinic.tell()
    assert "uploaded no comparison" in body


def test_where_the_report_is_missing_the_link_leads_to_the_run(clinic: Clinic) -> None:
    del clinic.github.artifacts[1]
    (body,) = clinic.tell()
    assert f"(<{RUN_PAGE}>)" in body


def test_what_is_refused_is_not_quoted(clinic: Clinic) -> None:
    content = json.dumps(asdict(comparison()) | {"<b>@everyone</b>": 1}).encode()
    clinic.github.archives[700] = archive(("comparison.json", content))
    (body,) = clinic.tell()
    assert "was refused" in body
    assert "everyone" not in body


def test_a_reason_becomes_no_markup(clinic: Clinic) -> None:
    said = words.refused(event.read(clinic.event()), "`<img src=x>` [a](b) @everyone | *x*\n# y")
    assert "img src x a (b) everyone x y." in said
