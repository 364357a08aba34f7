"""Compare what a file says with what was recomputed, figure by figure.

A recomputed content has the layout of the stored one. Its leaves say how to compare: a float is written with six
decimals, an integer exactly; :class:`Words` are a sentence of which the numbers count; :class:`Given` is an input, and
:class:`Copied` a figure that comes from elsewhere. A stored number without a counterpart is a difference: a figure that
nothing recomputes must not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Decimals of a written metric.
DECIMALS = 6
#: Largest difference of two numbers that agree.
TOLERANCE = 1e-9
#: Two implementations may differ by this much; a value so near to the middle of two decimals may be rounded to either.
ROUNDING = 1e-12

MISSING = "(missing)"
UNKNOWN = "(unknown figure)"
UNKNOWN_WORDS = "(unknown entry)"


@dataclass(frozen=True)
class Words:
    """A sentence with its first words and its numbers; None: its numbers are names of groups, not figures."""

    opening: str
    numbers: tuple[int, ...] | None = None

    def fit(self, sentence: Any) -> bool:
        """Return whether a sentence begins so, and has these numbers."""
        if not isinstance(sentence, str) or not sentence.startswith(self.opening):
            return False
        return self.numbers is None or numbers_in(sentence) == self.numbers

    def __str__(self) -> str:
        numbers = " … ".join(map(str, self.numbers or ()))
        return " ".join(f"{self.opening} … {numbers}".split())


@dataclass(frozen=True)
class Given:
    """An input of the figures, such as the seed."""


@dataclass(frozen=True)
class Copied:
    """A figure of another file, *what*, that must hold the same value; the predictions cannot give it."""

    value: Any
    what: str


@dataclass(frozen=True)
class Difference:
    """One figure that does not agree: experiment, file, path of the figure in it, stored and recomputed value."""

    experiment: str
    file: str
    figure: str
    stored: object
    recomputed: object

    def __str__(self) -> str:
        place = f"{self.file}: {self.figure}" if self.figure else self.file
        return f"{self.experiment}: {place}: stored {_shown(self.stored)}, recomputed {_shown(self.recomputed)}"

    def to_json(self) -> dict[str, str]:
        """Return plain data."""
        values = {"stored": _shown(self.stored), "recomputed": _shown(self.recomputed)}
        return {"file": self.file, "figure": self.figure, **values}


@dataclass
class Findings:
    """What was compared for one experiment, or for the report as a whole.

    Attributes
    ----------
    figures
        Number of figures that agree.
    copied
        What the predictions cannot give → its number of figures.
    """

    experiment: str
    figures: int = 0
    copied: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def note(self, file: str, figure: str, stored: object, recomputed: object, *, agree: bool) -> None:
        """Count a figure that agrees, or add a difference."""
        if agree:
            self.figures += 1
        else:
            self.differences.append(Difference(self.experiment, file, figure, stored, recomputed))

    def leave_out(self, what: str, figures: int) -> None:
        """Count figures that are not recomputed."""
        if figures:
            self.copied[what] = self.copied.get(what, 0) + figures

    def compare(self, file: str, stored: Any, recomputed: Any, place: str = "") -> None:
        """Compare two contents of the same layout; *place* is their path in *file*."""
        if isinstance(recomputed, Mapping | list):
            if isinstance(stored, Mapping) != isinstance(recomputed, Mapping) or not isinstance(stored, Mapping | list):
                self.note(file, place, stored, f"{len(recomputed)} entries", agree=False)
            else:
                self._entries(file, _entries(stored, place), _entries(recomputed, place))
        else:
            self._leaves(file, stored, recomputed, place)

    def _entries(self, file: str, stored: Mapping[str, Any], recomputed: Mapping[str, Any]) -> None:
        """Compare entries by their paths."""
        for place, value in recomputed.items():
            if place in stored:
                self.compare(file, stored[place], value, place)
            else:
                for inner, leaf in leaves(value, place):
                    self.note(file, inner, MISSING, leaf, agree=False)
        for place in [place for place in stored if place not in recomputed]:
            for inner, leaf in leaves(stored[place], place):
                self.note(file, inner, leaf, UNKNOWN if is_number(leaf) else UNKNOWN_WORDS, agree=False)

    def _leaves(self, file: str, stored: Any, recomputed: Any, place: str) -> None:
        if isinstance(recomputed, Given):
            return
        if isinstance(recomputed, Copied):
            if stored != recomputed.value:
                self.note(file, place, stored, recomputed.value, agree=False)
            else:
                self.leave_out(recomputed.what, int(is_number(stored)))
        elif isinstance(recomputed, Words):
            if not recomputed.fit(stored):
                self.note(file, place, stored, recomputed, agree=False)
        elif recomputed is None or isinstance(recomputed, str):
            if stored != recomputed:
                self.note(file, place, stored, recomputed, agree=False)
        else:
            self.note(file, place, stored, recomputed, agree=is_number(stored) and agrees(stored, recomputed))


def agrees(stored: float, recomputed: float, decimals: int = DECIMALS) -> bool:
    """Return whether a written number is a recomputed one: rounded to its decimals, or exactly that integer."""
    if isinstance(recomputed, int):
        return stored == recomputed
    return any(abs(stored - round(recomputed + shift, decimals)) <= TOLERANCE for shift in (0.0, -ROUNDING, ROUNDING))


def is_number(value: Any) -> bool:
    """Return whether a value of a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers_in(text: str) -> tuple[int, ...]:
    """Return the whole numbers of a sentence, without those in quoted names."""
    return tuple(int(digits) for digits in re.findall(r"\d+", re.sub(r"""'[^']*'|"[^"]*\"""", "", text)))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of mappings and lists with its path."""
    if isinstance(value, Mapping | list):
        for path, inner in _entries(value, place).items():
            yield from leaves(inner, path)
    else:
        yield place, value


def _entries(value: Mapping[str, Any] | list[Any], place: str) -> dict[str, Any]:
    """Return the entries of a mapping or list by their paths; the entry of a group is named after it."""
    if isinstance(value, Mapping):
        return {f"{place}.{name}" if place else name: inner for name, inner in value.items()}
    found: dict[str, Any] = {}
    for index, inner in enumerate(value):
        path = f"{place}[{_name(inner, index)}]"
        found[path if path not in found else f"{place}[{index}]"] = inner  # a group that is there twice
    return found


def _name(entry: Any, index: int) -> object:
    return entry["group"] if isinstance(entry, Mapping) and "group" in entry else index


def _shown(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
