"""Twins: two recordings whose landmark fingerprints agree at one constant shift in time.

Copies that were re-encoded, filtered, amplified or cut keep a good part of their
landmarks, and all that are kept are shifted by the same time. Landmarks that
recordings share by chance are shifted by any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.validate.fingerprint import FRAME_S

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: Landmarks at one shift that make a pair twins, however long they are; ...
MANY_MATCHES = 15
#: ... or fewer that are a good part of a short recording's.
FEW_MATCHES, LARGE_SHARE = 8, 0.1


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
    shift_s
        When the sound of the first comes in the second: later by this many seconds.
    """

    first: str
    second: str
    matches: int
    share: float
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
    return [t for t in best_shifts(fingerprints, patients, FEW_MATCHES) if is_twin(t.matches, t.share)]


def is_twin(matches: int, share: float) -> bool:
    """Whether so many matches, and such a share of the smaller recording's landmarks, are beyond chance.

    Among 2.2 million pairs of unrelated recordings of two public data sets the best had
    7 matches and none with 4 or more a share above 2 %; copies had at least 43 and 12 %.
    """
    return matches >= MANY_MATCHES or (matches >= FEW_MATCHES and share >= LARGE_SHARE)


def best_shifts(fingerprints: pd.DataFrame, patients: Mapping[str, str], least: int) -> list[Twin]:
    """Pairs of recordings of different patients with at least *least* landmarks at their best shift."""
    import numpy as np
    import pandas as pd

    known = fingerprints[fingerprints["recording_id"].isin(list(patients))]
    recording, names = pd.factorize(known["recording_id"], sort=True)
    _, patient = np.unique([patients[name] for name in names], return_inverse=True)
    totals = np.bincount(recording, minlength=len(names))
    key, votes = _votes(known["hash"].to_numpy(np.int64), known["time"].to_numpy(np.int64), recording, patient)
    span = 2 * _span(known["time"].to_numpy(np.int64)) + 1
    # A cut between two frames spreads the shift over two neighbours.
    votes[:-1] += np.where(key[1:] == key[:-1] + 1, votes[1:], 0)
    key, votes = key[votes >= least], votes[votes >= least]
    pair = key // span
    order = np.lexsort((key, -votes, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    best = best[np.lexsort((key[best], -votes[best]))]
    twins = []
    for k in best:
        a, b = divmod(int(pair[k]), len(names))
        shift = int(key[k] % span) - (span - 1) // 2
        share = float(votes[k] / min(totals[a], totals[b]))
        twins.append(Twin(str(names[a]), str(names[b]), int(votes[k]), share, shift * FRAME_S))
    return twins


def _span(times: NDArray[np.int64]) -> int:
    return int(times.max(initial=0)) + 1


def _votes(
    hashes: NDArray[np.int64], times: NDArray[np.int64], recording: NDArray[np.int64], patient: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many equal hashes each pair of recordings has at each shift.

    Returns
    -------
    key, votes
        Key = (first * recordings + second) * (2 * span + 1) + shift + span, ascending.
    """
    import numpy as np

    count, span = len(patient), _span(times)
    order = np.lexsort((times, recording, hashes))
    hashes, times, recording = hashes[order], times[order], recording[order]
    keys = [np.zeros(0, dtype=np.int64)]
    left = np.arange(len(hashes))
    for lag in range(1, len(hashes)):
        left = left[: np.searchsorted(left, len(hashes) - lag)]
        left = left[hashes[left] == hashes[left + lag]]
        if not len(left):
            break
        right = left + lag
        first, second = recording[left], recording[right]
        other = patient[first] != patient[second]
        shift = times[right][other] - times[left][other]
        keys.append((first[other] * count + second[other]) * (2 * span + 1) + shift + span)
    votes = np.unique(np.concatenate(keys), return_counts=True)
    return votes[0], votes[1]
