"""The comparison of two revisions as frozen dataclasses, and its file ``comparison.json``.

Standard library only: the workflow that posts the comment reads this file with the runner's bare Python. The code of a
pull request wrote the file, so its content is untrusted input: :func:`parse` accepts exactly the declared keys, types,
lengths and ranges, and refuses the whole file otherwise. The file holds no sentences of the comment; they are made
from its numbers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from auscult.core.errors import AuscultError

#: Version of the layout; a reader refuses every other one.
SCHEMA = 5
#: Largest file that is read, in bytes.
LARGEST = 4 << 20
#: Names of the files in the folder of a comparison.
JSON, MARKDOWN, PAGE = "comparison.json", "comparison.md", "comparison.html"


class DocumentError(AuscultError):
    """A file is not a comparison of this version; nothing of it is used.

    Parameters
    ----------
    reason
        The key and what is wrong with it; never the value, which is untrusted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this is not a comparison of version {SCHEMA}: {reason}", next_step="make it again: auscult compare main"
        )


@dataclass(frozen=True)
class Length:
    """Maximum number of characters of a string, or of entries of a list."""

    maximum: int


@dataclass(frozen=True)
class Range:
    """Range of a number, both ends included."""

    minimum: int
    maximum: int


PartName = Literal["validation", "test"]
Mark = Literal["better", "worse", "within noise", "same", "unknown"]
NoiseKind = Literal["same model", "measured", "pooled", "not measured"]
State = Literal["compared", "same", "added", "removed", "unreadable"]
Outcome = Literal["ran", "taken from cache", "unchanged", "failed", "not reached"]
Name = Annotated[str, Length(120)]
LongName = Annotated[str, Length(200)]
Sentence = Annotated[str, Length(600)]
Commit = Annotated[str, Length(64)]
Amount = Annotated[int, Range(0, 10**15)]
Names = Annotated[tuple[Name, ...], Length(100)]
Matrix = Annotated[tuple[Annotated[tuple[Amount, ...], Length(60)], ...], Length(60)]


@dataclass(frozen=True)
class Revision:
    """Base or head.

    Attributes
    ----------
    name
        As the user named it; for a checkout its branch.
    commit
        Hexadecimal; empty where there is none.
    dirty
        The checkout has uncommitted changes.
    fault
        Why this revision could not be reproduced or read; empty where it could.
    """

    name: Name
    commit: Commit
    dirty: bool
    fault: Sentence


@dataclass(frozen=True)
class Metric:
    """One metric of base and head, on the units that both have.

    Attributes
    ----------
    name
        As in the metrics files; the scores of the baselines are ``<baseline>_score``.
    base, head
        In the metric's own unit; null where undefined or where a revision lacks the experiment.
    low, high
        Interval of head minus base; null where there is none.
    mark
        ``better`` and ``worse``: beyond noise, in the direction that is good or bad for this metric. ``same``: same
        model, same predictions. ``unknown``: there is no interval.
    note
        Why a value or the interval is missing.
    noticeable
        Size of a true difference that four of five such comparisons mark as better or worse; smaller ones are marked
        less often. Null where there is no interval.
    """

    name: Name
    base: float | None
    head: float | None
    low: float | None
    high: float | None
    mark: Mark
    note: Sentence
    noticeable: float | None = None

    @property
    def difference(self) -> float | None:
        """Return head minus base."""
        return None if self.base is None or self.head is None else self.head - self.base


@dataclass(frozen=True)
class Part:
    """One part of the split.

    Attributes
    ----------
    base_units, head_units
        Number of units in base and in head.
    units, patients
        Those that are compared: in both revisions, with the same label.
    classes
        In the order of the confusion matrices.
    base_confusion, head_confusion
        Counts, true class by predicted class, of the compared units; empty where a revision has none.
    """

    name: PartName
    base_units: Amount
    head_units: Amount
    units: Amount
    patients: Amount
    classes: Annotated[tuple[Name, ...], Length(60)]
    metrics: Annotated[tuple[Metric, ...], Length(300)]
    base_confusion: Matrix
    head_confusion: Matrix

    def metric(self, name: str) -> Metric | None:
        """Return the metric of that name."""
        return next((each for each in self.metrics if each.name == name), None)


