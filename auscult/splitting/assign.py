"""Draw patients into parts of given sizes so that each part resembles the whole.

A patient carries everything of theirs at once, and the rare classes sit in few
patients, so a plain stratified draw does not apply. This is iterative
stratification by groups: first every class of every task gets one patient in each
part that needs one, rarest class first; then each remaining patient, those with rare
classes and much material first, goes where the shares come closest to the wanted ones.

References
----------
K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
ECML PKDD 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from auscult.core.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def composition(recordings: pd.DataFrame, segments: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """How much of each class each patient has.

    Returns
    -------
    DataFrame
        Index: patients, sorted. Columns: ``recordings``, then ``task:class`` for each
        class of each task that occurs (units of the task: recordings or segments).
    """
    import pandas as pd

    patients = pd.Index(sorted(recordings["patient_id"].unique()), name="patient_id")
    table = pd.DataFrame(index=patients)
    table["recordings"] = recordings.groupby("patient_id").size().reindex(patients, fill_value=0)
    for task in tasks:
        units = recordings if task.unit == "recording" else segments
        names = pd.Series([_class_name(task, label) for label in units["label"]], index=units.index, dtype=object)
        for name in task.classes:
            counts = units[names == name].groupby("patient_id").size().reindex(patients, fill_value=0)
            if counts.any():
                table[f"{task.name}:{name}"] = counts
    return table


def draw(
    counts: pd.DataFrame, shares: Mapping[str, float], needs: Sequence[Sequence[str]], seed: int
) -> dict[str, str]:
    """Assign patients to bins.

    Parameters
    ----------
    counts
        Of :func:`composition`, shape (patients, 1 + classes).
    shares
        Bin → wanted share of everything; they sum to one. Their order breaks ties.
    needs
        Groups of bins in order of importance: each class should have a patient in each group.
    seed
        Orders patients that are alike.

    Returns
    -------
    dict
        Patient → bin, every patient once, every bin non-empty when there are patients enough.
    """
    import numpy as np

    values = counts.to_numpy(dtype=np.float64)
    state = _Draw(values, np.array(list(shares.values())), np.random.default_rng(seed).random(len(values)))
    bins = list(shares)
    groups = [[bins.index(name) for name in group] for group in needs]
    present = values > 0
    for column in np.argsort(present.sum(axis=0), kind="stable"):
        for group in groups:
            state.give_one(present[:, column], group)
    for empty in range(len(bins)):
        if not (state.bin_of == empty).any():
            state.give_one(np.ones(len(values), dtype=bool), [empty])
    for patient in state.order(present):
        state.put(patient, state.best_bin(patient, range(len(bins))))
    return {str(name): bins[state.bin_of[i]] for i, name in enumerate(counts.index)}


class _Draw:
    """The assignment so far: which bin holds whom, and how full each is of each class.

    Parameters
    ----------
    values
        Shape (patients, columns).
    shares
        Shape (bins,).
    tie
        Shape (patients,): the seed's order among patients that are alike.
    """

    def __init__(self, values: NDArray[np.float64], shares: NDArray[np.float64], tie: NDArray[np.float64]) -> None:
        import numpy as np

        totals = values.sum(axis=0)
        presence = (values > 0) / np.maximum((values > 0).sum(axis=0), 1)
        # How much material, and how many patients: one patient with much must not stand for a class.
        self.weights = np.hstack([values / np.maximum(totals, 1.0), presence])
        self.shares = shares
        self.tie = tie
        self.filled = np.zeros((len(shares), self.weights.shape[1]))
        self.bin_of = np.full(len(values), -1)

    def put(self, patient: int, bin_: int) -> None:
        self.bin_of[patient] = bin_
        self.filled[bin_] += self.weights[patient]

    def cost(self, patient: int, bin_: int) -> float:
        """Change of the squared relative deviation from the wanted shares when *patient* goes to *bin_*."""
        before = self.filled[bin_] - self.shares[bin_]
        after = before + self.weights[patient]
        return float(((after**2 - before**2).sum()) / self.shares[bin_])

    def best_bin(self, patient: int, bins: Sequence[int]) -> int:
        return min(bins, key=lambda b: (round(self.cost(patient, b), 12), b))

    def give_one(self, carries: NDArray[np.bool_], group: Sequence[int]) -> None:
        """One unassigned patient that *carries* the class to a group that has none, if there is one."""
        import numpy as np

        held = np.isin(self.bin_of, group) & carries
        free = np.flatnonzero(carries & (self.bin_of < 0))
        if held.any() or not len(free):
            return
        choices = [(round(self.cost(int(p), b), 12), float(self.tie[p]), b, int(p)) for p in free for b in group]
        _, _, bin_, patient = min(choices)
        self.put(patient, bin_)

    def order(self, present: NDArray[np.bool_]) -> list[int]:
        """Unassigned patients: those with the rarest class first, then those with most material, then by seed."""
        import numpy as np

        carriers = present.sum(axis=0)
        rarest = np.where(present, carriers, len(present) + 1).min(axis=1)
        # Steps of a factor two: the seed decides among patients of about the same size.
        size = np.floor(np.log2(self.weights.sum(axis=1) * len(present) + 1e-9))
        return [int(p) for p in np.lexsort((self.tie, -size, rarest)) if self.bin_of[p] < 0]


def _class_name(task: Task, label: object) -> str | None:
    index = task.class_index(label if isinstance(label, str) else None)
    return None if index < 0 else task.classes[index]
