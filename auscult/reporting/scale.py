"""Metrics as text, on one scale: points of 100. Standard library only, as the pull-request comment needs it."""

from __future__ import annotations

#: What is not in points of 100: its digits, and its unit.
_OTHERS = {"log_loss": (3, ""), "latency_ms": (0, " ms"), "size_mb": (2, " MB")}


def points(share: float, *, sign: bool = False) -> str:
    """Return a share in points of 100: ``0.7831`` → ``78.3``; with *sign* ``+3.2``, ``−3.2`` or ``+0.0``."""
    return _text(100.0 * share, 1, sign)


def shown(name: str, value: float, *, sign: bool = False) -> str:
    """Return the value of a metric: in points of 100, but the log loss in nats, sizes and times in their unit."""
    if name not in _OTHERS:
        return points(value, sign=sign)
    digits, unit = _OTHERS[name]
    return _text(value, digits, sign) + unit


def with_interval(
    name: str, value: float, low: float | None, high: float | None, unit: str = "", *, sign: bool = False
) -> str:
    """Return a metric with its interval: ``78.3 (71.0 to 84.1)``; *unit* follows the value."""
    text = shown(name, value, sign=sign) + unit
    if low is None or high is None:
        return text
    return f"{text} ({shown(name, low, sign=sign)} to {shown(name, high, sign=sign)})"


def _text(value: float, digits: int, sign: bool) -> str:
    """Return a number with a true minus, and no negative zero."""
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0.0:
        text = text.replace("-", "+" if sign else "")
    return text.replace("-", "−")
