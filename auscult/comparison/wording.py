"""Words, numbers and foreign strings in the comment. Standard library only.

Every string of the document is shown as code, in which GitHub makes no links, mentions, images or HTML; what would
end the code early is replaced by a look-alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from auscult.comparison.document import Figure

#: A space at which no line ends.
_FIRM = "\N{NO-BREAK SPACE}"
_MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise", "same": "= same", "unknown": "?"}
#: What would end a code span or a table's cell.
_LOOK_ALIKES = str.maketrans({"`": "ˋ", "|": "∣"})


def code(text: str, most: int = 200) -> str:
    """A string of the document as a code span that it cannot leave."""
    return f"`{plain(text, most).translate(_LOOK_ALIKES)}`"


def plain(text: str, most: int) -> str:
    """One line without characters that are invisible or change the order of others."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return (shown if len(shown) <= most else shown[: most - 1] + "…") or "(empty)"


def mark(figure: Figure, noise: str) -> str:
    """What a figure's difference is, in a word or two."""
    doubt = "?" if figure.mark in ("better", "worse") and noise == "not measured" else ""
    return firm(_MARKS[figure.mark]) + doubt


def sign(figure: Figure, noise: str) -> str:
    """The mark's symbol alone."""
    said = mark(figure, noise)
    return said[0] + ("?" if said.endswith("?") and len(said) > 1 else "")


def firm(text: str) -> str:
    """Text in which no line ends."""
    return text.replace(" ", _FIRM)


def change(figure: Figure, scale: float, digits: int) -> str:
    """Base → head, multiplied by *scale*."""
    return f"{number(figure.base, scale, digits)}{_FIRM}→{_FIRM}{number(figure.head, scale, digits)}"


def number(value: float | None, scale: float = 1.0, digits: int = 3) -> str:
    """A number with a true minus, or a dash where there is none."""
    return "–" if value is None else f"{scale * value:.{digits}f}".replace("-", "−")


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are; already quoted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
