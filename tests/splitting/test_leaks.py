"""Each leak check alone: patients, recordings, equal audio and near-duplicates in two parts."""

from __future__ import annotations

import pandas as pd
import pytest

from auscult.core.errors import LeakError
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.near_duplicates import NearDuplicate


def assignment(**changes: list[object]) -> pd.DataFrame:
    """Four recordings of four patients, two in training and two in the test part."""
    table = {
        "recording_id": ["a", "b", "c", "d"],
        "patient_id": ["1", "2", "3", "4"],
        "part": ["train", "train", "test", "test"],
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


def test_a_patient_in_two_parts_is_a_leak() -> None:
    assert leaking(assignment(patient_id=["1", "2", "2", "4"])) == ["patients"]


def test_the_same_audio_in_two_parts_is_a_leak() -> None:
    assert leaking(assignment(), recordings("w", "x", "x", "z")) == ["audio"]


def test_the_same_audio_in_one_part_is_no_leak() -> None:
    assert leaking(assignment(), recordings("w", "w", "y", "z")) == []


def test_a_near_duplicate_in_two_parts_is_a_leak() -> None:
    assert leaking(assignment(), pairs=(NearDuplicate("b", "c", 40, 0.5, 2, 0.0),)) == ["near_duplicates"]
    assert leaking(assignment(), pairs=(NearDuplicate("a", "b", 40, 0.5, 2, 0.0),)) == []


def test_exempt_recordings_are_no_leak() -> None:
    exempt = assignment(patient_id=["1", "2", "2", "4"], exempt_reason=[None, None, "the publisher's split", None])
    assert leaking(exempt, recordings("w", "x", "x", "z")) == []
