"""Assign every recording to a fold of the development part or to the test part, by patient.

Where no publisher's split applies, patients are drawn so that each part resembles the whole. A patient's
recordings stay together and rare classes occur in few patients, so a plain stratified draw does not apply. The
draw is iterative stratification by groups: first every class of every task gets one patient in each part that
needs one, rarest class first; then each remaining patient, those with rare classes and much material first, goes
to the part whose shares come closest to the wanted ones.

References
----------
K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data",
ECML PKDD 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.core.cohorts import held_out_patients
from auscult.core.errors import DataError
from auscult.core.sections import SplitParams
from auscult.core.tasks import Task
from auscult.splitting.pinned import TEST, Pinned, folds_of_additions


@dataclass(frozen=True)
class Split:
    """The assignment, and where its test part comes from.

    Attributes
    ----------
    assignment
        Columns of ``ASSIGNMENT_COLUMNS``, sorted by recording.
    test_from
        ``publisher``, ``drawn``, ``newest`` or ``cohort:<name>``.
    """

    assignment: pd.DataFrame
    test_from: str


def split(
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    pinned: Pinned | None = None,
) -> Split:
    """Assign every recording to a part, by patient.

    ``official`` decides how the publisher's parts are used:

    - ``corrected``: kept; recordings that the data set's file exempts form a part of their own, ``exempt``;
    - ``published``: kept as printed: exempt recordings stay in their published part and keep their reason,
      and the leak check accepts exactly these;
    - ``ignored``: patients are drawn by seed.

    If the publisher's split has no test recording, or is ignored, the test patients are drawn. With ``test`` other than
    ``random`` it is ignored, and the newest patients or those of a cohort are the test part. Patients that the
    publisher's split does not list are drawn into the folds, so its test part stays comparable.

    This concerns the data set as downloaded. Recordings of additions (those with a ``batch``) change nobody's
    fold, and after a withdrawal nobody is drawn again: see :mod:`auscult.splitting.pinned`.

    Raises
    ------
    DataError
        There are fewer patients than the parts need.
    """
    with_batch = recordings["batch"].notna()
    result = _split_downloaded(recordings[~with_batch], segments, tasks, params, pinned)
    if not with_batch.any():
        return result
    added = recordings[with_batch]
    fold = folds_of_additions(added, result.assignment, params, with_test=result.test_from == "drawn")
    part = pd.Series("development", index=added.index, dtype=object)
    part[fold == TEST] = "test"
    rows = added[["recording_id", "patient_id"]].assign(part=part, fold=fold, published_part=None, exempt_reason=None)
    both = pd.concat([result.assignment, rows.astype({"published_part": object, "exempt_reason": object})])
    return Split(both.sort_values("recording_id", ignore_index=True), result.test_from)


def _split_downloaded(
    recordings: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    pinned: Pinned | None,
) -> Split:
    table = recordings.sort_values("recording_id").reset_index(drop=True)
    published = table["published_part"].astype(object).where(table["published_part"].notna(), None)
    reason = table["exempt_reason"].astype(object).where(table["exempt_reason"].notna(), None)
    chosen = held_out_patients(table, params.test, params.test_share)
    if params.official == "ignored" or chosen is not None:
        reason = reason.where(reason.isna(), None)
    exempt = reason.notna() & (params.official == "corrected")
    official = params.official != "ignored" and chosen is None and bool(((published == "test") & ~exempt).any())
    in_test = (published == "test") & ~exempt if official else exempt & False
    test_patients = set(table.loc[in_test, "patient_id"])
    train_patients = set(table.loc[(published == "train") & ~exempt, "patient_id"]) if official else set()
    # Patients all of whose recordings are for testing. If a published split has recordings of one patient
    # in both parts, each recording stays in its part and the leak check decides.
    only_test = test_patients - train_patients
    folds = None
    if pinned is not None:
        others = sorted(set(table.loc[~exempt, "patient_id"]) - only_test)
        folds = pinned.of(others, params, with_test=not official)
    if folds is None:
        apart = only_test if chosen is None else chosen
        folds = _draw_folds(table[~exempt], segments, tasks, params, apart, with_test=not official and chosen is None)
        folds |= dict.fromkeys(chosen or (), TEST)
    drawn = table["patient_id"].map(folds)
    is_test = (drawn == TEST) | in_test
    if official:  # a recording without a published part follows its patient
        is_test |= published.isna() & table["patient_id"].isin(only_test)
    fold = drawn.where(~(is_test | exempt)).fillna(-1).astype("int64")
    part = pd.Series("development", index=table.index, dtype=object)
    part[is_test] = "test"
    part[exempt] = "exempt"
    assignment = table[["recording_id", "patient_id"]].assign(
        part=part, fold=fold, published_part=published, exempt_reason=reason
    )
    drawn_from = "drawn" if chosen is None else params.test
    return Split(assignment, "publisher" if official else drawn_from)


def _draw_folds(
    table: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    test_patients: set[str],
    *,
    with_test: bool,
) -> dict[str, int]:
    """Return patient → fold or :data:`TEST`, for all patients except the publisher's test patients.

    Every fold should hold every class, as each is held out once: rare classes go to one fold after the other, and to
    the test part after the second fold, as a class of two patients must be trained and validated on.
    """
    table = table[~table["patient_id"].isin(test_patients)]
    folds = list(range(params.folds))
    needed = len(folds) + with_test
    patients = int(table["patient_id"].nunique())
    if patients < needed:
        raise DataError(
            f"{patients} patients cannot fill {len(folds)} folds" + (" and a test part" if with_test else ""),
            where="params.yaml: split.folds",
            next_step=f"set split.folds to at most {patients - with_test}"
            if patients - with_test >= 2
            else "add recordings of other patients",
        )
    used = segments[segments["recording_id"].isin(table["recording_id"])]
    counts = composition(table, used, tasks)
    rest = 1.0 - params.test_share if with_test else 1.0
    shares = {fold: rest / len(folds) for fold in folds}
    first, others = [[fold] for fold in folds[:2]], [[fold] for fold in folds[2:]]
    needs = [*first, [TEST], *others] if with_test else [*first, *others]
    if with_test:
        shares[TEST] = params.test_share
    return draw(counts, shares, needs, params.seed)


def composition(recordings: pd.DataFrame, segments: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Count the units of each class per patient.

    Returns
    -------
    DataFrame
        Index: patients, sorted. Columns: ``recordings``, then ``task:class`` for each class of each task that
        occurs (in units of the task: recordings or segments).
    """
    patients = pd.Index(sorted(recordings["patient_id"].unique()), name="patient_id")
    table = pd.DataFrame(index=patients)
    table["recordings"] = recordings.groupby("patient_id").size().reindex(patients, fill_value=0)
    for task in tasks:
        units = recordings if task.unit == "recording" else segments
        index = class_indices(task, units)
        for number, name in enumerate(task.classes):
            counts = units[index == number].groupby("patient_id").size().reindex(patients, fill_value=0)
            if counts.any():
                table[f"{task.name}:{name}"] = counts
    return table


