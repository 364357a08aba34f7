"""The comparison of two revisions as plain, frozen data, and ``comparison.json``.

Standard library only, as :mod:`auscult.comparison.verdict` and :mod:`auscult.comparison.markdown`: where the comment is
posted, these read with a bare Python what a pull request's run has uploaded. Nothing in that file is
trusted: :func:`parse` takes exactly the keys below, with the types, lengths and ranges below, or refuses the whole.
Sentences are not part of it; they are made from it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from auscult.comparison.context import Count, Counted, Data, Did, Fault, Parameter, Sentence, Size, Stage, Title
from auscult.comparison.strict import Length, Refused, Whole, build, load, read_regular
from auscult.core.errors import AuscultError

#: Version of the layout; a reader refuses another.
SCHEMA = 1
#: Bytes of a file that is looked at at all.
LARGEST = 4 << 20
#: Names of the files in the folder of a comparison.
JSON, MARKDOWN, PAGE = "comparison.json", "comparison.md", "comparison.html"

__all__ = ["Comparison", "Count", "Data", "Did", "Experiment", "Fault", "Figure", "Mark", "Parameter", "Part", "Side"]
__all__ += ["DocumentError", "Size", "Stage", "parse", "read", "write"]

PartName = Literal["validation", "test"]
Mark = Literal["better", "worse", "within noise", "same", "unknown"]
Commit = Annotated[str, Length(64)]


class DocumentError(AuscultError):
    """A file is not a comparison of this version; nothing of it is used."""


@dataclass(frozen=True)
class Side:
    """One of the two revisions.

    Attributes
    ----------
    revision
        As it was asked for; of the base the branch, of the head what is checked out.
    commit
        Hexadecimal; empty where there is none.
    dirty
        The checkout held changes that were not committed.
    fault
        Why nothing of this side could be made or read; empty where it could.
    """

    revision: Title
    commit: Commit
    dirty: bool
    fault: Sentence


@dataclass(frozen=True)
class Figure:
    """One metric on both sides, on the units that both hold.

    Attributes
    ----------
    name
        As in the metrics files; ``constant_score``, ``no_audio_score`` and ``opponent_score`` are the baselines'.
    base, head
        In the figure's own unit; null where undefined or where there is no such side.
    low, high
        Interval of head minus base; null where there is none.
    mark
        ``better`` and ``worse`` are beyond noise, in the direction that is good for this figure; ``same`` is the same
        model with the same answers; ``unknown`` where there is no interval.
    note
        Why a value or the interval is missing.
    """

    name: Title
    base: float | None
    head: float | None
    low: float | None
    high: float | None
    mark: Mark
    note: Sentence

    @property
    def difference(self) -> float | None:
        """Head minus base."""
        return None if self.base is None or self.head is None else self.head - self.base


@dataclass(frozen=True)
class Part:
    """One part of the split.

    Attributes
    ----------
    base_units, head_units
        Of each side.
    units, patients
        Those that the figures rest on: present on both sides with the same label.
    classes
        In the order of the confusion matrices.
    base_confusion, head_confusion
        Counts, true class by answered class, of the compared units; empty where there is no such side.
    """

    name: PartName
    base_units: Counted
    head_units: Counted
    units: Counted
    patients: Counted
    classes: Annotated[tuple[Title, ...], Length(60)]
    figures: Annotated[tuple[Figure, ...], Length(300)]
    base_confusion: Annotated[tuple[Annotated[tuple[Counted, ...], Length(60)], ...], Length(60)]
    head_confusion: Annotated[tuple[Annotated[tuple[Counted, ...], Length(60)], ...], Length(60)]

    def figure(self, name: str) -> Figure | None:
        """The figure of that name."""
        return next((each for each in self.figures if each.name == name), None)


@dataclass(frozen=True)
class Experiment:
    """One experiment on both sides.

    Attributes
    ----------
    state
        ``same``: model files and answers are equal on both sides. ``unreadable``: one side's answers are missing.
    noise
        What the intervals cover of the chance in training: nothing to cover (``same model``), ``measured`` for this
        experiment, ``pooled`` over the data set's experiments, or ``not measured``.
    note
        Why it could not be compared, or what else there is to know.
    """

    name: Title
    task: Title
    state: Literal["compared", "same", "added", "removed", "unreadable"]
    noise: Literal["same model", "measured", "pooled", "not measured"]
    note: Sentence
    parts: Annotated[tuple[Part, ...], Length(2)]

    def part(self, name: str) -> Part | None:
        """The part of that name."""
        return next((each for each in self.parts if each.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """All of it.

    Attributes
    ----------
    confidence
        Of each interval: what is asked for, shared out among ``shared_by`` experiments.
    resamples
        Of patients, for each interval.
    data
        Null where nothing is known of the data on one of the sides.
    """

    schema: Annotated[int, Whole(SCHEMA, SCHEMA)]
    dataset: Title
    base: Side
    head: Side
    confidence: float
    shared_by: Annotated[int, Whole(1, 1000)]
    resamples: Annotated[int, Whole(1, 10**7)]
    experiments: Annotated[tuple[Experiment, ...], Length(100)]
    parameters: Annotated[tuple[Parameter, ...], Length(400)]
    data: Data | None
    stages: Annotated[tuple[Stage, ...], Length(400)]
    sizes: Annotated[tuple[Size, ...], Length(40)]
    faults: Annotated[tuple[Fault, ...], Length(400)]


def parse(content: bytes) -> Comparison:
    """The comparison in a file's content.

    Raises
    ------
    DocumentError
        It is too large, no JSON, of another version, or not exactly as described above; the message says where.
    """
    if len(content) > LARGEST:
        raise _refused(f"it holds {len(content)} bytes, and at most {LARGEST} are read")
    try:
        plain = load(content)
        _same_version(plain)
        made: Comparison = build(Comparison, plain, "")
    except Refused as error:
        raise _refused(str(error)) from None
    _check(made)
    return made


def read(path: Path) -> Comparison:
    """The comparison in a file, which must be a regular one; raises as :func:`parse` does."""
    try:
        return parse(read_regular(path, LARGEST + 1))
    except Refused as error:
        raise _refused(str(error)) from None


def write(path: Path, comparison: Comparison) -> None:
    """Write a comparison; what :func:`parse` would refuse is refused here."""
    from auscult.core.storage import write_text

    text = json.dumps(asdict(comparison), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    parse(text.encode("utf-8"))
    write_text(path, text)


def _same_version(plain: Any) -> None:
    """Whoever opened a pull request before the layout changed has done nothing wrong, and is told what to do."""
    found = plain.get("schema") if isinstance(plain, dict) else None
    if type(found) is int and found != SCHEMA and 0 < found < 1000:
        raise Refused(
            f"it is one of version {found}, so the branch is of another state of the project: merge main into it"
        )


def _check(made: Comparison) -> None:
    for side in (made.base, made.head):
        if side.commit and (len(side.commit) not in (40, 64) or set(side.commit) - set("0123456789abcdef")):
            raise _refused("a commit is no commit")
    if not 0.5 <= made.confidence < 1.0:
        raise _refused("confidence is out of range")
    names = [each.name for each in made.experiments]
    if len(set(names)) < len(names):
        raise _refused("an experiment stands there twice")


def _refused(why: str) -> DocumentError:
    return DocumentError(
        f"this is no comparison of version {SCHEMA}: {why}", next_step="make it again: make pr-report BASE=main"
    )
