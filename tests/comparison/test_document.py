"""``comparison.json`` is untrusted input: it is exactly as declared, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult.comparison import document
from auscult.comparison.document import SCHEMA, DocumentError, parse, write
from tests.comparison.documents import comparison, experiment, golden


def plain(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "made.json", golden()["better"])
    made: dict[str, Any] = json.loads((tmp_path / "made.json").read_text())
    return made


@pytest.mark.parametrize("name", sorted(golden()))
def test_a_written_comparison_is_read_again(tmp_path: Path, name: str) -> None:
    write(tmp_path / "comparison.json", golden()[name])
    assert parse((tmp_path / "comparison.json").read_bytes()) == golden()[name]


def score(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["experiments"][0]["parts"][0]["metrics"][0]
    return found


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda made: made.update(schema=1),
    "no version": lambda made: made.pop("schema"),
    "an unknown key": lambda made: made.update(verdict="<b>Better</b>"),
    "an unknown key deep inside": lambda made: score(made).update(html="<b>"),
    "a missing key": lambda made: score(made).pop("low"),
    "no smallest difference": lambda made: score(made).pop("noticeable"),
    "text for a number": lambda made: score(made).update(low="0.1"),
    "true for a number": lambda made: score(made).update(low=True),
    "not a number": lambda made: score(made).update(low=float("nan")),
    "an infinite number": lambda made: score(made).update(low=float("inf")),
    "a huge number": lambda made: score(made).update(low=10**400),
    "an unknown mark": lambda made: score(made).update(mark="excellent"),
    "a number for text": lambda made: made.update(dataset=7),
    "a long text": lambda made: made.update(dataset="x" * 121),
    "an unpaired surrogate": lambda made: made.update(dataset="\ud800"),
    "a long list": lambda made: made.update(sizes=made["sizes"] * 50),
    "an object for a list": lambda made: made.update(sizes={}),
    "a negative count": lambda made: made["experiments"][0]["parts"][0].update(units=-1),
    "a fractional count": lambda made: made["experiments"][0]["parts"][0].update(units=1.5),
    "a list for an object": lambda made: made.update(base=[]),
    "null for a required value": lambda made: made.update(base=None),
    "a commit that is a command": lambda made: made["base"].update(commit="$(rm -rf .)"),
    "a commit that is too short": lambda made: made["base"].update(commit="abc"),
    "an experiment twice": lambda made: made["experiments"].append(made["experiments"][0]),
    "no limits": lambda made: made["experiments"][0].pop("limits"),
    "a limit without a value": lambda made: made["experiments"][0].update(
        limits=[{"name": "recall_both", "base": None, "head": None, "limit": 0.2, "at_least": True}]
    ),
    "an invalid confidence": lambda made: made.update(confidence=1.5),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_file_that_is_not_as_declared_is_refused(tmp_path: Path, fault: str) -> None:
    made = plain(tmp_path)
    parse(json.dumps(made).encode())
    FAULTS[fault](made)
    with pytest.raises(DocumentError, match=f"version {SCHEMA}"):
        parse(json.dumps(made).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1e999}', b'{"schema": 1, "schema": 1}'],
    ids=["nothing", "null", "a list", "cut", "not UTF-8", "deep nesting", "infinity", "a key twice"],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentError):
        parse(content)


def test_another_version_is_refused_with_the_remedy() -> None:
    older = {"schema": 7, "of another layout": True}
    with pytest.raises(DocumentError, match=r"version 7.*merge main"):
        parse(json.dumps(older).encode())


def test_a_large_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST", 1000)
    with pytest.raises(DocumentError, match="at most 1000"):
        parse(b" " * 2000)


def test_a_comparison_that_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DocumentError):
        write(tmp_path / "comparison.json", comparison(experiment("x" * 200, 0.7, 0.8)))
    assert not (tmp_path / "comparison.json").exists()
