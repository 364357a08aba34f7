"""Measure speed and memory, beside a plain implementation: ``python -m benchmarks``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One measured value.

    Attributes
    ----------
    name
        Short and unique: ``group.value``.
    what
        What was measured, in words.
    value, unit
        The value and its unit.
    aim
        The target, in words; empty if there is none.
    reached
        Whether the target is reached; ``None`` if there is none.
    """

    name: str
    what: str
    value: float
    unit: str
    aim: str = ""
    reached: bool | None = None


def under(limit: float, name: str, what: str, value: float, unit: str) -> Measurement:
    """Return a measured value that should lie below *limit*."""
    return Measurement(name, what, value, unit, f"under {limit:g}", value < limit)
