"""Sides that a withdrawal must not change.

The draw looks at all patients together: without one of them it would place others elsewhere, and models could no
longer be compared on the same test patients. So before the first patient leaves, everybody else's side is written
down, by key, in ``data/withdrawn/<dataset>.sides.json``; nobody is drawn while the split's parameters are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.sections import SplitParams
from auscult.core.storage import read_json, write_json
from auscult.core.withdrawals import Withdrawals
from auscult.splitting.additions import TEST, stranger

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Pinned:
    """Who stays where.

    Attributes
    ----------
    drawn_with
        The parameters of the split, and whether the test part was drawn, for which this holds.
    sides
        Key of the patient → fold, or :data:`~auscult.splitting.additions.TEST`. Of patients who were drawn; a publisher's
        test part needs no note.
    """

    dataset: str
    drawn_with: Mapping[str, Any] = field(default_factory=dict)
    sides: Mapping[str, int] = field(default_factory=dict)

    def of(self, patients: Iterable[str], params: SplitParams, *, with_test: bool) -> dict[str, int] | None:
        """The side of each of these patients, or ``None`` where they are to be drawn.

        A patient of whom nothing is written down is placed by a hash, as a new one in an addition is. Drawn they are
        with other parameters, and where a side would have nobody: then the data are others than those of the note.
        """
        if not self.sides or dict(self.drawn_with) != drawn_with(params, with_test=with_test):
            return None
        found = {
            name: self.sides.get(patient_key(self.dataset, name), stranger(name, params, with_test=with_test))
            for name in patients
        }
        wanted = {*range(params.folds), *([TEST] if with_test else [])}
        return found if set(found.values()) == wanted else None


def drawn_with(params: SplitParams, *, with_test: bool) -> dict[str, Any]:
    """What decides the draw, beside the patients. Which fold is for validation does not."""
    return params.model_dump(exclude={"validation_fold"}) | {"with_test": with_test}


def read(dataset: str, root: Path = Path()) -> Pinned:
    """What is written down for a data set; nothing before its first withdrawal.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = root / Paths(dataset).pinned_split
    if not path.exists():
        return Pinned(dataset)
    try:
        said = read_json(path)
        if not said:
            return Pinned(dataset)
        names = {side: TEST if side == "test" else int(side) for side in said["sides"]}
        sides = {str(key): names[side] for side, keys in said["sides"].items() for key in keys}
        return Pinned(dataset, dict(said["drawn_with"]), sides)
    except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path.name} does not hold the sides of patients", where=str(path), next_step=f"git checkout {path}"
        ) from error


def write(pinned: Pinned, root: Path = Path()) -> None:
    """Write it down, atomically: side → sorted keys."""
    names = {side: "test" if side == TEST else str(side) for side in sorted(set(pinned.sides.values()))}
    sides = {name: sorted(key for key, own in pinned.sides.items() if own == side) for side, name in names.items()}
    write_json(root / Paths(pinned.dataset).pinned_split, {"drawn_with": dict(pinned.drawn_with), "sides": sides})


def pin(assignment: pd.DataFrame, params: SplitParams, withdrawn: Withdrawals, *, with_test: bool) -> Pinned:
    """The sides of those who stay.

    Parameters
    ----------
    assignment
        Of the data set as downloaded, with the columns of ``ASSIGNMENT_COLUMNS``.
    with_test
        Whether the test part was drawn.
    """
    drawn = assignment[assignment["fold"] >= 0]
    if with_test:
        drawn = assignment[(assignment["fold"] >= 0) | (assignment["part"] == "test")]
    sides = drawn.groupby("patient_id")["fold"].max()
    kept = {
        patient_key(withdrawn.dataset, str(patient)): int(fold)
        for patient, fold in sides.items()
        if not withdrawn.holds(str(patient))
    }
    return Pinned(withdrawn.dataset, drawn_with(params, with_test=with_test), kept)
