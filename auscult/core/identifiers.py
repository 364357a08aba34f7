"""Ids of patients and recordings: the one form in which they are kept, and different ids that look alike."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

#: A run of digits or of letters. What stands between two numbers separates them: 1-11 is not 11-1.
_RUN = re.compile(r"\d+|[^\W\d_]+")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\W_]+(?=[^\W\d_])")
#: A whole number that a spreadsheet or pandas wrote with decimals.
_WHOLE = re.compile(r"(\d+)[.,]0+")


def normal(text: str) -> str:
    """Return an id in the only form in which ids are compared and stored: Unicode NFC, without outer blanks.

    No-break spaces, zero-width characters and byte-order marks count as blanks.

    Examples
    --------
    >>> normal("  P 10 ")
    'P 10'
    """
    text = unicodedata.normalize("NFC", text)
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def look_alikes(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of different ids that may be spellings of one, sorted.

    Ids look alike if they differ only in case, accents, blanks, signs, leading zeros, or ``.0`` behind a number.

    Examples
    --------
    >>> look_alikes(["P10", "p-10", "0010", "10", "10.0", "P11", "1-11", "11-1"])
    [('0010', '10', '10.0'), ('P10', 'p-10')]
    """
    groups: dict[object, set[str]] = defaultdict(set)
    for name in ids:
        if name:
            groups[_look(name)].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def _look(name: str) -> object:
    folded = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(letter for letter in folded if unicodedata.category(letter) not in ("Mn", "Cf"))
    whole = _WHOLE.fullmatch(plain.strip())
    runs = _RUN.findall(whole[1] if whole else _BETWEEN_LETTERS.sub("", plain))
    return tuple(run.lstrip("0") if run.isdecimal() else run for run in runs) or plain


def _is_blank(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf")
