"""What the figures do not mean follows from the data and the outcomes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.reporting.report.dataset import Tables
from auscult.reporting.report.limits import limits
from auscult.reporting.report.wording import Verdict


def tables(part: str, reason: str | None) -> Tables:
    recordings = pd.DataFrame(
        {
            "recording_id": ["156_a", "156_b", "101_a"],
            "patient_id": ["156", "156", "101"],
            "part": ["train", part, "test"],
            "exempt_reason": [reason, reason, None],
        }
    )
    none = pd.DataFrame()
    return Tables(recordings, none, none, (), {"dataset": "icbhi"}, {})


def experiment(name: str, outcome: str, level: Any = "doubtful") -> dict[str, Any]:
    differences = [{"key": "metadata_only", "outcome": outcome}]
    return {"name": name, "differences": differences, "exempt": None, "verdict": Verdict(level, "", ())}


def test_patients_whom_a_published_split_has_on_both_sides_are_owned_up_to() -> None:
    shared = tables("test", "on both sides")
    assert shared.shared()["recording_id"].tolist() == ["156_b"]
    assert "1 recordings of 1 patients of the test part" in " ".join(limits(shared, []))
    apart = tables("exempt", "on both sides")
    assert apart.shared().empty
    assert "of the test part stand" not in " ".join(limits(apart, []))


def test_what_cannot_be_told_apart_is_not_called_explained() -> None:
    cases = [experiment("level", "unclear"), experiment("lower", "worse"), experiment("none", "unclear", "unknown")]
    said = {
        line.split(" is not shown")[0]: line for line in limits(tables("test", None), cases) if "shown to beat" in line
    }
    assert set(said) == {"level", "lower"}
    assert "cannot tell it from" in said["level"]
    assert "tell more" in said["lower"]
