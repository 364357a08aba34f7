"""Twins: two recordings whose landmark fingerprints agree at one constant shift in time.

Copies that were re-encoded, filtered, amplified or cut keep a good part of their
landmarks, and all that are kept are shifted by the same time. Landmarks that
recordings share by chance are shifted by any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.audio.fingerprint import FRAME_S

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: Landmarks at one shift that make a pair twins, however long they are; ...
MANY_MATCHES = 15
#: ... or fewer that are a good part of a short recording's.
FEW_MATCHES, LARGE_SHARE = 6, 0.1
#: The best shift has this many times the landmarks of any other. Sounds that repeat themselves exactly
#: (hum that swells, a ticking device) agree with each other at every period, twins at one shift alone.
DISTINCT = 3.0
#: Neighbours of the best shift, in frames, that belong to it.
_BLUR = 2
#: Equal hashes that are counted at a time; 100 bytes each.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Twin:
    """Two recordings that hold the same sound.

    Attributes
    ----------
    first, second
        Their ids, in alphabetical order.
    matches
        Landmarks that agree at one shift.
    share
        Of the landmarks of the recording that has fewer of them.
    runner_up
        Landmarks at the next best shift.
    shift_s
        When the sound of the first comes in the second: later by this many seconds.
    """

    first: str
    second: str
    matches: int
    share: float
    runner_up: int
    shift_s: float

    def __str__(self) -> str:
        return f"{self.matches} landmarks ({self.share:.0%} of the smaller) agree at a shift of {self.shift_s:.2f} s"


def find_twins(fingerprints: pd.DataFrame, patients: Mapping[str, str]) -> list[Twin]:
    """Pairs of recordings of different patients that hold the same sound, most matches first.

    Parameters
    ----------
    fingerprints
        Columns ``recording_id``, ``hash``, ``time`` (frames).
    patients
        Recording → patient; others' fingerprints are left out.
    """
    return [pair for pair in best_shifts(fingerprints, patients, FEW_MATCHES) if is_twin(pair)]


def is_twin(pair: Twin) -> bool:
    """Whether the landmarks that a pair has in common are beyond chance.

    Among 2.2 million pairs of unrelated recordings of two public data sets the best had
    7 matches and none with 4 or more a share above 2 %; re-encoded and cut copies of whole
    recordings had at least 43 and 12 %. Below about 3 s a cut copy may stay unseen.
    """
    enough = pair.matches >= MANY_MATCHES or (pair.matches >= FEW_MATCHES and pair.share >= LARGE_SHARE)
    return enough and pair.matches >= DISTINCT * pair.runner_up


def best_shifts(fingerprints: pd.DataFrame, patients: Mapping[str, str], least: int) -> list[Twin]:
    """Pairs of recordings of different patients with at least *least* landmarks at their best shift."""
    import numpy as np
    import pandas as pd

    known = fingerprints[fingerprints["recording_id"].isin(list(patients))]
    recording, names = pd.factorize(known["recording_id"], sort=True)
    _, patient = np.unique([patients[name] for name in names], return_inverse=True)
    totals = np.bincount(recording, minlength=len(names))
    hashes, times = known["hash"].to_numpy(np.int64), known["time"].to_numpy(np.int64)
    span = 2 * _span(times) + 1
    found = [_best(key, votes, span, least) for key, votes in _votes(hashes, times, recording, patient)]
    best, matches, runner_up = (np.concatenate(column) for column in zip(*found, strict=True))
    twins = []
    for k in np.lexsort((best, -matches)):
        a, b = divmod(int(best[k] // span), len(names))
        shift = int(best[k] % span) - (span - 1) // 2
        share = int(matches[k]) / int(min(totals[a], totals[b]))
        twins.append(Twin(str(names[a]), str(names[b]), int(matches[k]), share, int(runner_up[k]), shift * FRAME_S))
    return twins


def _best(
    key: NDArray[np.int64], votes: NDArray[np.int64], span: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each pair with at least *least* votes at a shift: the best one's key, its votes, those of the runner-up."""
    import numpy as np

    # A cut between two frames spreads the shift over two neighbours.
    votes[:-1] += np.where(key[1:] == key[:-1] + 1, votes[1:], 0)
    pair = key // span
    enough = np.flatnonzero(votes >= least)
    order = enough[np.lexsort((key[enough], -votes[enough], pair[enough]))]
    found, first = np.unique(pair[order], return_index=True)
    best = order[first]
    return key[best], votes[best], _runner_up(key, votes, pair, found, best)


def _runner_up(
    key: NDArray[np.int64],
    votes: NDArray[np.int64],
    pair: NDArray[np.int64],
    found: NDArray[np.int64],
    best: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The most votes of each found pair at a shift apart from its best; shape (len(found),)."""
    import numpy as np

    result = np.zeros(len(found), dtype=np.int64)
    if not len(found):
        return result
    place = np.minimum(np.searchsorted(found, pair), len(found) - 1)
    apart = (found[place] == pair) & (np.abs(key - key[best[place]]) > _BLUR)
    np.maximum.at(result, place[apart], votes[apart])
    return result


def _span(times: NDArray[np.int64]) -> int:
    return int(times.max(initial=0)) + 1


def _votes(
    hashes: NDArray[np.int64], times: NDArray[np.int64], recording: NDArray[np.int64], patient: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """How many equal hashes each pair of recordings has at each shift, some first recordings at a time.

    Equal hashes grow with the square of the number of recordings. So that memory does not, the pairs are counted in
    blocks of at most ``_BLOCK`` equal hashes, or of one recording; a pair lies in one block.

    Yields
    ------
    key, votes
        Key = (first * recordings + second) * (2 * span + 1) + shift + span, ascending.
    """
    import numpy as np

    count, span = len(patient), _span(times)
    order = np.lexsort((times, recording, hashes))
    hashes, times, recording = hashes[order], times[order], recording[order]
    # Partners of a landmark: those behind it with the same hash, of the same or a later recording.
    partners = np.searchsorted(hashes, hashes, side="right") - np.arange(len(hashes)) - 1
    by_recording = np.argsort(recording, kind="stable")
    cost = np.bincount(recording, weights=partners, minlength=count)
    for begin, end in _blocks(cost, np.cumsum(np.bincount(recording, minlength=count))):
        left = by_recording[begin:end]
        many = partners[left]
        left, nth = np.repeat(left, many), np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        right = left + 1 + nth
        other = patient[recording[left]] != patient[recording[right]]
        left, right = left[other], right[other]
        shift = times[right] - times[left]
        key = (recording[left] * count + recording[right]) * (2 * span + 1) + shift + span
        yield np.unique(key, return_counts=True)


def _blocks(cost: NDArray[Any], ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Begin and end, in landmarks ordered by recording, of blocks of recordings that cost ``_BLOCK`` at most."""
    begin, spent = 0, 0.0
    for recording, one in enumerate(cost):
        if spent and spent + one > _BLOCK:
            before = int(ends[recording - 1])
            yield begin, before
            begin, spent = before, 0.0
        spent += one
    yield begin, int(ends[-1]) if len(ends) else 0
