"""A cohort as the test part: the newest patients, or those of one device, location or period."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.core.cohorts import PERIODS, periods
from auscult.core.errors import DataError, ParameterError
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.parts import Split, split
from tests.splitting.manifest_tables import TASKS, parameters, tables

Manifest = tuple[pd.DataFrame, pd.DataFrame]


def manifest(patients: int = 40, published: bool = False) -> Manifest:
    """Patients in the order of their recording; every fifth is recorded with device B in one of two recordings."""
    people = {f"p{n:03d}": ("ill" if n % 3 else "well", ("normal", "crackle")) for n in range(patients)}
    parts = {name: "test" if n < 10 else "train" for n, name in enumerate(people)} if published else None
    recordings, segments = tables(people, published=parts)
    number = recordings["patient_id"].str[1:].astype(int)
    second = recordings["recording_id"].str.endswith("_1")
    device = np.where((number % 5 == 0) & second, "B", "A")
    return recordings.assign(sequence=pd.array(number, dtype="Int64"), device=device, location="Tc"), segments


def parts(result: Split) -> dict[str, set[str]]:
    return {str(part): set(rows["patient_id"]) for part, rows in result.assignment.groupby("part")}


@pytest.mark.parametrize("published", [False, True])
def test_the_newest_patients_are_the_test_part_whatever_the_publisher_says(published: bool) -> None:
    recordings, segments = manifest(published=published)
    result = split(recordings, segments, TASKS, parameters(test="newest", test_share=0.25))
    found = parts(result)
    assert result.test_from == "newest"
    assert found == {
        "test": {f"p{n:03d}" for n in range(30, 40)},
        "development": {f"p{n:03d}" for n in range(30)},
    }
    assert set(result.assignment.loc[result.assignment["part"] == "development", "fold"]) == set(range(5))
    gate(run_checks(result.assignment, recordings, []))


def test_all_recordings_of_a_patient_are_held_out_with_the_one_of_the_cohort() -> None:
    recordings, segments = manifest()
    result = split(recordings, segments, TASKS, parameters(test="cohort:B"))
    assert result.test_from == "cohort:B"
    assert parts(result)["test"] == {f"p{n:03d}" for n in range(0, 40, 5)}
    assert (result.assignment["part"] == "test").sum() == 16
    gate(run_checks(result.assignment, recordings, []))


def test_a_period_is_a_cohort() -> None:
    recordings, segments = manifest()
    found = parts(split(recordings, segments, TASKS, parameters(test="cohort:period 1")))
    assert found["test"] == {f"p{n:03d}" for n in range(10)}


def test_an_unknown_cohort_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"'C'") as caught:
        split(*manifest(), TASKS, parameters(test="cohort:C"))
    assert "period 4" in str(caught.value) and "Tc" in str(caught.value)


def test_a_cohort_of_all_patients_is_an_error() -> None:
    with pytest.raises(DataError, match="every patient"):
        split(*manifest(), TASKS, parameters(test="cohort:Tc"))


def test_newest_needs_the_order_of_the_recordings() -> None:
    recordings, segments = manifest()
    with pytest.raises(DataError, match="order of the recordings is unknown"):
        split(
            recordings.assign(sequence=pd.array([pd.NA] * 80, dtype="Int64")),
            segments,
            TASKS,
            parameters(test="newest"),
        )


def test_periods_have_equal_numbers_of_patients_and_follow_each_patients_first_recording() -> None:
    table = pd.DataFrame({"patient_id": [f"p{n % 8}" for n in range(24)], "sequence": range(24)})
    found = periods(table)
    assert found.groupby(table["patient_id"]).nunique().eq(1).all()
    first = dict(zip(table["patient_id"], found, strict=True))
    assert [first[f"p{n}"] for n in range(8)] == [f"period {1 + n // 2}" for n in range(8)] and PERIODS == 4
    unknown = table.assign(sequence=pd.array([pd.NA] * 3 + list(range(21)), dtype="Int64"))
    alone = periods(unknown.iloc[:3])
    assert alone.isna().all()
