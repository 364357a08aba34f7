"""The leak gate: nothing of one patient on two of train, validation and test.

Checked are patients, recordings, equal audio and twins. Windows and segments need no
check of their own: they take their part from their recording, by its id. Recordings
that the data set's file exempts by name are let stand and are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auscult.core.errors import LeakError
from auscult.splitting.near_duplicates import Twin

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20


@dataclass(frozen=True)
class Check:
    """One check of the gate.

    Attributes
    ----------
    name
        ``patients``, ``recordings``, ``audio`` or ``twins``.
    compared
        How many were looked at.
    leaks
        What stands on two sides, in words; the stage fails unless it is empty.
    exempt
        The same among recordings that the data set's file exempts.
    """

    name: str
    compared: int
    leaks: tuple[str, ...]
    exempt: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.name,
            "compared": self.compared,
            "leaks": list(self.leaks),
            "exempt": list(self.exempt),
        }


def run_checks(assignment: pd.DataFrame, recordings: pd.DataFrame, twins: Sequence[Twin]) -> list[Check]:
    """Every check, passed or not.

    Parameters
    ----------
    assignment
        Columns of ``ASSIGNMENT_COLUMNS``.
    recordings
        The manifest, for ``audio_sha256``.
    twins
        Of :func:`auscult.splitting.near_duplicates.find_twins`.
    """
    exempt = assignment["exempt_reason"].notna() | (assignment["part"] == "exempt")
    bound = assignment[~exempt]
    audio = bound.merge(recordings[["recording_id", "audio_sha256"]], on="recording_id", how="left")
    return [
        Check(
            "patients",
            int(assignment["patient_id"].nunique()),
            *_two_sides(assignment, exempt, "patient_id", "patient"),
        ),
        Check("recordings", len(assignment), *_two_sides(assignment, exempt, "recording_id", "recording")),
        Check("audio", len(audio), _same_audio(audio)),
        Check("twins", len(assignment), *_twins(assignment, exempt, twins)),
    ]


def gate(checks: Sequence[Check]) -> None:
    """Let a clean split through.

    Raises
    ------
    LeakError
        Naming each patient, recording or pair that stands on two sides.
    """
    leaks = [leak for check in checks for leak in check.leaks]
    if not leaks:
        return
    lines = [f"  {leak}" for leak in leaks[:_SHOWN]]
    if len(leaks) > _SHOWN:
        lines.append(f"  … and {len(leaks) - _SHOWN} more")
    raise LeakError(
        f"the split leaks: {len(leaks)} stand on two sides\n" + "\n".join(lines),
        where="params.yaml: split",
        next_step="withdraw one of each pair from the copy, or the addition that brought it (dvc remove"
        " data/added/<dataset>/<batch>.dvc), or give both the same patient; where the publisher's split itself is at"
        " fault, name the recordings as exempt in the data set's file; where patients are drawn, another split.seed"
        " may keep a pair on one side",
    )


def _two_sides(
    assignment: pd.DataFrame, exempt: pd.Series, column: str, noun: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    leaks = [f"{noun} {name}: {_sides(rows)}" for name, rows in _mixed(assignment[~exempt], column)]
    named = [f"{noun} {name}: {_sides(rows)}" for name, rows in _mixed(assignment, column) if exempt[rows.index].any()]
    return tuple(leaks), tuple(named)


def _mixed(table: pd.DataFrame, column: str) -> Iterable[tuple[Any, pd.DataFrame]]:
    """The groups of *column* that stand in more than one part: counted all at once, as there are thousands."""
    return table[table.groupby(column)["part"].transform("nunique") > 1].groupby(column)


def _sides(rows: pd.DataFrame) -> str:
    """Each part with its recordings, such as ``test (a, b), train (c)``."""
    sides = []
    for part, group in rows.groupby("part"):
        names = sorted(group["recording_id"])
        more = f", {len(names) - 3} more" if len(names) > 3 else ""
        sides.append(f"{part} ({', '.join(names[:3])}{more})")
    return ", ".join(sides)


def _same_audio(audio: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"the same audio: {_sides(rows)}" for _, rows in _mixed(audio, "audio_sha256"))


def _twins(
    assignment: pd.DataFrame, exempt: pd.Series, twins: Sequence[Twin]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    part = dict(zip(assignment["recording_id"], assignment["part"], strict=True))
    excused = set(assignment.loc[exempt, "recording_id"])
    leaks: list[str] = []
    named: list[str] = []
    for twin in twins:
        if part[twin.first] == part[twin.second]:
            continue
        text = f"{twin.first} ({part[twin.first]}) and {twin.second} ({part[twin.second]}) hold the same sound: {twin}"
        (named if {twin.first, twin.second} & excused else leaks).append(text)
    return tuple(leaks), tuple(named)
