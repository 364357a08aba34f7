"""Parts are assigned by patient, resemble the whole, and follow the publisher."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.core.errors import DataError, LeakError
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.parts import Split, split
from auscult.splitting.summary import summarise
from tests.splitting.manifest_tables import TASKS, parameters, tables

SOUNDS = ("normal", "crackle", "wheeze")
populations = st.lists(
    st.tuples(st.sampled_from(["well", "ill"]), st.lists(st.sampled_from(SOUNDS), max_size=6)), min_size=8, max_size=40
).map(lambda patients: {f"p{i:02d}": patient for i, patient in enumerate(patients)})


def population(size: int) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Patients of whom a quarter are ill and have crackles; every twelfth, but at least three, have wheezes."""
    wheezing = {i for i in range(size) if i % 12 == 0} | {0, 1, 2}
    return {
        f"p{i:03d}": (
            "ill" if i % 4 == 0 else "well",
            ("normal", "crackle" if i % 4 == 0 else "normal") + ("wheeze",) * (i in wheezing),
        )
        for i in range(size)
    }


def patients_by_part(result: Split) -> dict[str, set[str]]:
    """Part → patients."""
    return {str(part): set(rows["patient_id"]) for part, rows in result.assignment.groupby("part")}


@settings(max_examples=30, deadline=None)
@given(populations, st.integers(0, 1000), st.integers(2, 6), st.floats(0.1, 0.5))
def test_parts_share_no_patient_and_lose_no_recording(patients, seed, folds, share) -> None:  # type: ignore[no-untyped-def]
    recordings, segments = tables(patients)
    result = split(recordings, segments, TASKS, parameters(seed=seed, folds=folds, test_share=share))
    found = patients_by_part(result)
    assert set(found) == {"development", "test"}
    assert sum(len(members) for members in found.values()) == len(patients)
    assert list(result.assignment["recording_id"]) == list(recordings["recording_id"])
    assert (result.assignment.groupby("patient_id")["fold"].nunique() == 1).all()
    assert result.assignment["fold"].between(-1, folds - 1).all()
    assert ((result.assignment["fold"] == -1) == (result.assignment["part"] == "test")).all()
    gate(run_checks(result.assignment, recordings, []))


@pytest.mark.parametrize("size", [12, 30, 126, 251])
def test_every_class_has_patients_in_both_parts(size: int) -> None:
    recordings, segments = tables(population(size))
    result = split(recordings, segments, TASKS, parameters())
    summary = summarise(result, recordings, segments, TASKS, parameters(), [], [])
    assert summary["notes"] == []
    assert sum(part["patients"] for part in summary["parts"].values()) == size
    assert sum(fold["patients"] for fold in summary["folds"]) == size - summary["parts"]["test"]["patients"]
    assert sum(fold["recordings"] for fold in summary["folds"]) == (result.assignment["fold"] >= 0).sum()
    assert [fold["fold"] for fold in summary["folds"]] == list(range(parameters().folds))


@pytest.mark.parametrize("folds", [3, 5])
def test_test_part_and_every_fold_resemble_the_whole(folds: int) -> None:
    recordings, segments = tables(population(200))
    fold = split(recordings, segments, TASKS, parameters(folds=folds)).assignment["fold"]
    ill = recordings["label"] == "ill"
    assert (fold == -1).mean() == pytest.approx(0.25, abs=0.02)
    for number in range(folds):
        assert (fold == number).mean() == pytest.approx(0.75 / folds, abs=0.02)
        assert ill[fold == number].mean() == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("official", ["corrected", "ignored"])
@pytest.mark.parametrize("wheezing", [2, 3, 4, 5, 6])
def test_a_rare_class_is_spread_over_the_folds(official: str, wheezing: int) -> None:
    """Each fold is held out once, so a class in one fold only would be missing from that model's training."""
    people = {f"p{i:03d}": ("well", ("normal", "wheeze" if i < wheezing else "crackle")) for i in range(40)}
    published = {name: "test" if i >= 30 else "train" for i, name in enumerate(people)}
    recordings, segments = tables(people, published=published)
    result = split(recordings, segments, TASKS, parameters(folds=5, official=official))
    has_wheeze = set(segments.loc[segments["label"] == "wheeze", "patient_id"])
    found = result.assignment[result.assignment["patient_id"].isin(has_wheeze)].groupby("patient_id")["fold"].first()
    folds = found[found >= 0]
    assert folds.nunique() >= 2, "of two patients each is held out once and learned from otherwise"
    assert folds.value_counts().max() <= math.ceil(wheezing / 5), "spread evenly"
    if result.test_from == "drawn" and wheezing >= 3:
        assert (found == -1).any(), "the test part has one as well"


