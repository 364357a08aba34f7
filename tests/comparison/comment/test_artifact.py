"""The uploaded artifact is untrusted input: unless it is exactly a comparison, it is refused in the comment."""

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
from auscult.comparison.comment import text
from auscult.comparison.comment.pull_request import MARKER, read_event
from auscult.comparison.document import LARGEST, SCHEMA, Fault
from tests.comparison.comment.workflow_run import RUN_PAGE, Scenario, archive, comparison, packed


def _of_kind(kind: int) -> bytes:
    """Return a valid comparison that is not marked as a regular file."""
    entry = zipfile.ZipInfo("comparison.json")
    entry.create_system = 3  # Unix
    entry.external_attr = (kind | 0o777) << 16
    return archive((entry, json.dumps(asdict(comparison())).encode()))


def _bomb() -> bytes:
    return archive(("comparison.json", b" " * (LARGEST + 1)))


def _bomb_that_lies() -> bytes:
    """Return an archive with ten times as much content as its directory says."""
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
    "another file": lambda: archive(("comparison.json", b"{}"), ("run.sh", b"id")),
    "the name twice": lambda: archive(("comparison.json", b"{}"), ("comparison.json", b"{}")),
    "an empty archive": lambda: archive(),
    "not an archive": lambda: b"<html>",
    "a cut archive": lambda: packed(comparison())[:-30],
    "a zip bomb": _bomb,
    "a zip bomb with a wrong size": _bomb_that_lies,
    "not JSON": lambda: archive(("comparison.json", b"score: 1")),
    "deep nesting": lambda: archive(("comparison.json", b"[" * 100_000)),
    "a number too long": lambda: archive(("comparison.json", b"1" * 1_000_000)),
    "not a number": lambda: _changed(lambda document: document.update(confidence=float("nan"))),
    "an unknown key": lambda: _changed(lambda document: document.update(link="https://evil.example")),
    "another version": lambda: _changed(lambda document: document.update(schema=SCHEMA + 1)),
    "another type": lambda: _changed(lambda document: document.update(experiments={"a": 1})),
    "another commit": lambda: _changed(lambda document: document["head"].update(commit="cd" * 20)),
    "no commit": lambda: _changed(lambda document: document["head"].update(commit="")),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_artifact_that_is_not_a_comparison_is_refused(scenario: Scenario, made: Callable[[], bytes]) -> None:
    scenario.comment()
    scenario.github.archives[700] = made()
    (body,) = scenario.comment()
    assert "was refused" in body
    assert RUN_PAGE in body
    assert "abnormal_logmel_cnn2d" not in body
    assert "evil" not in body


def test_a_large_archive_is_refused_before_the_download(scenario: Scenario) -> None:
    scenario.github.artifacts[0]["size_in_bytes"] = 10**12
    (body,) = scenario.comment()
    assert "was refused" in body
    assert not [each for each in scenario.github.requests if "/blob/" in each]


def test_the_download_of_an_archive_larger_than_announced_is_stopped(scenario: Scenario) -> None:
    scenario.github.archives[700] = b"x" * (8 * LARGEST)
    (body,) = scenario.comment()
    assert "too large" in body


def test_untrusted_strings_never_become_markup(scenario: Scenario) -> None:
    hostile = f"`</code><img src=x onerror=1>\n@everyone {MARKER} [a](https://evil.example) |"
    faults = (Fault("head", hostile[:90], hostile),)
    scenario.github.archives[700] = packed(comparison(faults=faults, dataset=hostile[:60]))
    (body,) = scenario.comment()
    assert body.count("\n<!--") == 0
    outside = "".join(body.replace("``", "").split("`")[::2])  # without code spans
    for planted in ("<img", "@everyone", "evil.example"):
        assert planted not in outside


def test_a_long_comparison_stays_within_githubs_limit(scenario: Scenario) -> None:
    faults = tuple(Fault("head", "w" * 200, f"{number} " + "ü" * 500) for number in range(400))
    scenario.github.archives[700] = packed(comparison(faults=faults))
    (body,) = scenario.comment()
    assert len(body.encode()) <= 65_536
    assert f"{RUN_PAGE}/artifacts/701" in body


@pytest.mark.parametrize("conclusion", ["success", "failure"])
def test_the_text_around_the_comparison_fits_too(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, conclusion: str
) -> None:
    monkeypatch.setattr(markdown, "render", lambda document, limit, link: "x" * limit)
    scenario.run["conclusion"] = conclusion
    (body,) = scenario.comment()
    assert 65_000 < len(body.encode()) <= 65_536


def test_an_unexpected_error_is_reported_without_untrusted_text(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "::stop-commands::" + "evil"  # a line that the runner would obey

    def broken_render(document: object, **_: object) -> str:
        raise KeyError(hostile)

    monkeypatch.setattr(markdown, "render", broken_render)
    (body,) = scenario.comment()
    assert "KeyError" in body
    assert "broken_render" in (log := capsys.readouterr().err)
    assert hostile not in body + log


def test_an_expired_artifact_is_missing(scenario: Scenario) -> None:
    scenario.github.artifacts[0]["expired"] = True
    (body,) = scenario.comment()
    assert "uploaded no comparison" in body


def test_without_the_report_the_link_leads_to_the_run(scenario: Scenario) -> None:
    del scenario.github.artifacts[1]
    (body,) = scenario.comment()
    assert f"(<{RUN_PAGE}>)" in body


def test_refused_content_is_not_quoted(scenario: Scenario) -> None:
    content = json.dumps(asdict(comparison()) | {"<b>@everyone</b>": 1}).encode()
    scenario.github.archives[700] = archive(("comparison.json", content))
    (body,) = scenario.comment()
    assert "was refused" in body
    assert "everyone" not in body


def test_a_reason_never_becomes_markup(scenario: Scenario) -> None:
    body = text.refused(read_event(scenario.event()), "`<img src=x>` [a](b) @everyone | *x*\n# y")
    assert body.count("`") == 4, "of the commit and of the reason"
    assert "<img src=x>ˋ [a](b) @everyone ∣ *x* # y`." in body and "\n#" not in body
