"""Sides of recordings that came with additions: they follow their patient, and nobody moves because of them.

The parts are drawn over the data set as downloaded, as if there were no additions. Then a
patient who is known there keeps part and fold. A patient who is new is placed by a hash of
``split.seed`` and the patient's id and of nothing else, so that later deliveries, withdrawals
and other patients never move anybody.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from auscult.core.sections import SplitParams

if TYPE_CHECKING:
    import pandas as pd

#: In place of a fold: the test part.
TEST = -1


def place(added: pd.DataFrame, downloaded: pd.DataFrame, params: SplitParams, *, with_test: bool) -> pd.Series:
    """Fold of each recording of additions; :data:`TEST` in the test part.

    Parameters
    ----------
    added
        Rows of the manifest that have a ``batch``.
    downloaded
        The assignment of all others, with the columns of ``ASSIGNMENT_COLUMNS``.
    with_test
        Whether the test part was drawn. A publisher's gets no patient that it did not have: its figures
        stay comparable.

    Returns
    -------
    Series
        Integers, with the index of *added*.

    Notes
    -----
    Exempt recordings are those that the publisher has on the test side though their patient is for
    training. The patient's others decide; where there is none, new recordings go to a fold and never to
    the test part. Only a split taken as published has the exempt ones in the test part: where the patient
    has no other, new ones join them there.
    """
    known = _known(downloaded)
    exempt = set(downloaded.loc[downloaded["part"] == "exempt", "patient_id"])
    folds = {
        patient: known.get(patient, stranger(patient, params, with_test=with_test and patient not in exempt))
        for patient in added["patient_id"].unique()
    }
    return added["patient_id"].map(folds).astype("int64")


def stranger(patient_id: str, params: SplitParams, *, with_test: bool) -> int:
    """Fold of a patient whom the data set as downloaded does not know; :data:`TEST` for the test part.

    A number that is uniform in [0, 1) among patients, the first 53 bits of SHA-256 of seed and id, is
    held against the shares: ``test_share`` for the test part where *with_test*, then the folds, equally.
    """
    key = hashlib.sha256(f"{params.seed}/{patient_id}".encode()).digest()
    # 53 bits, as many as a float has: more could round up to one, which lies in no fold.
    number = (int.from_bytes(key[:8], "big") >> 11) / 2.0**53
    if with_test:
        if number < params.test_share:
            return TEST
        number = (number - params.test_share) / (1.0 - params.test_share)
    return min(int(number * params.folds), params.folds - 1)


def _known(downloaded: pd.DataFrame) -> dict[str, int]:
    """Patient → fold or :data:`TEST`, of everybody with a recording in a part."""
    table = downloaded[downloaded["part"] != "exempt"]
    # On both sides (published as printed, exempt recordings are in the test part): the training side counts.
    return {str(patient): int(fold) for patient, fold in table.groupby("patient_id")["fold"].max().items()}