@dataclass(frozen=True)
class Limit:
    """A limit of the gate that head's model misses on its test units.

    Attributes
    ----------
    name
        A metric of the metrics files, or ``size_mb``.
    base, head
        Values on the test units of each revision; null where base has none.
    at_least
        The limit is a minimum; otherwise it is a maximum.
    """

    name: Name
    base: float | None
    head: float
    limit: float
    at_least: bool

    @property
    def kept_by_base(self) -> bool:
        """Return whether base's model does not miss it, or has no value."""
        return self.base is None or (self.base >= self.limit if self.at_least else self.base <= self.limit)


@dataclass(frozen=True)
class Experiment:
    """One experiment in base and head.

    Attributes
    ----------
    state
        ``same``: model files and predictions are equal. ``unreadable``: the predictions of a revision are missing.
    noise
        How the intervals cover the chance in training: not needed (``same model``), ``measured`` for this experiment,
        ``pooled`` over the data set's experiments, or ``not measured``.
    note
        Why it could not be compared, or a remark.
    limits
        Limits of the gate that head's model misses: the gate would refuse it.
    """

    name: Name
    task: Name
    state: State
    noise: NoiseKind
    note: Sentence
    parts: Annotated[tuple[Part, ...], Length(2)]
    limits: Annotated[tuple[Limit, ...], Length(70)] = ()

    def part(self, name: str) -> Part | None:
        """Return the part of that name."""
        return next((each for each in self.parts if each.name == name), None)

    def score(self, part: str) -> Metric | None:
        """Return the score on a part."""
        found = self.part(part)
        return found.metric("score") if found is not None else None


@dataclass(frozen=True)
class Parameter:
    """A parameter that differs, by its dotted name; null where a revision has none.

    Names are those of ``params.yaml``; those of ``flows/settings.yaml`` begin with ``flows``.
    """

    name: LongName
    base: Sentence | None
    head: Sentence | None


@dataclass(frozen=True)
class Count:
    """A number of recordings, patients, bytes, …; null where a revision has none."""

    name: LongName
    base: float | None
    head: float | None


@dataclass(frozen=True)
class Data:
    """What changed in the data set.

    Attributes
    ----------
    base, head
        Names of the two versions.
    changed
        Recordings, labels, patients or the split assignment differ.
    counts
        Totals, and how many entries were added, removed and changed.
    """

    base: Name
    head: Name
    changed: bool
    counts: Annotated[tuple[Count, ...], Length(200)]


@dataclass(frozen=True)
class Stage:
    """A stage whose entry in ``dvc.lock`` differs, or that ran for this comparison.

    Attributes
    ----------
    code, parameters, inputs, outputs
        Which of its dependencies and outputs differ.
    base_outcome, head_outcome
        What DVC did with it for this comparison; null where a revision has no such stage.
    base_seconds, head_seconds
        Run time in seconds; null where it did not run.
    """

    name: Name
    state: Literal["changed", "added", "removed", "unchanged"]
    code: Names
    parameters: Names
    inputs: Names
    outputs: Names
    base_outcome: Outcome | None
    head_outcome: Outcome | None
    base_seconds: float | None
    head_seconds: float | None


@dataclass(frozen=True)
class Fault:
    """Something of one revision that could not be read, or that contradicts something else."""

    revision: Literal["base", "head"]
    where: LongName
    reason: Sentence


@dataclass(frozen=True)
class Comparison:
    """The whole comparison.

    Attributes
    ----------
    confidence
        Of each interval, after the allowed error was divided by ``shared_by``: the experiments in both revisions, and
        their mean.
    resamples
        Of patients, for each interval.
    data
        Null where the data of a revision could not be read.
    sizes
        Bytes of kinds of outputs, as ``dvc.lock`` records them.
    mean
        The mean score of the experiments whose trained models differ, as an experiment with one metric; null where
        there are fewer than two.
    """

    schema: Annotated[int, Range(SCHEMA, SCHEMA)]
    dataset: Name
    base: Revision
    head: Revision
    confidence: float
    shared_by: Annotated[int, Range(1, 1000)]
    resamples: Annotated[int, Range(1, 10**7)]
    experiments: Annotated[tuple[Experiment, ...], Length(100)]
    parameters: Annotated[tuple[Parameter, ...], Length(400)]
    data: Data | None
    stages: Annotated[tuple[Stage, ...], Length(400)]
    sizes: Annotated[tuple[Count, ...], Length(40)]
    faults: Annotated[tuple[Fault, ...], Length(400)]
    mean: Experiment | None = None

    @property
    def rows(self) -> tuple[Experiment, ...]:
        """Return the experiments, and behind them their mean."""
        return self.experiments if self.mean is None else (*self.experiments, self.mean)


