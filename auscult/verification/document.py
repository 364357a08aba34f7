"""Read the tables and sentences of index.html and of summary.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Table:
    """A table: the words of its header, and its rows; in a cell, lines are separated by a line feed.

    Attributes
    ----------
    links
        Where the first link of each row leads, without ``#``.
    labels
        Descriptions of the drawings in each row.
    """

    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass
class Section:
    """A section or an experiment of the page: its sentences (paragraphs and list entries) and tables, in order."""

    sentences: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


class Page(HTMLParser):
    """The parts of the page by their ids; what stands before the first is in the part with the empty id."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: dict[str, Section] = {"": Section()}
        self._open: list[str] = [""]
        self._text: list[str] | None = None
        self._table: Table | None = None
        self.feed(re.sub(r'"data:[^"]*"', '""', html))
        self.close()

    @property
    def _section(self) -> Section:
        return self.parts[self._open[-1]]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        if tag in ("section", "article"):
            self._open.append(known.get("id", ""))
            self.parts.setdefault(self._open[-1], Section())
        elif tag == "table":
            self._table = Table()
            self._section.tables.append(self._table)
        elif tag == "tr" and self._table is not None:
            self._table.rows.append([])
            self._table.links.append("")
            self._table.labels.append("")
        elif tag in ("p", "li", "th", "td"):
            self._text = []
        elif tag == "br" and self._text is not None:
            self._text.append("\n")
        elif tag == "a" and self._table is not None and self._table.rows and not self._table.links[-1]:
            self._table.links[-1] = known.get("href", "").removeprefix("#")
        if "aria-label" in known and self._table is not None and self._table.rows:
            self._table.labels[-1] += known["aria-label"]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("section", "article") and len(self._open) > 1:
            self._open.pop()
        elif tag == "thead" and self._table is not None and self._table.rows:
            self._table.head = self._table.rows.pop()
            self._table.links.pop()
            self._table.labels.pop()
        elif tag == "table":
            self._table = None
        elif tag in ("p", "li", "th", "td") and self._text is not None:
            text = "\n".join(" ".join(line.split()) for line in "".join(self._text).split("\n"))
            if tag in ("p", "li"):
                self._section.sentences.append(text)
            elif self._table is not None and self._table.rows:
                self._table.rows[-1].append(text.strip())
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data.replace("\n", " "))


def markdown_table(text: str) -> Table:
    """Return the first table of a markdown file; empty if there is none."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return Table(head=rows[0] if rows else [], rows=rows[2:])


def numbers(text: str) -> list[str]:
    """Return the numbers of a text as they are written, but not the digits of names."""
    return re.findall(r"(?<![\w.,-])[+−-]?\d+(?:\.\d+)?(?![\w]|\.\d)", text)
