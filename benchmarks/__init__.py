"""Speed and memory, side by side with the plain way; ``python -m benchmarks``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One figure.

    Attributes
    ----------
    name
        Short, unique: ``group.figure``.
    what
        What was measured, for a reader.
    value, unit
        The figure.
    aim
        What is wanted of it, in words; empty where it is only told.
    reached
        Whether it is; ``None`` where there is no aim.
    """

    name: str
    what: str
    value: float
    unit: str
    aim: str = ""
    reached: bool | None = None
