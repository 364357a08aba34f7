"""The verdict in one line, from the validation scores alone. Standard library only.

A score counts as better or worse when its interval, widened by what retraining alone does, lies on one side of zero.
Where that was not measured the verdict says "perhaps". Test figures are shown elsewhere, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from auscult.comparison.document import Comparison, Experiment, Figure

Kind = Literal["better", "worse", "mixed", "no difference", "nothing changed", "cannot say"]
#: The figure that decides, and in which part.
SCORE, PART = "score", "validation"
#: Names that are spelled out; of more their number is given.
_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """What is said of a comparison.

    Attributes
    ----------
    headline
        A few words without anything from the document.
    details
        Sentences, names and reasons of the document passed through the caller's quoting.
    """

    kind: Kind
    headline: str
    details: tuple[str, ...]

    def line(self) -> str:
        """All of it, in one line."""
        return self.joined(self.headline)

    def joined(self, headline: str) -> str:
        """All of it with the headline as the caller has set it."""
        between = "; " if self.kind == "no difference" else ": "
        return between.join(filter(None, [headline, "; ".join(self.details)]))


@dataclass
class _Sorted:
    """The experiments by what their validation score says."""

    better: list[Experiment] = field(default_factory=list)
    worse: list[Experiment] = field(default_factory=list)
    within: list[Experiment] = field(default_factory=list)
    same: list[Experiment] = field(default_factory=list)
    unknown: list[Experiment] = field(default_factory=list)
    remeasured: list[Experiment] = field(default_factory=list)
    added: list[Experiment] = field(default_factory=list)
    removed: list[Experiment] = field(default_factory=list)


def decides(experiment: Experiment) -> Figure | None:
    """The figure that an experiment's verdict rests on."""
    part = experiment.part(PART)
    return part.figure(SCORE) if part is not None else None


def verdict(document: Comparison, quote: Callable[[str], str] = str) -> Verdict:
    """What a reviewer reads first.

    Parameters
    ----------
    quote
        Makes a string of the document safe for where the verdict is shown.
    """
    lacking = "nothing of the base can be compared" if document.base.commit else "there is no base"
    for side, what in ((document.head, "nothing of the head can be compared"), (document.base, lacking)):
        if side.fault:
            return Verdict("cannot say", "Cannot say", (f"{what}: {quote(side.fault)}",))
    found = _sort(document.experiments)
    kind, headline = _headline(document, found)
    details = [
        *(_moved(each, quote) for each in (found.better + found.worse)[:_NAMED]),
        *_more(len(found.better + found.worse) - _NAMED),
        *_unmeasured(found),
        *_named("no difference beyond noise", found.within if kind not in ("no difference",) else [], quote),
        *_named("not comparable", found.unknown, quote, _why(found.unknown, quote)),
        *_named("measured in another way", found.remeasured, quote),
        *_named("added", found.added, quote),
        *_named("removed", found.removed, quote),
        *_on_other_data(document),
    ]
    if document.faults:
        many = len(document.faults) != 1
        details.append(f"{len(document.faults)} thing{'s' * many} could not be read or do{'es' * (not many)} not agree")
    return Verdict(kind, headline, tuple(details))


def _sort(experiments: Sequence[Experiment]) -> _Sorted:
    found = _Sorted()
    for each in experiments:
        figure = decides(each)
        if each.state == "added":
            found.added.append(each)
        elif each.state == "removed":
            found.removed.append(each)
        elif each.state == "same":
            found.same.append(each)
            if each.note:  # the same answers, and other figures in git
                found.remeasured.append(each)
        elif each.state == "unreadable" or figure is None or figure.mark == "unknown":
            found.unknown.append(each)
        else:
            {"better": found.better, "worse": found.worse}.get(figure.mark, found.within).append(each)
    return found


def _headline(document: Comparison, found: _Sorted) -> tuple[Kind, str]:
    moved = found.better + found.worse
    perhaps = "Perhaps " if moved and all(each.noise == "not measured" for each in moved) else ""
    if found.better and found.worse:
        return "mixed", "Mixed"
    if found.better:
        return "better", f"{perhaps}better".capitalize()
    if found.worse:
        return "worse", f"{perhaps}worse".capitalize()
    if found.within:
        return "no difference", "No difference beyond noise"
    others = found.unknown or found.added or found.removed or found.remeasured
    if found.same and not (others or document.faults or _differs(document)):
        return "nothing changed", "Nothing changed: every model and metric is the same"
    if found.same:
        return "no difference", "No difference: every model that could be compared is the same"
    return "cannot say", "Cannot say"


def _differs(document: Comparison) -> bool:
    return document.data is not None and document.data.changed


def _moved(experiment: Experiment, quote: Callable[[str], str]) -> str:
    figure = decides(experiment)
    assert figure is not None
    return f"{quote(experiment.name)} {points(figure)}"


def points(figure: Figure) -> str:
    """The difference with its interval, in points of 100."""
    if figure.difference is None:
        return "–"
    text = signed(100 * figure.difference, 1)
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({signed(100 * figure.low, 1)} to {signed(100 * figure.high, 1)})"


def signed(value: float, digits: int) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "+" if float(text) == 0.0 else "−")


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []


def _unmeasured(found: _Sorted) -> list[str]:
    moved = found.better + found.worse
    if not any(each.noise == "not measured" for each in moved):
        return []
    return ["retraining noise was not measured: these intervals are over patients only, and a retraining may undo it"]


def _named(what: str, experiments: Sequence[Experiment], quote: Callable[[str], str], why: str = "") -> list[str]:
    if not experiments:
        return []
    names = ", ".join(quote(each.name) for each in experiments[:_NAMED])
    more = f" and {len(experiments) - _NAMED} more" if len(experiments) > _NAMED else ""
    return [f"{what}: {names}{more}{why}"]


def _why(experiments: Sequence[Experiment], quote: Callable[[str], str]) -> str:
    """The reason that the first of them gives."""
    for each in experiments:
        figure = decides(each)
        reason = (figure.note if figure is not None else "") or each.note
        if reason:
            return f" ({quote(reason)})"
    return ""


def _on_other_data(document: Comparison) -> list[str]:
    """On how many units the figures rest, where the two sides' units are not the same."""
    counts = []
    for each in document.experiments:
        part = each.part(PART)
        if each.state in ("compared", "same") and part is not None and part.units:
            counts.append((part.units, part.base_units, part.head_units))
    if all(len(set(count)) == 1 for count in counts) and not _differs(document):
        return []
    why = "the data differ" if _differs(document) else "the two sides answered for different units"
    if not counts:
        return [why]
    least = min(counts)
    return [
        f"{why}, so it rests on what both sides hold with equal labels"
        f" (at least {least[0]} validation units, of {least[1]} in base and {least[2]} in head)"
    ]