def class_indices(task: Task, units: pd.DataFrame) -> pd.Series:
    """Return the class index of each unit's label; −1 for labels that the task leaves out."""
    labels = [task.class_index(label) for label in units["label"]]
    return pd.Series(labels, index=units.index, dtype="int64")


def draw(
    counts: pd.DataFrame, shares: Mapping[int, float], needs: Sequence[Sequence[int]], seed: int
) -> dict[str, int]:
    """Assign patients to bins.

    Parameters
    ----------
    counts
        Of :func:`composition`, shape (patients, 1 + classes).
    shares
        Bin → wanted share of everything; they sum to one. Their order breaks ties.
    needs
        Groups of bins, most important first: each group should get a patient of each class.
    seed
        Orders patients that are alike.

    Returns
    -------
    dict
        Patient → bin, every patient once; no bin is empty if there are enough patients.
    """
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
        best = min(range(len(bins)), key=lambda b: (round(state.cost(patient, b), 12), b))
        state.put(patient, best)
    return {str(name): bins[state.bin_of[i]] for i, name in enumerate(counts.index)}


class _Draw:
    """A partial assignment: the bin of each patient, and the share of each class in each bin.

    Parameters
    ----------
    values
        Shape (patients, columns).
    shares
        Shape (bins,).
    tie
        Shape (patients,): orders patients that are alike.
    """

    def __init__(self, values: NDArray[np.float64], shares: NDArray[np.float64], tie: NDArray[np.float64]) -> None:
        totals = values.sum(axis=0)
        presence = (values > 0) / np.maximum((values > 0).sum(axis=0), 1)
        # Amount of material and number of patients: one patient with much material must not stand for a class.
        self.weights = np.hstack([values / np.maximum(totals, 1.0), presence])
        self.shares = shares
        self.tie = tie
        self.filled = np.zeros((len(shares), self.weights.shape[1]))
        self.bin_of = np.full(len(values), -1)

    def put(self, patient: int, bin_: int) -> None:
        self.bin_of[patient] = bin_
        self.filled[bin_] += self.weights[patient]

    def cost(self, patient: int, bin_: int) -> float:
        """Return the change of the squared relative deviation from the wanted shares if *patient* goes to *bin_*."""
        before = self.filled[bin_] - self.shares[bin_]
        after = before + self.weights[patient]
        return float(((after**2 - before**2).sum()) / self.shares[bin_])

    def give_one(self, carries: NDArray[np.bool_], group: Sequence[int]) -> None:
        """Give an unassigned patient who *carries* a class to a group of bins that has none, if there is one.

        One patient is kept for each bin outside the group that is still empty.
        """
        held = np.isin(self.bin_of, group) & carries
        free = np.flatnonzero(carries & (self.bin_of < 0))
        empty = set(range(len(self.shares))) - set(self.bin_of.tolist()) - set(group)
        if held.any() or not len(free) or (self.bin_of < 0).sum() <= len(empty):
            return
        choices = [(round(self.cost(int(p), b), 12), float(self.tie[p]), b, int(p)) for p in free for b in group]
        _, _, bin_, patient = min(choices)
        self.put(patient, bin_)

    def order(self, present: NDArray[np.bool_]) -> list[int]:
        """Return unassigned patients: those with the rarest class first, then with most material, then by seed."""
        carriers = present.sum(axis=0)
        rarest = np.where(present, carriers, len(present) + 1).min(axis=1)
        # Steps of a factor of two: among patients of about the same size the seed decides.
        size = np.floor(np.log2(self.weights.sum(axis=1) * len(present) + 1e-9))
        return [int(p) for p in np.lexsort((self.tie, -size, rarest)) if self.bin_of[p] < 0]
