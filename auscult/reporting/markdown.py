"""Markdown from data: tables, and text that says nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MARKUP = {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {character: f"\\{character}" for character in "\\`*_{}[]|#@~"}


def escape(text: str) -> str:
    """Text that a publisher or a user chose, on one line, without links, markup or mentions of anybody."""
    return " ".join("".join(_MARKUP.get(character, character) for character in text).split())


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A table whose cells are escaped; the first *words* columns are words, the others are numbers and set right."""
    lines = [_line(head), f"|{' --- |' * words}{' ---: |' * (len(head) - words)}"]
    return "\n".join([*lines, *(_line([str(cell) for cell in row]) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"
