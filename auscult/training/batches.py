"""Which rows go through a network together: of similar length, so that little of a batch is padding.

Segments follow their annotations, so most are far shorter than the array they lie in. A batch
needs no more frames than its longest row has; what a network answers does not change by that, as
it never looks behind a row's valid frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: So many batches are drawn at random together and sorted by length.
POOL = 8
#: Lengths count as up to this share of the longest greater than they are, anew in each epoch: rows of
#: one length meet others every time.
JITTER = 0.3
#: Lengths are rounded up to a multiple: every new shape costs the network's library a preparation.
ROUND_TO = 16
#: An epoch has at least so many steps, as far as batches of the fewest rows allow: of few rows, batches
#: of 64 would make a handful, and a training of some epochs would end before it began.
STEPS, FEWEST = 30, 8


def batch_rows(count: int, most: int) -> int:
    """Rows per batch for an epoch of *count* rows: *most*, fewer of a small training part."""
    return min(most, max(FEWEST, count // STEPS))


def random_batches(valid: NDArray[np.int64], size: int, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Every row once, in random batches of rows of similar length.

    Parameters
    ----------
    valid
        Frames of each row, shape (n,).
    size
        Rows per batch; a last one of a single row joins the one before, as no variance can be taken over it.
    """
    count = len(valid)
    order = torch.randperm(count, generator=generator).numpy()
    longest = float(valid.max(initial=0))
    about = valid + JITTER * longest * torch.rand(count, generator=generator).numpy()
    found: list[NDArray[np.int64]] = []
    for start in range(0, count, POOL * size):
        pool = order[start : start + POOL * size]
        pool = pool[np.argsort(about[pool], kind="stable")]
        found += [pool[first : first + size] for first in range(0, len(pool), size)]
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [np.concatenate(found[-2:])]
    for index in torch.randperm(len(found), generator=generator).tolist():
        yield found[index]


def sorted_batches(valid: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Every row once, the shortest first: for answers, where the order does not matter."""
    order = np.argsort(valid, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def frames_needed(valid: NDArray[np.int64], frames: int) -> int:
    """How many of *frames* a batch needs whose rows have *valid* ones."""
    longest = int(valid.max(initial=1))
    return min(frames, -(-longest // ROUND_TO) * ROUND_TO)
