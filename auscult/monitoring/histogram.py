"""Two distributions in one small picture: paths of an SVG that a page holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 96
_BINS = 24


@dataclass(frozen=True)
class Histogram:
    """Outlines of two histograms over the same bins, as ``d`` of an SVG path, and the ends of their scale."""

    reference: str
    recent: str
    low: float
    high: float


def histogram(reference: NDArray[np.floating], recent: NDArray[np.floating]) -> Histogram:
    """Shares of either side's recordings per bin, drawn to one scale in a box of WIDTH by HEIGHT.

    The scale reaches from the smallest to the largest value of both sides.
    """
    low, high = (float(end([end(reference), end(recent)])) for end in (np.min, np.max))
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    shares = [np.histogram(side, bins=edges)[0] / len(side) for side in (reference, recent)]
    tallest = max(float(share.max()) for share in shares)
    outlines = [_outline(share / tallest) for share in shares]
    return Histogram(outlines[0], outlines[1], low, high)


def _outline(heights: NDArray[np.floating]) -> str:
    """Steps of the given heights (0 to 1), from the ground and back to it."""
    step = WIDTH / len(heights)
    points = [f"M0 {HEIGHT}"]
    for index, height in enumerate(heights):
        points.append(f"V{HEIGHT * (1 - height):.1f}H{(index + 1) * step:.1f}")
    return "".join([*points, f"V{HEIGHT}"])
