"""The comparison of two revisions as frozen dataclasses, and its file ``comparison.json``.

Standard library only: the workflow that posts the comment reads this file with the runner's bare Python. The code of a
pull request wrote the file, so its content is untrusted input: :func:`parse` accepts exactly the declared keys, types,
lengths and ranges, and refuses the whole file otherwise. The file holds no sentences of the comment; they are made
from its numbers.
"""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from auscult.core.errors import AuscultError

#: Version of the layout; a reader refuses every other one.
SCHEMA = 2
#: Largest file that is read, in bytes.
LARGEST = 4 << 20
#: Names of the files in the folder of a comparison.
JSON, MARKDOWN, PAGE = "comparison.json", "comparison.md", "comparison.html"


class DocumentError(AuscultError):
    """A file is not a comparison of this version; nothing of it is used."""


class _Refused(Exception):
    """A value is not what was declared; the message names the key and the reason."""


@dataclass(frozen=True)
class Length:
    """Maximum number of characters of a string, or of entries of a list."""

    maximum: int


@dataclass(frozen=True)
class Whole:
    """Range of a whole number, both ends included."""

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
Amount = Annotated[int, Whole(0, 10**15)]
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
    """

    name: Name
    base: float | None
    head: float | None
    low: float | None
    high: float | None
    mark: Mark
    note: Sentence

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
    """

    name: Name
    task: Name
    state: State
    noise: NoiseKind
    note: Sentence
    parts: Annotated[tuple[Part, ...], Length(2)]

    def part(self, name: str) -> Part | None:
        """Return the part of that name."""
        return next((each for each in self.parts if each.name == name), None)


@dataclass(frozen=True)
class Parameter:
    """A parameter of ``params.yaml`` that differs, by its dotted name; null where a revision has none."""

    name: LongName
    base: Sentence | None
    head: Sentence | None


