"""The leak check: nothing of one patient may be in two folds, or in the development and the test part.

It compares patients, recordings, equal audio and near-duplicates. Windows and segments need no check of their
own, as they take the part of their recording. Recordings that the data set's file exempts by name are allowed
and listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from auscult.core.errors import LeakError
from auscult.splitting.near_duplicates import NearDuplicate

_SHOWN = 20


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    check
        ``patients``, ``recordings``, ``audio`` or ``near_duplicates``.
    compared
        Number of items compared.
    leaks
        Description of everything that is on two sides; the stage fails unless it is empty.
    exempt
        The same for recordings that the data set's file exempts.
    """

    check: str
    compared: int
    leaks: tuple[str, ...]
    exempt: tuple[str, ...] = ()


def run_checks(
    assignment: pd.DataFrame, recordings: pd.DataFrame, near_duplicates: Sequence[NearDuplicate]
) -> list[Check]:
    """Run every check and return the results.

    Parameters
    ----------
    assignment
        Columns of ``ASSIGNMENT_COLUMNS``.
    recordings
        The manifest, for ``audio_sha256``.
    near_duplicates
        Of :func:`auscult.splitting.near_duplicates.find_near_duplicates`.
    """
    assignment = assignment.assign(side=sides(assignment))
    exempt = assignment["exempt_reason"].notna() | (assignment["part"] == "exempt")
    bound = assignment[~exempt]
    audio = bound.merge(recordings[["recording_id", "audio_sha256"]], on="recording_id", how="left")
    same_audio = tuple(f"the same audio: {_by_side(rows)}" for _, rows in _mixed(audio, "audio_sha256"))
    patients = int(assignment["patient_id"].nunique())
    return [
        Check("patients", patients, *_on_two_sides(assignment, exempt, "patient")),
        Check("recordings", len(assignment), *_on_two_sides(assignment, exempt, "recording")),
        Check("audio", len(audio), same_audio),
        Check("near_duplicates", len(assignment), *_near_duplicates(assignment, exempt, near_duplicates)),
    ]


def sides(assignment: pd.DataFrame) -> pd.Series:
    """Return what each recording must not share a patient across: its fold, or its part outside the folds."""
    return assignment["part"].where(assignment["fold"] < 0, "fold " + assignment["fold"].astype(str)).astype(object)


def gate(checks: Sequence[Check]) -> None:
    """Raise if any check found a leak.

    Raises
    ------
    LeakError
        The message lists the patients, recordings or pairs that are on two sides.
    """
    leaks = [leak for check in checks for leak in check.leaks]
    if not leaks:
        return
    lines = [f"  {leak}" for leak in leaks[:_SHOWN]]
    if len(leaks) > _SHOWN:
        lines.append(f"  … and {len(leaks) - _SHOWN} more")
    raise LeakError(
        f"the split has {len(leaks)} leaks between its folds and parts\n" + "\n".join(lines),
        where="params.yaml: split",
        next_step="remove one recording of each pair from the copy, or the addition that brought it (dvc remove"
        " data/added/<dataset>/<batch>.dvc), or give both the same patient; if the publisher's split itself is"
        " wrong, name the recordings as exempt in the data set's file; if patients are drawn, another split.seed"
        " may put a pair into one fold",
    )


def _on_two_sides(assignment: pd.DataFrame, exempt: pd.Series, noun: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Describe the patients or recordings that are on two sides: leaks, and those with an exempt recording."""

    def described(table: pd.DataFrame, exempt_only: bool) -> tuple[str, ...]:
        groups = _mixed(table, f"{noun}_id")
        return tuple(
            f"{noun} {name}: {_by_side(rows)}" for name, rows in groups if not exempt_only or exempt[rows.index].any()
        )

    return described(assignment[~exempt], exempt_only=False), described(assignment, exempt_only=True)


def _mixed(table: pd.DataFrame, column: str) -> Iterable[tuple[Any, pd.DataFrame]]:
    """Return the groups of *column* that are on more than one side, counted all at once, as there are thousands."""
    return table[table.groupby(column)["side"].transform("nunique") > 1].groupby(column)


def _by_side(rows: pd.DataFrame) -> str:
    """List recordings by side, such as ``fold 0 (a, b), test (c)``."""
    parts = []
    for side, group in rows.groupby("side"):
        names = sorted(group["recording_id"])
        more = f", {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{side} ({', '.join(names[:3])}{more})")
    return ", ".join(parts)


def _near_duplicates(
    assignment: pd.DataFrame, exempt: pd.Series, pairs: Sequence[NearDuplicate]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    side = dict(zip(assignment["recording_id"], assignment["side"], strict=True))
    excused = set(assignment.loc[exempt, "recording_id"])
    leaks: list[str] = []
    allowed: list[str] = []
    for pair in pairs:
        first, second = pair.first, pair.second
        if side[first] != side[second]:
            text = f"{first} ({side[first]}) and {second} ({side[second]}) contain the same sound: {pair}"
            (allowed if {first, second} & excused else leaks).append(text)
    return tuple(leaks), tuple(allowed)
