"""Each leak check alone: patients, recordings, equal audio and near-duplicates on two sides."""

from __future__ import annotations

import pandas as pd
import pytest

from auscult.core.errors import LeakError
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.near_duplicates import NearDuplicate


def assignment(**changes: list[object]) -> pd.DataFrame:
    """Four recordings of four patients, one in each of two folds and two in the test part."""
    table = {
        "recording_id": ["a", "b", "c", "d"],
        "patient_id": ["1", "2", "3", "4"],
        "part": ["development", "development", "test", "test"],
        "fold": [0, 1, -1, -1],
        "exempt_reason": [None, None, None, None],
    }
    return pd.DataFrame(table | changes)


def recordings(*audio: str) -> pd.DataFrame:
    return pd.DataFrame({"recording_id": ["a", "b", "c", "d"], "audio_sha256": list(audio)})


DIFFERENT = recordings("w", "x", "y", "z")


def leaking(table: pd.DataFrame, about: pd.DataFrame = DIFFERENT, pairs: tuple[NearDuplicate, ...] = ()) -> list[str]:
    checks = run_checks(table, about, pairs)
    found = [check.check for check in checks if check.leaks]
    if found:
        with pytest.raises(LeakError):
            gate(checks)
    else:
        gate(checks)
    return found


def test_patients_apart_are_no_leak() -> None:
    assert leaking(assignment()) == []


#: The first two recordings in one fold.
ONE_FOLD: dict[str, list[object]] = {"fold": [1, 1, -1, -1]}
#: Pairs of recordings: of a fold and the test part, of two folds, and of the test part.
ACROSS_PARTS, ACROSS_FOLDS, INSIDE = (1, 2), (0, 1), (2, 3)


def shared(values: str, pair: tuple[int, int]) -> list[object]:
    """Four values, of which a pair is equal."""
    return [values[pair[0]] if n in pair else value for n, value in enumerate(values)]


@pytest.mark.parametrize("pair", [ACROSS_PARTS, ACROSS_FOLDS])
def test_a_patient_on_two_sides_is_a_leak(pair: tuple[int, int]) -> None:
    assert leaking(assignment(patient_id=shared("1234", pair))) == ["patients"]


@pytest.mark.parametrize("pair", [ACROSS_PARTS, ACROSS_FOLDS])
def test_the_same_audio_on_two_sides_is_a_leak(pair: tuple[int, int]) -> None:
    assert leaking(assignment(), recordings(*map(str, shared("wxyz", pair)))) == ["audio"]


@pytest.mark.parametrize("pair", [ACROSS_PARTS, ACROSS_FOLDS])
def test_a_near_duplicate_on_two_sides_is_a_leak(pair: tuple[int, int]) -> None:
    first, second = ("abcd"[n] for n in pair)
    assert leaking(assignment(), pairs=(NearDuplicate(first, second, 40, 0.5, 2, 0.0),)) == ["near_duplicates"]


def test_the_same_patient_or_audio_in_one_fold_or_in_the_test_part_is_no_leak() -> None:
    for pair, changes in ((ACROSS_FOLDS, ONE_FOLD), (INSIDE, {})):
        first, second = ("abcd"[n] for n in pair)
        audio = recordings(*map(str, shared("wxyz", pair)))
        near = (NearDuplicate(first, second, 40, 0.5, 2, 0.0),)
        assert leaking(assignment(patient_id=shared("1234", pair), **changes), audio, near) == []


def test_the_message_names_the_folds() -> None:
    with pytest.raises(LeakError, match=r"fold 0 \(a\), fold 1 \(b\)"):
        gate(run_checks(assignment(patient_id=["1", "1", "3", "4"]), DIFFERENT, []))


def test_exempt_recordings_are_no_leak() -> None:
    exempt = assignment(patient_id=["1", "2", "2", "4"], exempt_reason=[None, None, "the publisher's split", None])
    assert leaking(exempt, recordings("w", "x", "x", "z")) == []
