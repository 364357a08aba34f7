"""Patients whose fold is fixed instead of drawn: after a withdrawal or a correction, and in additions.

The draw looks at all patients and labels together: without one patient, or with another label, it would place others
elsewhere, and models could no longer be compared on the same test patients. Therefore, before the first patient is
withdrawn or the first label corrected, the folds of all others are written to ``data/withdrawn/<dataset>.sides.json``,
by patient key. They apply while the parameters of the split stay the same.

Additions change nobody's fold either. A patient known from the data set as downloaded keeps part and fold. The fold
of a new patient is a hash of ``split.seed`` and the patient's id, so it depends on no other patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.sections import SplitParams
from auscult.core.storage import read_json, write_json
from auscult.core.withdrawals import Withdrawals

#: Stands for the test part where a fold is expected.
TEST = -1


@dataclass(frozen=True)
class Pinned:
    """Fixed folds of the patients of one data set.

    Attributes
    ----------
    drawn_with
        The parameters of the split, and whether the test part was drawn, for which the folds apply.
    folds
        Patient key → fold or :data:`TEST`, of patients who were drawn. Patients of a publisher's test part
        are not listed.
    """

    dataset: str
    drawn_with: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, int] = field(default_factory=dict)

    def of(self, patients: Iterable[str], params: SplitParams, *, with_test: bool) -> dict[str, int] | None:
        """Return the fold of each patient, or ``None`` if the patients must be drawn.

        They must be drawn if the parameters differ, or if a fold would be empty: then the data are not those
        that the file was written for. A patient who is not listed is placed by hash, like a new one.
        """
        if not self.folds or dict(self.drawn_with) != drawn_with(params, with_test=with_test):
            return None
        found = {
            name: self.folds.get(patient_key(self.dataset, name), fold_by_hash(name, params, with_test=with_test))
            for name in patients
        }
        wanted = {*range(params.folds), *([TEST] if with_test else [])}
        return found if set(found.values()) == wanted else None


def drawn_with(params: SplitParams, *, with_test: bool) -> dict[str, Any]:
    """Return everything that decides the draw besides the patients."""
    return params.model_dump() | {"with_test": with_test}


def read(dataset: str, root: Path = Path()) -> Pinned:
    """Read the fixed folds of a data set; there are none before its first withdrawal or correction.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = root / Paths(dataset).pinned_split
    if not path.exists():
        return Pinned(dataset)
    try:
        content = read_json(path)
        if not content:
            return Pinned(dataset)
        folds = {
            str(key): TEST if name == "test" else int(name) for name, keys in content["sides"].items() for key in keys
        }
        return Pinned(dataset, dict(content["drawn_with"]), folds)
    except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path.name} does not hold the folds of patients", where=str(path), next_step=f"git checkout {path}"
        ) from error


def write(pinned: Pinned, root: Path = Path()) -> None:
    """Write the fixed folds atomically, as fold → sorted patient keys."""
    keys = {
        "test" if fold == TEST else str(fold): sorted(key for key, own in pinned.folds.items() if own == fold)
        for fold in sorted(set(pinned.folds.values()))
    }
    write_json(root / Paths(pinned.dataset).pinned_split, {"drawn_with": dict(pinned.drawn_with), "sides": keys})


def pin(assignment: pd.DataFrame, params: SplitParams, withdrawn: Withdrawals, *, with_test: bool) -> Pinned:
    """Fix the folds of all drawn patients who have not withdrawn.

    Parameters
    ----------
    assignment
        Of the data set as downloaded, with the columns of ``ASSIGNMENT_COLUMNS``.
    with_test
        Whether the test part was drawn.
    """
    drawn = assignment["fold"] >= 0
    if with_test:
        drawn |= assignment["part"] == "test"
    folds = assignment[drawn].groupby("patient_id")["fold"].max()
    kept = {
        patient_key(withdrawn.dataset, str(patient)): int(fold)
        for patient, fold in folds.items()
        if not withdrawn.holds(str(patient))
    }
    return Pinned(withdrawn.dataset, drawn_with(params, with_test=with_test), kept)


def folds_of_additions(
    added: pd.DataFrame, downloaded: pd.DataFrame, params: SplitParams, *, with_test: bool
) -> pd.Series:
    """Return the fold of each recording of the additions; :data:`TEST` means the test part.

    Parameters
    ----------
    added
        Rows of the manifest that have a ``batch``.
    downloaded
        Assignment of all other recordings, with the columns of ``ASSIGNMENT_COLUMNS``.
    with_test
        Whether the test part was drawn. A publisher's test part gets no new patient, so that metrics on it
        stay comparable.

    Returns
    -------
    Series
        Integers, with the index of *added*.

    Notes
    -----
    Exempt recordings are test recordings of the publisher whose patient is also in its training part. The
    patient's other recordings decide. If there are none, new recordings go to a fold, never to the test part;
    only in a split taken as published are the exempt ones in the test part, and new ones join them there.
    """
    # A published split may have one patient in both parts; then the training fold counts, as the larger number.
    known = downloaded[downloaded["part"] != "exempt"].groupby("patient_id")["fold"].max()
    exempt = set(downloaded.loc[downloaded["part"] == "exempt", "patient_id"])
    folds = {
        patient: int(known[patient])
        if patient in known.index
        else fold_by_hash(patient, params, with_test=with_test and patient not in exempt)
        for patient in added["patient_id"].unique()
    }
    return added["patient_id"].map(folds).astype("int64")


def fold_by_hash(patient_id: str, params: SplitParams, *, with_test: bool) -> int:
    """Return the fold of a patient who is not in the data set as downloaded; :data:`TEST` for the test part.

    The first 53 bits of SHA-256 of seed and id give a number that is uniform in [0, 1) among patients. The
    test part takes ``test_share`` of that range if *with_test*, the folds share the rest equally.
    """
    key = hashlib.sha256(f"{params.seed}/{patient_id}".encode()).digest()
    # 53 bits, as many as a float has: more could round up to one, which lies in no fold.
    number = (int.from_bytes(key[:8], "big") >> 11) / 2.0**53
    if with_test:
        if number < params.test_share:
            return TEST
        number = (number - params.test_share) / (1.0 - params.test_share)
    return min(int(number * params.folds), params.folds - 1)
