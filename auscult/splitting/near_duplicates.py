"""Near-duplicates: two recordings whose landmark fingerprints agree at one constant shift in time.

Copies that were re-encoded, filtered, amplified or cut keep many of their landmarks, all
shifted by the same time. Landmarks that two recordings share by chance have arbitrary shifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.audio.fingerprint import FRAME_S

#: This many landmarks at one shift make a pair near-duplicates, ...
MANY_MATCHES = 15
#: ... or fewer, if they are a large share of the shorter recording's.
FEW_MATCHES, LARGE_SHARE = 6, 0.1
#: The best shift must have this many times the landmarks of any other. Periodic sounds (mains hum, a ticking
#: device) agree with each other at every period, near-duplicates at one shift only.
DISTINCT = 3.0
#: Shifts that differ from the best one by at most this many frames count as the same.
_BLUR = 2
#: Number of pairs of equal hashes that are counted at a time; 100 bytes each.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class NearDuplicate:
    """Two recordings that contain the same sound.

    Attributes
    ----------
    first, second
        Their ids, in alphabetical order.
    matches
        Landmarks that agree at the best shift.
    share
        Their share of the landmarks of the recording that has fewer.
    runner_up
        Landmarks that agree at the next best shift.
    shift_s
        Delay of the sound in the second recording relative to the first, in seconds.
    """

    first: str
    second: str
    matches: int
    share: float
    runner_up: int
    shift_s: float

    def __str__(self) -> str:
        return f"{self.matches} landmarks ({self.share:.0%} of the smaller) agree at a shift of {self.shift_s:.2f} s"


def find_near_duplicates(fingerprints: pd.DataFrame, patients: Mapping[str, str]) -> list[NearDuplicate]:
    """Return pairs of recordings of different patients that contain the same sound, most matches first.

    Parameters
    ----------
    fingerprints
        Columns ``recording_id``, ``hash``, ``time`` (frames).
    patients
        Recording → patient; fingerprints of other recordings are ignored.
    """
    return [pair for pair in best_shifts(fingerprints, patients, FEW_MATCHES) if is_near_duplicate(pair)]


def is_near_duplicate(pair: NearDuplicate) -> bool:
    """Return whether a pair has more landmarks in common than chance explains.

    Measured on two public data sets: among 2.2 million pairs of unrelated recordings the largest
    number of matches was 7, and no pair with 4 or more had a share above 2 %. Re-encoded and cut
    copies of whole recordings had at least 43 matches and 12 %. A cut copy shorter than about 3 s may be missed.
    """
    enough = pair.matches >= MANY_MATCHES or (pair.matches >= FEW_MATCHES and pair.share >= LARGE_SHARE)
    return enough and pair.matches >= DISTINCT * pair.runner_up


def best_shifts(fingerprints: pd.DataFrame, patients: Mapping[str, str], least: int) -> list[NearDuplicate]:
    """Return pairs of recordings of different patients with at least *least* landmarks at their best shift."""
    known = fingerprints[fingerprints["recording_id"].isin(list(patients))]
    recording, names = pd.factorize(known["recording_id"], sort=True)
    _, patient = np.unique([patients[name] for name in names], return_inverse=True)
    totals = np.bincount(recording, minlength=len(names))
    hashes, times = known["hash"].to_numpy(np.int64), known["time"].to_numpy(np.int64)
    span = 2 * _span(times) + 1
    found = [_best(key, votes, span, least) for key, votes in _votes(hashes, times, recording, patient)]
    best, matches, runner_up = (np.concatenate(column) for column in zip(*found, strict=True))
    pairs = []
    for k in np.lexsort((best, -matches)):
        a, b = divmod(int(best[k] // span), len(names))
        shift = int(best[k] % span) - (span - 1) // 2
        share = int(matches[k]) / int(min(totals[a], totals[b]))
        pairs.append(
            NearDuplicate(str(names[a]), str(names[b]), int(matches[k]), share, int(runner_up[k]), shift * FRAME_S)
        )
    return pairs


def _best(
    key: NDArray[np.int64], votes: NDArray[np.int64], span: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return key and votes of the best shift of each pair with at least *least* votes, and votes of the runner-up."""
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
    """Return the most votes of each found pair at a shift other than its best, shape (len(found),)."""
    result = np.zeros(len(found), dtype=np.int64)
    if not len(found):
        return result
    index = np.minimum(np.searchsorted(found, pair), len(found) - 1)
    apart = (found[index] == pair) & (np.abs(key - key[best[index]]) > _BLUR)
    np.maximum.at(result, index[apart], votes[apart])
    return result


def _span(times: NDArray[np.int64]) -> int:
    return int(times.max(initial=0)) + 1


def _votes(
    hashes: NDArray[np.int64], times: NDArray[np.int64], recording: NDArray[np.int64], patient: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Count the equal hashes of each pair of recordings at each shift, in blocks of first recordings.

    The number of equal hashes grows with the square of the number of recordings. To bound memory, they are counted
    in blocks of at most ``_BLOCK``, or of one recording; all hashes of a pair are in one block.

    Yields
    ------
    key, votes
        Key = (first * recordings + second) * (2 * span + 1) + shift + span, ascending.
    """
    count, span = len(patient), _span(times)
    order = np.lexsort((times, recording, hashes))
    hashes, times, recording = hashes[order], times[order], recording[order]
    # Partners of a landmark: later ones with the same hash, of the same or a later recording.
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
    """Yield begin and end, in landmarks ordered by recording, of blocks of recordings that cost ``_BLOCK`` at most."""
    begin, spent = 0, 0.0
    for recording, one in enumerate(cost):
        if spent and spent + one > _BLOCK:
            before = int(ends[recording - 1])
            yield begin, before
            begin, spent = before, 0.0
        spent += one
    yield begin, int(ends[-1]) if len(ends) else 0