def parse(content: bytes) -> Comparison:
    """Return the comparison in a file's content.

    Raises
    ------
    DocumentError
        It is too large, not JSON, of another version, or not exactly as declared; the message names the key.
    """
    if len(content) > LARGEST:
        raise DocumentError(f"it has {len(content)} bytes; at most {LARGEST} are read")
    try:
        raw = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"it is not JSON: {type(error).__name__}") from None
    found = raw.get("schema") if isinstance(raw, dict) else None
    if type(found) is int and found != SCHEMA and 0 < found < 1000:
        raise DocumentError(
            f"it has version {found}, so the branch has another state of the project: merge main into it"
        )
    document: Comparison = _build(Comparison, raw, "")
    for commit in (document.base.commit, document.head.commit):
        valid = not commit or (len(commit) in (40, 64) and set(commit) <= set("0123456789abcdef"))
        _require(valid, "a commit", "is not a hexadecimal digest")
    _require(0.5 <= document.confidence < 1.0, "confidence", "is out of range")
    names = {each.name for each in document.rows}
    _require(len(names) == len(document.rows), "an experiment", "occurs twice")
    return document


def write(path: Path, comparison: Comparison) -> None:
    """Write a comparison; raise as :func:`parse` does if it could not be read again."""
    from auscult.core.storage import write_text  # not installed where the comment is posted

    text = json.dumps(asdict(comparison), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    parse(text.encode("utf-8"))
    write_text(path, text)


def shorten(text: str, maximum: int = 600) -> str:
    """Return the text with at most *maximum* characters, of which the last may be an ellipsis."""
    return text if len(text) <= maximum else text[: maximum - 1] + "…"


def _require(valid: bool, where: str, fault: str) -> None:
    if not valid:
        raise DocumentError(f"{where or 'it'} {fault}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    _require(len(made) == len(pairs), "a key", "occurs twice")
    return made


def _refuse_constant(name: str) -> float:
    raise DocumentError(f"{name} is not a number")  # Python's parser accepts NaN and infinities


def _build(kind: Any, value: Any, where: str) -> Any:
    """Return *value*, as parsed from JSON, as the declared *kind*.

    Parameters
    ----------
    kind
        A dataclass, tuple, ``Literal``, optional or plain type. Strings and tuples must declare a :class:`Length`.
    where
        Dotted name of the key, for messages.
    """
    limit: Any = None
    if get_origin(kind) is Annotated:
        kind, limit = get_args(kind)
    if is_dataclass(kind):
        return _build_object(kind, value, where)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return None if value is None else _build(get_args(kind)[0], value, where)
    if origin is Literal:
        _require(isinstance(value, str) and value in get_args(kind), where, "is none of the allowed values")
        return value
    if origin is tuple:
        _require(isinstance(value, list), where, "is not a list")
        _require(len(value) <= limit.maximum, where, f"has {len(value)} entries; at most {limit.maximum} are read")
        return tuple(_build(get_args(kind)[0], each, f"{where}[{number}]") for number, each in enumerate(value))
    if kind is str:
        _require(isinstance(value, str), where, "is not a string")
        _require(len(value) <= limit.maximum, where, f"has {len(value)} characters; at most {limit.maximum} are read")
        _require(not any(0xD800 <= ord(each) <= 0xDFFF for each in value), where, "has an unpaired surrogate")
        return value
    if kind is bool:
        _require(isinstance(value, bool), where, "is not true or false")
        return value
    return _number(kind, value, where, limit or Range(-(10**15), 10**15))


def _build_object(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), where, "is not an object")
    hints, names = _hints(kind), [field.name for field in fields(kind)]
    _require(not set(value) - set(names), where, "has unknown keys")
    for name in names:
        _require(name in value, where, f"lacks {name}")
    return kind(**{name: _build(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in names})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _number(kind: Any, value: Any, where: str, limit: Range) -> Any:
    whole = kind is int
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    _require(number, where, f"is not a {'whole ' * whole}number")
    # 1e999 in JSON is an infinity; it is compared before it is converted, as a huge whole number has no float.
    _require(limit.minimum <= value <= limit.maximum, where, "is out of range")
    return kind(value)
