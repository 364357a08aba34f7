"""After a withdrawal all other patients keep their part, and nothing of the withdrawn patient is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.withdrawals import Withdrawals
from auscult.splitting import pinned
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned
from tests.splitting.manifest_tables import TASKS, parameters, tables

Manifest = tuple[pd.DataFrame, pd.DataFrame]


def manifest(patients: int = 30, **published: str) -> Manifest:
    sounds = (["normal", "crackle"], ["normal"], ["normal", "wheeze"], ["normal", "normal"])
    people = {f"p{n:03d}": ("ill" if n % 3 else "well", sounds[n % 4]) for n in range(patients)}
    return tables(people, published=published)


def without(base: Manifest, *patients: str) -> Manifest:
    recordings, segments = base
    return recordings[~recordings["patient_id"].isin(patients)], segments[~segments["patient_id"].isin(patients)]


def withdrawn(*patients: str) -> Withdrawals:
    return Withdrawals("demo", {patient_key("demo", name): "2026-11-25" for name in patients})


def assigned(base: Manifest, pins: Pinned | None = None, **changes: object) -> dict[str, tuple[str, int]]:
    table = split(*base, TASKS, parameters(**changes), pins).assignment
    return {row.recording_id: (row.part, row.fold) for row in table.itertuples()}


def pins_of(base: Manifest, *patients: str, before: Pinned | None = None) -> Pinned:
    result = split(*base, TASKS, parameters(), before)
    return pinned.pin(result.assignment, parameters(), withdrawn(*patients), with_test=result.test_from == "drawn")


def test_drawing_again_without_a_patient_would_move_others() -> None:
    base = manifest()
    before = assigned(base)
    moved = [
        name
        for name in ("p001", "p010", "p020")
        if any(before[r] != s for r, s in assigned(without(base, name)).items())
    ]
    assert moved, "otherwise pinning would not be needed"


@pytest.mark.parametrize("patient", [f"p{number:03d}" for number in range(0, 30, 3)])
def test_others_keep_their_part_when_one_patient_withdraws(patient: str) -> None:
    base = manifest()
    before, after = assigned(base), assigned(without(base, patient), pins_of(base, patient))
    assert after == {name: part for name, part in before.items() if not name.startswith(patient)}


def test_others_keep_their_part_when_a_second_patient_withdraws() -> None:
    base = manifest()
    first = pins_of(base, "p004")
    second = pins_of(without(base, "p004"), "p004", "p017", before=first)
    before, after = assigned(base), assigned(without(base, "p004", "p017"), second)
    assert after == {name: before[name] for name in after}


def test_others_keep_their_part_with_a_published_test_part() -> None:
    published = {f"p{number:03d}": "test" if number % 4 == 0 else "train" for number in range(30)}
    base = manifest(**published)
    before = assigned(base)
    for patient in ("p004", "p007"):
        after = assigned(without(base, patient), pins_of(base, patient))
        assert after == {name: before[name] for name in after}


@pytest.mark.parametrize("change", [{"seed": 3}, {"folds": 4}, {"test_share": 0.4}])
def test_other_parameters_draw_all_patients_again(change: dict[str, object]) -> None:
    base = without(manifest(), "p004")
    assert assigned(base, pins_of(manifest(), "p004"), **change) == assigned(base, **change)


def test_patient_who_is_not_pinned_moves_nobody() -> None:
    # such as one whose recording was rejected as a copy of the withdrawn patient's
    base, larger = manifest(), manifest(31)
    before, after = assigned(base), assigned(without(larger, "p004"), pins_of(base, "p004"))
    assert {name for name in after if name not in before} == {"p030_0", "p030_1"}
    assert all(after[name] == before[name] for name in after if name in before)


def test_pins_that_leave_a_part_empty_are_ignored() -> None:
    base = manifest(12)
    pins = pins_of(base, "p004")
    only_one = Pinned("demo", pins.drawn_with, dict.fromkeys(pins.folds, 0))
    assert assigned(without(base, "p004"), only_one) == assigned(without(base, "p004"))


def test_file_holds_keys_of_the_other_patients_and_reads_back(tmp_path: Path) -> None:
    pins = pins_of(manifest(), "p004")
    pinned.write(pins, tmp_path)
    text = (tmp_path / "data/withdrawn/demo.sides.json").read_text()
    assert pinned.read("demo", tmp_path) == pins
    assert "p0" not in text and patient_key("demo", "p004") not in text
    assert patient_key("demo", "p005") in text
    drawn_with = {"seed", "test_share", "folds", "official", "with_test"}
    assert drawn_with <= json.loads(text)["drawn_with"].keys()
    assert pinned.read("sample", tmp_path) == Pinned("sample"), "without a file nothing is pinned"


@pytest.mark.parametrize("content", ["{", "[1]", '{"sides": 3}', '{"drawn_with": {}, "sides": {"best": ["a"]}}'])
def test_damaged_file_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "data/withdrawn").mkdir(parents=True)
    (tmp_path / "data/withdrawn/demo.sides.json").write_text(content)
    with pytest.raises(DataError, match=r"demo\.sides\.json") as caught:
        pinned.read("demo", tmp_path)
    assert "git checkout" in caught.value.next_step