@dataclass(frozen=True)
class Count:
    """One number that describes the data; null where a revision has none."""

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
class Size:
    """Bytes of a kind of outputs, as ``dvc.lock`` records them; null where a revision has none."""

    name: Name
    base: Amount | None
    head: Amount | None


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
        Of each interval, after the allowed error was divided among ``shared_by`` experiments.
    resamples
        Of patients, for each interval.
    data
        Null where the data of a revision could not be read.
    """

    schema: Annotated[int, Whole(SCHEMA, SCHEMA)]
    dataset: Name
    base: Revision
    head: Revision
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
    """Return the comparison in a file's content.

    Raises
    ------
    DocumentError
        It is too large, not JSON, of another version, or not exactly as declared; the message names the key.
    """
    try:
        if len(content) > LARGEST:
            raise _Refused(f"it has {len(content)} bytes; at most {LARGEST} are read")
        raw = _load_json(content)
        _check_version(raw)
        document: Comparison = _build(Comparison, raw, "")
        _check_values(document)
    except _Refused as error:
        raise _document_error(str(error)) from None
    return document


def read(path: Path) -> Comparison:
    """Return the comparison in a regular file; raise as :func:`parse` does."""
    try:
        content = _read_regular(path, LARGEST + 1)
    except _Refused as error:
        raise _document_error(str(error)) from None
    return parse(content)


def write(path: Path, comparison: Comparison) -> None:
    """Write a comparison; raise as :func:`parse` does if it could not be read again."""
    from auscult.core.storage import write_text  # not installed where the comment is posted

    text = json.dumps(asdict(comparison), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    parse(text.encode("utf-8"))
    write_text(path, text)


def _document_error(reason: str) -> DocumentError:
    return DocumentError(
        f"this is not a comparison of version {SCHEMA}: {reason}", next_step="make it again: auscult compare main"
    )


def _check_version(raw: Any) -> None:
    """Refuse another version with the remedy: the branch is older or newer than the workflow that reads the file."""
    found = raw.get("schema") if isinstance(raw, dict) else None
    if type(found) is int and found != SCHEMA and 0 < found < 1000:
        raise _Refused(f"it has version {found}, so the branch has another state of the project: merge main into it")


def _check_values(document: Comparison) -> None:
    for revision in (document.base, document.head):
        commit = revision.commit
        if commit and (len(commit) not in (40, 64) or set(commit) - set("0123456789abcdef")):
            raise _Refused("a commit is not a hexadecimal digest")
    if not 0.5 <= document.confidence < 1.0:
        raise _Refused("confidence is out of range")
    names = [each.name for each in document.experiments]
    if len(set(names)) < len(names):
        raise _Refused("an experiment occurs twice")


def _read_regular(path: Path, maximum: int) -> bytes:
    """Return the first *maximum* bytes of a regular file; refuse a link, pipe or folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _Refused(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _Refused(f"{path.name} is not a regular file")
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(maximum)
    finally:
        os.close(handle)


def _load_json(content: bytes) -> Any:
    """Return parsed JSON; refuse NaN, infinities and repeated keys, which Python's parser accepts."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"it is not JSON: {type(error).__name__}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Refused("a key occurs twice")
    return made


def _refuse_constant(name: str) -> float:
    raise _Refused(f"{name} is not a number")


def _build(kind: Any, value: Any, where: str) -> Any:
    """Return *value*, as parsed from JSON, as the declared *kind*.

    Parameters
    ----------
    kind
        A dataclass, tuple, ``Literal``, optional or plain type. Strings and tuples must declare a :class:`Length`.
    where
        Dotted name of the key, for messages. No message contains the value.
    """
    limits: tuple[Any, ...] = ()
    if get_origin(kind) is Annotated:
        kind, *rest = get_args(kind)
        limits = tuple(rest)
    if is_dataclass(kind):
        return _build_object(kind, value, where)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        inner = next(each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _build(inner, value, where)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise _Refused(f"{where} is none of the allowed values")
        return value
    if origin is tuple:
        return _build_tuple(get_args(kind)[0], value, where, _maximum(limits))
    if kind is str:
        return _text(value, where, _maximum(limits))
    if kind is bool:
        return _typed(value, bool, where)
    return _number(kind, value, where, limits)


def _build_object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _Refused(f"{where or 'it'} is not an object")
    hints, names = _hints(kind), [field.name for field in fields(kind)]
    if unknown := set(value) - set(names):
        raise _Refused(f"{where or 'it'} has {len(unknown)} unknown keys")
    if missing := [name for name in names if name not in value]:
        raise _Refused(f"{where or 'it'} lacks {missing[0]}")
    return kind(**{name: _build(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in names})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _build_tuple(kind: Any, value: Any, where: str, maximum: int) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Refused(f"{where} is not a list")
    if len(value) > maximum:
        raise _Refused(f"{where} has {len(value)} entries; at most {maximum} are read")
    return tuple(_build(kind, each, f"{where}[{number}]") for number, each in enumerate(value))


def _text(value: Any, where: str, maximum: int) -> str:
    text: str = _typed(value, str, where)
    if len(text) > maximum:
        raise _Refused(f"{where} has {len(text)} characters; at most {maximum} are read")
    if any(0xD800 <= ord(each) <= 0xDFFF for each in text):
        raise _Refused(f"{where} has an unpaired surrogate")
    return text


def _number(kind: Any, value: Any, where: str, limits: tuple[Any, ...]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise _Refused(f"{where} is not a {'whole ' if kind is int else ''}number")
    if kind is float and not (abs(value) <= 1e15 and math.isfinite(value)):
        raise _Refused(f"{where} is out of range")
    for limit in limits:
        if isinstance(limit, Whole) and not limit.minimum <= value <= limit.maximum:
            raise _Refused(f"{where} is out of range")
    return kind(value)


def _typed(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise _Refused(f"{where} is not {'a string' if kind is str else 'true or false'}")
    return value


def _maximum(limits: tuple[Any, ...]) -> int:
    return next(limit.maximum for limit in limits if isinstance(limit, Length))
