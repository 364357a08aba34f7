"""``comparison.json`` comes from a pull request: it is exactly what was declared, or it is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult.comparison import document
from auscult.comparison.document import DocumentError, parse, read, write
from tests.comparison.documents import comparison, experiment, golden


def plain(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "made.json", golden()["better"])
    made: dict[str, Any] = json.loads((tmp_path / "made.json").read_text())
    return made


@pytest.mark.parametrize("name", sorted(golden()))
def test_what_was_written_is_read_again(tmp_path: Path, name: str) -> None:
    write(tmp_path / "comparison.json", golden()[name])
    assert read(tmp_path / "comparison.json") == golden()[name]


def score(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["experiments"][0]["parts"][0]["figures"][0]
    return found


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda made: made.update(schema=2),
    "no version": lambda made: made.pop("schema"),
    "an unknown key": lambda made: made.update(verdict="<b>Better</b>"),
    "an unknown key deep inside": lambda made: score(made).update(html="<b>"),
    "a missing key": lambda made: score(made).pop("low"),
    "text for a number": lambda made: score(made).update(low="0.1"),
    "yes for a number": lambda made: score(made).update(low=True),
    "no number": lambda made: score(made).update(low=float("nan")),
    "an infinite number": lambda made: score(made).update(low=float("inf")),
    "a number beyond all bounds": lambda made: score(made).update(low=10**400),
    "an unknown word": lambda made: score(made).update(mark="excellent"),
    "a number for text": lambda made: made.update(dataset=7),
    "a long text": lambda made: made.update(dataset="x" * 121),
    "half a character": lambda made: made.update(dataset="\ud800"),
    "a long list": lambda made: made.update(sizes=made["sizes"] * 50),
    "an object for a list": lambda made: made.update(sizes={}),
    "a negative count": lambda made: made["sizes"][0].update(base=-1),
    "half a count": lambda made: made["sizes"][0].update(base=1.5),
    "no object": lambda made: made.update(base=[]),
    "null where there must be something": lambda made: made.update(base=None),
    "a commit that is a command": lambda made: made["base"].update(commit="$(rm -rf .)"),
    "a commit that is too short": lambda made: made["base"].update(commit="abc"),
    "an experiment twice": lambda made: made["experiments"].append(made["experiments"][0]),
    "no confidence": lambda made: made.update(confidence=1.5),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_document_that_is_not_as_declared_is_refused(tmp_path: Path, fault: str) -> None:
    made = plain(tmp_path)
    parse(json.dumps(made).encode())
    FAULTS[fault](made)
    with pytest.raises(DocumentError, match="this is no comparison of version 1"):
        parse(json.dumps(made).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1e999}', b'{"schema": 1, "schema": 1}'],
    ids=["nothing", "null", "a list", "half", "no text", "a deep one", "infinity", "a key twice"],
)
def test_what_is_no_document_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentError):
        parse(content)


def test_a_branch_from_before_the_layout_changed_is_told_what_to_do(tmp_path: Path) -> None:
    older = {"schema": 7, "of another layout": True}
    with pytest.raises(DocumentError, match=r"it is one of version 7.*merge main into it"):
        parse(json.dumps(older).encode())


def test_a_large_file_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST", 1000)
    (tmp_path / "large.json").write_bytes(b" " * 2000)
    with pytest.raises(DocumentError, match="at most 1000 are read"):
        read(tmp_path / "large.json")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "good.json", golden()["better"])
    place = tmp_path / "comparison.json"
    if kind == "link":
        place.symlink_to(tmp_path / "good.json")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    with pytest.raises(DocumentError):
        read(place)


def test_what_would_be_refused_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DocumentError):
        write(tmp_path / "comparison.json", comparison(experiment("x" * 200, 0.7, 0.8)))
    assert not (tmp_path / "comparison.json").exists()
