"""The verdict in one line, from the validation scores alone. Standard library only.

A score is better or worse if its interval, which includes retraining noise, excludes zero. If that noise was not
measured, the verdict says "perhaps". Test metrics are shown elsewhere, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from auscult.comparison.document import Comparison, Experiment, Metric

Kind = Literal["better", "worse", "mixed", "no difference", "nothing changed", "cannot say"]
Quote = Callable[[str], str]
#: The metric that decides, and in which part.
SCORE, PART = "score", "validation"
#: So many experiments are named; the others are counted.
_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """The verdict of a comparison.

    Attributes
    ----------
    headline
        A few words; nothing in them comes from the document.
    details
        Phrases; the names and reasons in them went through the caller's quoting.
    """

    kind: Kind
    headline: str
    details: tuple[str, ...]

    def line(self, headline: str = "") -> str:
        """Return headline and details in one line; *headline* replaces the verdict's, for example in bold."""
        between = "; " if self.kind == "no difference" else ": "
        return between.join(filter(None, [headline or self.headline, "; ".join(self.details)]))


@dataclass
class _Groups:
    """The experiments by the result for their validation score."""

    better: list[Experiment] = field(default_factory=list)
    worse: list[Experiment] = field(default_factory=list)
    within: list[Experiment] = field(default_factory=list)
    same: list[Experiment] = field(default_factory=list)
    unknown: list[Experiment] = field(default_factory=list)
    redefined: list[Experiment] = field(default_factory=list)
    added: list[Experiment] = field(default_factory=list)
    removed: list[Experiment] = field(default_factory=list)


def deciding_metric(experiment: Experiment) -> Metric | None:
    """Return the metric that decides about an experiment."""
    part = experiment.part(PART)
    return part.metric(SCORE) if part is not None else None


def verdict(document: Comparison, quote: Quote = str) -> Verdict:
    """Return the verdict.

    Parameters
    ----------
    quote
        Makes a string of the document safe for the place where the verdict is shown.
    """
    no_base = "the base cannot be compared" if document.base.commit else "there is no base"
    for revision, problem in ((document.head, "the head cannot be compared"), (document.base, no_base)):
        if revision.fault:
            return Verdict("cannot say", "Cannot say", (f"{problem}: {quote(revision.fault)}",))
    groups = _grouped(document.experiments)
    moved = groups.better + groups.worse
    kind, headline = _headline(document, groups)
    details = [f"{quote(each.name)} {_points_of(each)}" for each in moved[:_NAMED]]
    if len(moved) > _NAMED:
        details.append(f"and {len(moved) - _NAMED} more")
    if any(each.noise == "not measured" for each in moved):
        details.append("retraining noise not measured: the intervals cover patients only, and a retraining may undo it")
    details += [
        *_named("no difference beyond noise", [] if kind == "no difference" else groups.within, quote),
        *_named("not comparable", groups.unknown, quote, _first_reason(groups.unknown, quote)),
        *_named("computed in another way", groups.redefined, quote),
        *_named("added", groups.added, quote),
        *_named("removed", groups.removed, quote),
        *_common_units(document),
    ]
    if document.faults:
        count = len(document.faults)
        details.append(f"{count} item{'s are' if count != 1 else ' is'} unreadable or inconsistent")
    return Verdict(kind, headline, tuple(details))


def _grouped(experiments: Sequence[Experiment]) -> _Groups:
    groups = _Groups()
    for each in experiments:
        metric = deciding_metric(each)
        if each.state == "added":
            groups.added.append(each)
        elif each.state == "removed":
            groups.removed.append(each)
        elif each.state == "same":
            groups.same.append(each)
            if each.note:  # the same predictions, and other metrics files
                groups.redefined.append(each)
        elif each.state == "unreadable" or metric is None or metric.mark == "unknown":
            groups.unknown.append(each)
        else:
            {"better": groups.better, "worse": groups.worse}.get(metric.mark, groups.within).append(each)
    return groups


def _headline(document: Comparison, groups: _Groups) -> tuple[Kind, str]:
    moved = groups.better + groups.worse
    perhaps = moved and all(each.noise == "not measured" for each in moved)
    if groups.better and groups.worse:
        return "mixed", "Mixed"
    if groups.better:
        return "better", "Perhaps better" if perhaps else "Better"
    if groups.worse:
        return "worse", "Perhaps worse" if perhaps else "Worse"
    if groups.within:
        return "no difference", "No difference beyond noise"
    others = groups.unknown or groups.added or groups.removed or groups.redefined
    if groups.same and not (others or document.faults or _data_changed(document)):
        return "nothing changed", "Nothing changed: every model and metric is the same"
    if groups.same:
        return "no difference", "No difference: every model that could be compared is the same"
    return "cannot say", "Cannot say"


def _data_changed(document: Comparison) -> bool:
    return document.data is not None and document.data.changed


def _points_of(experiment: Experiment) -> str:
    metric = deciding_metric(experiment)
    assert metric is not None
    return points(metric)


def points(metric: Metric) -> str:
    """Return the difference with its interval, in points of 100."""
    return "–" if metric.difference is None else with_interval(metric, 100.0, 1)


def with_interval(metric: Metric, scale: float, digits: int) -> str:
    """Return a defined difference with its interval, both multiplied by *scale*."""
    assert metric.difference is not None
    text = signed(scale * metric.difference, digits)
    if metric.low is None or metric.high is None:
        return text
    return f"{text} ({signed(scale * metric.low, digits)} to {signed(scale * metric.high, digits)})"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign: a true minus, and no negative zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "+" if float(text) == 0.0 else "−")


def _named(what: str, experiments: Sequence[Experiment], quote: Quote, reason: str = "") -> list[str]:
    if not experiments:
        return []
    names = ", ".join(quote(each.name) for each in experiments[:_NAMED])
    more = f" and {len(experiments) - _NAMED} more" if len(experiments) > _NAMED else ""
    return [f"{what}: {names}{more}{reason}"]


def _first_reason(experiments: Sequence[Experiment], quote: Quote) -> str:
    """Return the reason that the first of them with a reason gives, in parentheses."""
    for each in experiments:
        metric = deciding_metric(each)
        reason = (metric.note if metric is not None else "") or each.note
        if reason:
            return f" ({quote(reason)})"
    return ""


def _common_units(document: Comparison) -> list[str]:
    """Return the number of compared units where base and head do not have the same units."""
    counts = []
    for each in document.experiments:
        part = each.part(PART)
        if each.state in ("compared", "same") and part is not None and part.units:
            counts.append((part.units, part.base_units, part.head_units))
    if all(len(set(count)) == 1 for count in counts) and not _data_changed(document):
        return []
    reason = "the data differ" if _data_changed(document) else "base and head have predictions for different units"
    if not counts:
        return [reason]
    units, base, head = min(counts)
    return [
        f"{reason}: compared on the units that both have with equal labels"
        f" (at least {units} validation units, of {base} in base and {head} in head)"
    ]
