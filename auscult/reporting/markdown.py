"""Markdown tables, and text without markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MARKUP = {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {character: f"\\{character}" for character in "\\`*_{}[]|#@~"}


def escape(text: str) -> str:
    """Return text on one line, without links, markup or mentions: a publisher or a user may have written it."""
    return " ".join("".join(_MARKUP.get(character, character) for character in text).split())


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """Return a table with escaped cells; the first *words* columns hold words, the others numbers, aligned right."""
    lines = [_line(head), f"|{' --- |' * words}{' ---: |' * (len(head) - words)}"]
    return "\n".join([*lines, *(_line([str(cell) for cell in row]) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"
