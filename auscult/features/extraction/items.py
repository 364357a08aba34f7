"""Cut annotated segments, and windows that cover a recording, out of its spectrogram.

The first and last frame of an item are those centred nearest to its begin and end, both
included, so that an item of exactly the array's length fills a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Padding = Literal["mask", "tile", "zero"]


@dataclass(frozen=True)
class Item:
    """An interval of a recording that becomes one row of an array."""

    item_id: str
    start_s: float
    end_s: float


def windows(recording_id: str, duration_s: float, length_s: float, hop_s: float) -> list[Item]:
    """Return windows every *hop_s* that cover a recording; the last one ends with it.

    A recording no longer than a window is one window, padded when it becomes a row.
    """
    starts = [0.0]
    if duration_s > length_s:
        whole = math.floor((duration_s - length_s) / hop_s + 1e-9)
        starts = [n * hop_s for n in range(whole + 1)]
        if starts[-1] + length_s < duration_s - 1e-6:
            starts.append(duration_s - length_s)
    return [
        Item(f"{recording_id}:w{n:03d}", start, min(start + length_s, duration_s)) for n, start in enumerate(starts)
    ]


def array_frames(length_s: float, sample_rate_hz: int, hop_length: int) -> int:
    """Return the number of frames of a row of *length_s* seconds, both ends included."""
    return 1 + math.floor(length_s * sample_rate_hz / hop_length + 1e-9)


@dataclass(frozen=True)
class Cutter:
    """Cuts items out of a spectrogram into rows of one length.

    Attributes
    ----------
    frames
        Length of a row.
    frame_s
        Seconds between frames.
    padding
        How a shorter item is filled: zeros (``mask``, ``zero``) or its own repetition (``tile``).
    """

    frames: int
    frame_s: float
    padding: Padding

    def cut(
        self, spectrogram: NDArray[np.float32], items: Iterable[Item], rate: float = 1.0
    ) -> tuple[NDArray[np.float32], list[int]]:
        """Return one row per item and the number of its valid frames.

        Parameters
        ----------
        spectrogram
            Shape (bins, T).
        items
            Times in the original recording.
        rate
            Speed of the spectrogram's audio relative to the original.

        Returns
        -------
        rows
            Shape (items, bins, frames), float32.
        valid
            Valid frames per row, at least 1.
        """
        spans = [self._span(item, spectrogram.shape[1], rate) for item in items]
        rows = np.zeros((len(spans), spectrogram.shape[0], self.frames), dtype=np.float32)
        for row, (first, count) in zip(rows, spans, strict=True):
            row[:, :count] = spectrogram[:, first : first + count]
            if self.padding == "tile":
                row[:] = row[:, np.arange(self.frames) % count]
        return rows, [count for _, count in spans]

    def _span(self, item: Item, total: int, rate: float) -> tuple[int, int]:
        first = min(math.floor(item.start_s / rate / self.frame_s + 0.5), total - 1)
        last = min(math.floor(item.end_s / rate / self.frame_s + 0.5), total - 1)
        return first, min(max(last - first + 1, 1), self.frames)
