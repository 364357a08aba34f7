"""The verdict in one line, from the validation scores alone. Standard library only.

A score is better or worse if its interval, which includes seed variance, excludes zero. If seed variance was not
measured, the verdict says "perhaps". Test metrics are shown elsewhere, and decide nothing; but the verdict names models
that the gate would refuse because they miss its limits on the test part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from auscult.comparison.document import Comparison, Experiment, Limit, Metric
from auscult.reporting import scale

Kind = Literal["better", "worse", "mixed", "no difference", "nothing changed", "cannot say"]
Quote = Callable[[str], str]
#: The part whose score decides.
PART = "validation"
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
    refused
        The gate would refuse a model of head for a limit that base keeps.
    """

    kind: Kind
    headline: str
    details: tuple[str, ...]
    refused: bool = False

    def line(self, headline: str = "") -> str:
        """Return headline and details in one line; *headline* replaces the verdict's, for example in bold."""
        between = ": " if self.kind in ("better", "worse", "mixed") else "; "
        return between.join(filter(None, [headline or self.headline, "; ".join(self.details)]))


def verdict(document: Comparison, quote: Quote = str) -> Verdict:
    """Return the verdict.

    Parameters
    ----------
    quote
        Makes a string of the document safe for the place where the verdict is shown.
    """
    found = _by_score(document, quote)
    refused = [each for each in document.experiments if refused_anew(each)]
    also_in_base = [each for each in document.experiments if each.limits and not refused_anew(each)]
    reasons = [f"{quote(each.name)} misses a limit ({missed(_first_new(each), quote)})" for each in refused[:_NAMED]]
    if len(refused) > _NAMED:
        reasons.append(f"and {len(refused) - _NAMED} more miss one")
    as_base = _named("the gate would refuse, for limits that base misses too", also_in_base, quote)
    details = (*reasons, *found.details, *as_base)
    headline = f"{found.headline}, but the gate would refuse a model" if refused else found.headline
    return replace(found, headline=headline, details=details, refused=bool(refused))


def _first_new(experiment: Experiment) -> Limit:
    """Return the first limit that head's model misses and base's does not, else the first."""
    return next((each for each in experiment.limits if each.kept_by_base), experiment.limits[0])


def refused_anew(experiment: Experiment) -> bool:
    """Return whether head's model misses a limit of the gate that base's model keeps."""
    return any(each.kept_by_base for each in experiment.limits)


def missed(limit: Limit, quote: Quote = str) -> str:
    """Return a limit with head's value on the test part: ``recall_both is 5.0, at least 20.0 is needed``."""
    head, needed = (scale.shown(limit.name, value) for value in (limit.head, limit.limit))
    rule = f"at least {needed} is needed" if limit.at_least else f"at most {needed} is allowed"
    return f"{quote(limit.name)} is {head}, {rule}"


def _by_score(document: Comparison, quote: Quote) -> Verdict:
    no_base = "the base cannot be compared" if document.base.commit else "there is no base"
    for revision, problem in ((document.head, "the head cannot be compared"), (document.base, no_base)):
        if revision.fault:
            return Verdict("cannot say", "Cannot say", (f"{problem} ({quote(revision.fault)})",))
    groups: Mapping[str, list[Experiment]] = defaultdict(list)
    for each in document.rows:
        groups[_group(each)].append(each)
    moved = groups["better"] + groups["worse"]
    kind, headline = _headline(document, groups)
    details = [f"{quote(each.name)} {points(each.score(PART), ' points')}" for each in moved[:_NAMED]]
    if len(moved) > _NAMED:
        details.append(f"and {len(moved) - _NAMED} more")
    if any(each.noise == "not measured" for each in moved):
        details.append("seed variance was not measured, so a training with another seed may undo it")
    details += [
        *_named("no difference beyond noise", [] if kind == "no difference" else groups["within noise"], quote),
        *_named("not comparable", groups["unknown"], quote, _first_reason(groups["unknown"], quote)),
        *_named("same predictions, but metrics are computed in another way", groups["redefined"], quote),
        *_named("added", groups["added"], quote),
        *_named("removed", groups["removed"], quote),
        *_common_units(document),
        *_unnoticed(groups["within noise"], quote),
    ]
    if document.faults:
        count = len(document.faults)
        details.append(f"{count} item{'s are' if count != 1 else ' is'} unreadable or inconsistent")
    return Verdict(kind, headline, tuple(details))


