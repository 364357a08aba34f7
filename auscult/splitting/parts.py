"""Parts of the split: the publisher's where there is one, drawn patients elsewhere, and where additions go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auscult.core.errors import DataError
from auscult.core.sections import SplitParams
from auscult.core.tasks import Task
from auscult.splitting.additions import TEST, place
from auscult.splitting.assign import composition, draw
from auscult.splitting.pinned import Pinned

if TYPE_CHECKING:
    import pandas as pd

_FOLD = "fold"


@dataclass(frozen=True)
class Split:
    """The assignment, and where its test part comes from.

    Attributes
    ----------
    assignment
        Columns of ``ASSIGNMENT_COLUMNS``, sorted by recording.
    test_from
        ``publisher`` or ``drawn``.
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

    ``official`` decides what the publisher's parts mean:

    - ``corrected``: honoured; recordings that the data set's file exempts stand apart as ``exempt``;
    - ``published``: as printed, faults included: exempt recordings are in their published part, keep
      their reason, and the leak gate lets exactly these stand;
    - ``ignored``: patients are drawn by seed.

    A publisher's split without a test recording, and one that is ignored, has its
    test patients drawn. Patients that the publisher's split does not know are drawn
    into the folds: its test part stays comparable.

    All this is about the data set as downloaded. Recordings that came with additions
    (those with a ``batch``) move nobody: known patients keep their part and fold, new
    ones are placed one by one, by seed and id alone (:mod:`auscult.splitting.additions`). And once a
    patient has withdrawn nobody is drawn again: the others stay where *pinned* has them.

    Raises
    ------
    DataError
        Fewer patients than the parts need.
    """
    with_batch = recordings["batch"].notna()
    result = _split_downloaded(recordings[~with_batch], segments, tasks, params, pinned)
    return _with_additions(result, recordings[with_batch], params) if with_batch.any() else result


def _with_additions(result: Split, added: pd.DataFrame, params: SplitParams) -> Split:
    import pandas as pd

    fold = place(added, result.assignment, params, with_test=result.test_from == "drawn")
    part = _part_of(fold, params)
    part[fold == TEST] = "test"
    rows = added[["recording_id", "patient_id"]].assign(part=part, fold=fold, published_part=None, exempt_reason=None)
    both = pd.concat([result.assignment, rows.astype({"published_part": object, "exempt_reason": object})])
    return Split(both.sort_values("recording_id", ignore_index=True), result.test_from)


def _part_of(fold: pd.Series, params: SplitParams) -> pd.Series:
    return fold.map(lambda number: "validation" if number == params.validation_fold else "train").astype(object)


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
    if params.official == "ignored":
        reason = reason.where(reason.isna(), None)
    exempt = reason.notna() & (params.official == "corrected")
    official = params.official != "ignored" and bool(((published == "test") & ~exempt).any())
    in_test = (published == "test") & ~exempt if official else exempt & False
    test_patients = set(table.loc[in_test, "patient_id"])
    train_patients = set(table.loc[(published == "train") & ~exempt, "patient_id"]) if official else set()
    # A patient is the test part's only when no recording of theirs is for training; in a published
    # split that has both, each recording stays on its side and the leak gate judges it.
    only_test = test_patients - train_patients
    pins = None
    if pinned is not None:
        others = sorted(set(table.loc[~exempt, "patient_id"]) - only_test)
        pins = pinned.of(others, params, with_test=not official)
    drawn = (
        _draw(table[~exempt], segments, tasks, params, only_test, with_test=not official)
        if pins is None
        else {name: "test" if side == TEST else f"{_FOLD}{side}" for name, side in pins.items()}
    )
    bins = table["patient_id"].map(drawn)
    is_test = (bins == "test") | in_test
    if official:  # a recording without a published part follows its patient
        is_test |= published.isna() & table["patient_id"].isin(only_test)
    fold = bins.where(~(is_test | exempt) & bins.notna(), f"{_FOLD}-1").str.removeprefix(_FOLD).astype("int64")
    part = _part_of(fold, params)
    part[is_test] = "test"
    part[exempt] = "exempt"
    assignment = table[["recording_id", "patient_id"]].assign(
        part=part, fold=fold, published_part=published, exempt_reason=reason
    )
    return Split(assignment, "publisher" if official else "drawn")


def _draw(
    table: pd.DataFrame,
    segments: pd.DataFrame,
    tasks: Sequence[Task],
    params: SplitParams,
    test_patients: set[str],
    *,
    with_test: bool,
) -> dict[str, str]:
    """Patient → ``test`` or ``foldN``, for all patients but the publisher's test patients.

    Folds and test do not depend on which fold is for validation, so that the folds of
    a cross-validation are the same in all its runs; the first fold is served first
    with rare classes, since it is the default.
    """
    table = table[~table["patient_id"].isin(test_patients)]
    folds = [f"{_FOLD}{number}" for number in range(params.folds)]
    needed = len(folds) + with_test
    patients = int(table["patient_id"].nunique())
    if patients < needed:
        what = f"{patients} patients cannot fill {len(folds)} folds" + (" and a test part" if with_test else "")
        raise DataError(
            what,
            where="params.yaml: split.folds",
            next_step=f"set split.folds to at most {patients - with_test}"
            if patients - with_test >= 2
            else "add recordings of other patients",
        )
    used = segments[segments["recording_id"].isin(table["recording_id"])]
    counts = composition(table, used, tasks)
    rest = 1.0 - params.test_share if with_test else 1.0
    shares = {name: rest / len(folds) for name in folds}
    needs = [folds[1:], ["test"], folds[:1]] if with_test else [folds[1:], folds[:1]]
    if with_test:
        shares["test"] = params.test_share
    return draw(counts, shares, needs, params.seed)
