"""Additions change nobody's part: known patients keep theirs, new ones are assigned by seed and id alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.core.errors import LeakError
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.near_duplicates import NearDuplicate
from auscult.splitting.parts import Split, split
from auscult.splitting.pinned import TEST, fold_by_hash
from auscult.splitting.summary import summarise
from tests.splitting.manifest_tables import TASKS, parameters, tables

Tables = tuple[pd.DataFrame, pd.DataFrame]


def population(size: int = 40) -> Tables:
    return tables({f"p{i:03d}": ("ill" if i % 4 == 0 else "well", ("normal", "crackle")) for i in range(size)})


def official(**exempt: str) -> Tables:
    """A published split: the last four of twenty for test; p000 in both parts, its second recording exempt."""
    patients = {f"p{i:03d}": ("ill" if i % 4 == 0 else "well", ("normal", "crackle")) for i in range(20)}
    published = {name: "test" if i >= 16 else "train" for i, name in enumerate(patients)}
    return tables(patients, published=published | {"p000_1": "test"}, exempt={"p000_1": "in both parts"} | exempt)


def with_batch(base: Tables, patients: Sequence[str], batch: str = "0123456789ab") -> Tables:
    """Add one more recording of each of these patients, as one addition."""
    added, segments = tables(dict.fromkeys(patients, ("ill", ("wheeze",))), recordings_each=1)
    for table in (added, segments):
        table["recording_id"] = table["recording_id"].str.replace("_0", f"_{batch}")
    added["audio_sha256"] = added["recording_id"]
    added["batch"] = batch
    return (
        pd.concat([base[0], added]).sort_values("recording_id", ignore_index=True),
        pd.concat([base[1], segments], ignore_index=True),
    )


def rows(result: Split) -> pd.DataFrame:
    return result.assignment.set_index("recording_id")


def digest(result: Split) -> str:
    table = result.assignment[["recording_id", "part", "fold"]]
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]


def test_assignment_without_additions_has_not_changed() -> None:
    # digests of the first assignments with folds that are each held out: others move patients to another fold or part
    assert digest(split(*population(), TASKS, parameters())) == "b92091ba5b80f350"
    assert digest(split(*official(), TASKS, parameters())) == "c9509733a1cf717a"


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True),
    st.integers(0, 1000),
    st.integers(2, 6),
    st.floats(0.05, 0.6),
    st.sampled_from(["drawn", "corrected", "published"]),
)
def test_additions_move_nobody_and_leak_nothing(
    numbers: list[int], seed: int, folds: int, share: float, version: str
) -> None:
    base = population(40) if version == "drawn" else official()
    params = parameters(
        seed=seed, folds=folds, test_share=share, official="published" if version == "published" else "corrected"
    )
    before = split(*base, TASKS, params)
    both = with_batch(base, [f"p{number:03d}" for number in numbers])
    after = split(*both, TASKS, params)
    pd.testing.assert_frame_equal(rows(after).loc[rows(before).index], rows(before))
    assert list(after.assignment["recording_id"]) == list(both[0]["recording_id"])
    gate(run_checks(after.assignment, both[0], []))
    new = after.assignment[~after.assignment["recording_id"].isin(before.assignment["recording_id"])]
    assert ((new["fold"] == TEST) == (new["part"] == "test")).all()
    assert set(new["part"]) <= {"development", "test"}
    assert new["fold"].max() < folds
    if version != "drawn":
        assert not set(new.loc[new["part"] == "test", "patient_id"]) - {"p016", "p017", "p018", "p019"}


def test_new_recording_of_a_known_patient_goes_to_the_patients_fold_or_part() -> None:
    base = population()
    before = rows(split(*base, TASKS, parameters()))
    tested = before.loc[before["part"] == "test", "patient_id"].iloc[0]
    third_fold = before.loc[before["fold"] == 2, "patient_id"].iloc[0]
    first_fold = before.loc[before["fold"] == 0, "patient_id"].iloc[0]
    after = rows(split(*with_batch(base, [tested, third_fold, first_fold], "b"), TASKS, parameters()))
    found = {
        name: (after.loc[f"{name}_b", "part"], after.loc[f"{name}_b", "fold"])
        for name in before["patient_id"].unique()
        if f"{name}_b" in after.index
    }
    assert found == {tested: ("test", -1), third_fold: ("development", 2), first_fold: ("development", 0)}


def test_part_of_a_new_patient_depends_on_no_other_addition_and_on_no_order() -> None:
    new = [f"s{number:02d}" for number in range(60)]
    base, params = population(), parameters()
    together = rows(split(*with_batch(base, new, "b"), TASKS, params))
    assert set(together.loc[[f"{name}_b" for name in new], "fold"]) == {-1, *range(params.folds)}
    for name in new[:6]:
        alone = rows(split(*with_batch(base, [name], "b"), TASKS, params))
        later = rows(split(*with_batch(with_batch(base, new[7:], "a"), [name], "b"), TASKS, params))
        smaller = rows(split(*with_batch(population(24), [name], "b"), TASKS, params))
        for other in (alone, later, smaller):
            assert list(other.loc[f"{name}_b", ["part", "fold"]]) == list(together.loc[f"{name}_b", ["part", "fold"]])


def test_new_patient_keeps_the_part_with_and_without_other_additions() -> None:
    base, params = population(), parameters()
    for name in ("s00", "s01", "s02", "s03"):
        first = with_batch(base, [name], "a")
        both = with_batch(first, [name], "b")
        found = rows(split(*both, TASKS, params)).loc[[f"{name}_a", f"{name}_b"]]
        withdrawn = rows(split(*with_batch(base, [name], "b"), TASKS, params)).loc[f"{name}_b"]
        assert found["part"].nunique() == 1 and found["fold"].nunique() == 1
        assert found["part"].iloc[1] == withdrawn["part"]


@pytest.mark.parametrize(("share", "folds"), [(0.25, 5), (0.1, 3)])
def test_new_patients_reach_the_wanted_shares(share: float, folds: int) -> None:
    params = parameters(test_share=share, folds=folds)
    patients = [str(number) for number in range(20_000)]
    drawn = Counter(fold_by_hash(name, params, with_test=True) for name in patients)
    assert drawn[TEST] / len(patients) == pytest.approx(share, abs=0.015)
    official = Counter(fold_by_hash(name, params, with_test=False) for name in patients)
    for fold in range(folds):
        assert drawn[fold] / len(patients) == pytest.approx((1 - share) / folds, abs=0.015)
        assert official[fold] / len(patients) == pytest.approx(1 / folds, abs=0.015)
    assert set(drawn) == {TEST, *range(folds)} and TEST not in official
    other = [fold_by_hash(name, parameters(seed=1), with_test=True) for name in patients[:200]]
    assert other != [fold_by_hash(name, parameters(seed=2), with_test=True) for name in patients[:200]]


def test_patient_with_an_exempt_recording_stays_in_a_fold() -> None:
    base = official()
    for version in ("corrected", "published"):
        params = parameters(official=version)
        after = rows(split(*with_batch(base, ["p000"], "b"), TASKS, params))
        assert after.loc["p000_b", "fold"] == after.loc["p000_0", "fold"] >= 0
        assert after.loc["p000_b", "part"] == "development"


@pytest.mark.parametrize("patient", [f"p{number:03d}" for number in range(10, 14)])
def test_patient_whose_recordings_are_all_exempt_is_for_development(patient: str) -> None:
    """Also if the test part is drawn. In a split as published, exempt and new recordings are in the test part."""
    base = official(**{f"{patient}_0": "intra-patient test", f"{patient}_1": "intra-patient test"})
    base[0].loc[base[0]["patient_id"] == patient, "published_part"] = "test"
    corrected = rows(split(*with_batch(base, [patient], "b"), TASKS, parameters(test_share=0.9)))
    assert corrected.loc[f"{patient}_b", "part"] == "development"
    published = rows(split(*with_batch(base, [patient], "b"), TASKS, parameters(official="published")))
    assert set(published.loc[published["patient_id"] == patient, "part"]) == {"test"}
    only_train = base[0].assign(
        published_part=base[0]["published_part"].where(base[0]["exempt_reason"].notna(), "train")
    )
    drawn = split(*with_batch((only_train, base[1]), [patient], "b"), TASKS, parameters(test_share=0.9))
    assert drawn.test_from == "drawn"
    assert rows(drawn).loc[f"{patient}_b", "part"] == "development"


def test_near_duplicate_in_an_addition_stops_the_pipeline() -> None:
    base = population()
    before = rows(split(*base, TASKS, parameters()))
    trained = before.index[before["part"] == "development"][0]
    tested = before.loc[before["part"] == "test", "patient_id"].iloc[0]
    both = with_batch(base, [tested], "b")
    pair = NearDuplicate(trained, f"{tested}_b", 40, 0.5, 1, 0.0)
    with pytest.raises(LeakError, match=f"{tested}_b") as caught:
        gate(run_checks(split(*both, TASKS, parameters()).assignment, both[0], [pair]))
    assert "data/added" in caught.value.next_step


def test_summary_counts_additions() -> None:
    both = with_batch(population(), ["p001", "p002", "s01"])
    result = split(*both, TASKS, parameters())
    summary = summarise(result, *both, TASKS, parameters(), [], [])
    assert summary["additions"] == {"recordings": 3, "known_patients": 2, "new_patients": 1}