def _group(experiment: Experiment) -> str:
    """Return the result of an experiment's validation score, or why there is none."""
    if experiment.state in ("added", "removed"):
        return experiment.state
    if experiment.state == "same":
        return "redefined" if experiment.note else "same"
    metric = experiment.score(PART)
    return "unknown" if experiment.state == "unreadable" or metric is None else metric.mark


def _headline(document: Comparison, groups: Mapping[str, Sequence[Experiment]]) -> tuple[Kind, str]:
    moved = [*groups["better"], *groups["worse"]]
    perhaps = all(each.noise == "not measured" for each in moved)
    if groups["better"] and groups["worse"]:
        return "mixed", "Mixed"
    if groups["better"]:
        return "better", "Perhaps better" if perhaps else "Better"
    if groups["worse"]:
        return "worse", "Perhaps worse" if perhaps else "Worse"
    if groups["within noise"]:
        return "no difference", "No difference beyond noise"
    others = any(groups[name] for name in ("unknown", "redefined", "added", "removed"))
    if groups["same"] and not (others or document.faults or _data_changed(document)):
        return "nothing changed", "Nothing changed: every model and metric is the same"
    if groups["same"] or groups["redefined"]:
        return "no difference", "No difference: every model that could be compared is the same"
    return "cannot say", "Cannot say"


def _data_changed(document: Comparison) -> bool:
    return document.data is not None and document.data.changed


def points(metric: Metric | None, unit: str = "") -> str:
    """Return the difference of a score with its interval, in points of 100; a dash where there is none."""
    return "–" if metric is None or metric.difference is None else with_interval(metric, unit)


def with_interval(metric: Metric, unit: str = "") -> str:
    """Return a defined difference with its interval; *unit* follows the difference."""
    assert metric.difference is not None
    return scale.with_interval(metric.name, metric.difference, metric.low, metric.high, unit, sign=True)


def _named(what: str, experiments: Sequence[Experiment], quote: Quote, reason: str = "") -> list[str]:
    if not experiments:
        return []
    names = ", ".join(quote(each.name) for each in experiments[:_NAMED])
    more = f" and {len(experiments) - _NAMED} more" if len(experiments) > _NAMED else ""
    return [f"{what}: {names}{more}{reason}"]


def _unnoticed(experiments: Sequence[Experiment], quote: Quote) -> list[str]:
    """Return how large a change of the experiments without a difference beyond noise may be without being noticed."""
    scores = [(metric, each) for each in experiments if (metric := each.score(PART)) is not None]
    sizes = [(metric.noticeable, each.name) for metric, each in scores if metric.noticeable is not None]
    if not sizes:
        return []
    size, name = max(sizes)
    which = f" ({quote(name)})" if len(sizes) > 1 else ""
    return [f"a gain or loss below {scale.points(size)} points{which} may have gone unnoticed"]


def _first_reason(experiments: Sequence[Experiment], quote: Quote) -> str:
    """Return the reason that the first of them with a reason gives, in parentheses."""
    metrics = [(each.score(PART), each.note) for each in experiments]
    reasons = [(metric.note if metric is not None else "") or note for metric, note in metrics]
    return next((f" ({quote(reason)})" for reason in reasons if reason), "")


def _common_units(document: Comparison) -> list[str]:
    """Return the number of compared units where base and head do not have the same units."""
    compared = [each.part(PART) for each in document.experiments if each.state in ("compared", "same")]
    counts = [(part.units, part.base_units, part.head_units) for part in compared if part is not None and part.units]
    if all(len(set(count)) == 1 for count in counts) and not _data_changed(document):
        return []
    reason = "the data differ" if _data_changed(document) else "base and head have predictions for different units"
    if not counts:
        return [reason]
    units, base, head = min(counts)
    return [
        f"{reason}: compared on the units that both have with the same label"
        f" (at least {units} validation units, of {base} in base and {head} in head)"
    ]