@pytest.mark.parametrize(("patients", "folds"), [(8, 6), (8, 7), (12, 6), (40, 6)])
def test_no_fold_is_empty(patients: int, folds: int) -> None:
    sounds = [("normal",), ("crackle", "normal"), ("wheeze",), ()]
    people = {f"p{i:03d}": ("ill" if i % 2 else "well", sounds[i % 4]) for i in range(patients)}
    for seed in range(5):
        result = split(*tables(people), TASKS, parameters(folds=folds, seed=seed))
        assert set(result.assignment["fold"]) == {-1, *range(folds)}


def test_same_seed_gives_the_same_parts() -> None:
    recordings, segments = tables(population(60))
    first, again, other = (patients_by_part(split(recordings, segments, TASKS, parameters(seed=s))) for s in (1, 1, 2))
    assert first == again
    assert first["test"] != other["test"]


def test_order_of_rows_changes_nothing() -> None:
    recordings, segments = tables(population(60))
    result = split(recordings, segments, TASKS, parameters())
    shuffled = split(
        recordings.sample(frac=1, random_state=1), segments.sample(frac=1, random_state=2), TASKS, parameters()
    )
    pd.testing.assert_frame_equal(result.assignment, shuffled.assignment)


def test_error_names_the_largest_possible_number_of_folds() -> None:
    recordings, segments = tables(population(5))
    with pytest.raises(DataError, match="5 patients") as caught:
        split(recordings, segments, TASKS, parameters())
    assert "at most 4" in str(caught.value)


def official(size: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A published split: the last four patients for test; p000 in both parts, its second recording exempt."""
    people = population(size)
    published = {name: "test" if i >= size - 4 else "train" for i, name in enumerate(people)}
    return tables(people, published=published | {"p000_1": "test"}, exempt={"p000_1": "in both parts"})


def test_published_split_is_kept_and_exempt_recordings_form_a_part() -> None:
    recordings, segments = official()
    result = split(recordings, segments, TASKS, parameters())
    found = patients_by_part(result)
    assert result.test_from == "publisher"
    assert found["test"] == {"p016", "p017", "p018", "p019"}
    assert found["exempt"] == {"p000"}
    rows = result.assignment.set_index("recording_id")
    assert rows.loc["p000_0", "part"] == "development" and rows.loc["p000_1", "part"] == "exempt"
    checks = run_checks(result.assignment, recordings, [])
    gate(checks)
    assert "p000" in checks[0].exempt[0]


def test_split_as_published_keeps_exempt_recordings_and_passes_the_check() -> None:
    recordings, segments = official()
    result = split(recordings, segments, TASKS, parameters(official="published"))
    assert result.assignment.set_index("recording_id").loc["p000_1", "part"] == "test"
    gate(run_checks(result.assignment, recordings, []))


def test_fault_that_is_not_exempt_fails_in_both_versions() -> None:
    recordings, segments = official()
    recordings.loc[recordings["recording_id"] == "p001_1", "published_part"] = "test"
    for version in ("corrected", "published"):
        result = split(recordings, segments, TASKS, parameters(official=version))
        with pytest.raises(LeakError, match="patient p001") as caught:
            gate(run_checks(result.assignment, recordings, []))
        assert "p000" not in str(caught.value)


def test_ignored_split_is_drawn_and_nothing_is_exempt() -> None:
    recordings, segments = official()
    result = split(recordings, segments, TASKS, parameters(official="ignored"))
    assert result.test_from == "drawn"
    assert set(patients_by_part(result)) == {"development", "test"}
    assert result.assignment["exempt_reason"].isna().all()


def test_published_split_without_a_test_part_has_it_drawn() -> None:
    people = population(40)
    recordings, segments = tables(people, published=dict.fromkeys(people, "train"))
    result = split(recordings, segments, TASKS, parameters())
    assert result.test_from == "drawn"
    assert len(patients_by_part(result)["test"]) == pytest.approx(10, abs=2)


def test_patients_without_a_published_part_are_for_development() -> None:
    recordings, segments = official()
    recordings.loc[recordings["patient_id"] == "p005", "published_part"] = pd.NA
    recordings.loc[recordings["recording_id"] == "p017_1", "published_part"] = pd.NA
    rows = split(recordings, segments, TASKS, parameters()).assignment.set_index("recording_id")
    assert rows.loc["p005_0", "part"] == "development"
    assert rows.loc["p017_1", "part"] == "test"


def test_class_without_a_development_patient_is_noted() -> None:
    people = population(20)
    lonely = {name: (label, [s for s in sounds if s != "wheeze"]) for name, (label, sounds) in people.items()}
    lonely["p007"] = ("well", ["wheeze"])
    recordings, segments = tables(
        lonely, published={name: "test" if name in ("p007", "p008") else "train" for name in people}
    )
    result = split(recordings, segments, TASKS, parameters())
    notes = summarise(result, recordings, segments, TASKS, parameters(), [], [])["notes"]
    assert "task sounds: no patient with class 'wheeze' in the development part" in notes
