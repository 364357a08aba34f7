"""What stands beside the figures in the document: parameters, data, stages, sizes, faults. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from auscult.comparison.strict import Length, Whole

Did = Literal["ran", "taken from cache", "unchanged", "failed", "not reached"]
Title = Annotated[str, Length(120)]
Sentence = Annotated[str, Length(600)]
Counted = Annotated[int, Whole(0, 10**15)]
Names = Annotated[tuple[Title, ...], Length(100)]


@dataclass(frozen=True)
class Parameter:
    """A leaf of ``params.yaml`` that differs, by its dotted name; null where a side has none."""

    name: Annotated[str, Length(200)]
    base: Sentence | None
    head: Sentence | None


@dataclass(frozen=True)
class Count:
    """One number that describes the data, before and after; null where a side has none."""

    name: Annotated[str, Length(200)]
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
        Recordings, labels, patients or the split differ.
    counts
        What was added, removed and changed, and how many there were of what.
    """

    base: Title
    head: Title
    changed: bool
    counts: Annotated[tuple[Count, ...], Length(200)]


@dataclass(frozen=True)
class Stage:
    """A stage whose entry in ``dvc.lock`` differs, or that ran for this comparison.

    Attributes
    ----------
    code, parameters, inputs, outputs
        Which of its dependencies and outputs differ.
    base_did, head_did
        What was done for this comparison; null where a side has no such stage.
    base_seconds, head_seconds
        How long that took; null where nothing was done.
    """

    name: Title
    state: Literal["changed", "added", "removed", "unchanged"]
    code: Names
    parameters: Names
    inputs: Names
    outputs: Names
    base_did: Did | None
    head_did: Did | None
    base_seconds: float | None
    head_seconds: float | None


@dataclass(frozen=True)
class Size:
    """Bytes of a kind of outputs, as ``dvc.lock`` records them; null where a side has none."""

    name: Title
    base: Counted | None
    head: Counted | None


@dataclass(frozen=True)
class Fault:
    """Something of one side that could not be read, or contradicts something else."""

    side: Literal["base", "head"]
    where: Annotated[str, Length(200)]
    reason: Sentence
