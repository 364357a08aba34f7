"""A withdrawal moves nobody else, whoever it is, and keeps nothing of the one who left."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.withdrawals import Withdrawals
from auscult.splitting import pinned
from auscult.splitting.parts import split
from auscult.splitting.pinned import Pinned
from tests.splitting.made_tables import TASKS, parameters, tables

Manifest = tuple[pd.DataFrame, pd.DataFrame]


def clinic(patients: int = 30, **published: str) -> Manifest:
    sounds = (["normal", "crackle"], ["normal"], ["normal", "wheeze"], ["normal", "normal"])
    people = {f"p{n:03d}": ("ill" if n % 3 else "well", sounds[n % 4]) for n in range(patients)}
    return tables(people, published=published)


def without(base: Manifest, *patients: str) -> Manifest:
    recordings, segments = base
    return recordings[~recordings["patient_id"].isin(patients)], segments[~segments["patient_id"].isin(patients)]


def withdrawn(*patients: str) -> Withdrawals:
    return Withdrawals("clinic", {patient_key("clinic", name): "2026-11-25" for name in patients})


def sides(base: Manifest, pins: Pinned | None = None, **changes: object) -> dict[str, tuple[str, int]]:
    table = split(*base, TASKS, parameters(**changes), pins).assignment
    return {row.recording_id: (row.part, row.fold) for row in table.itertuples()}


def pins_of(base: Manifest, *patients: str, before: Pinned | None = None) -> Pinned:
    result = split(*base, TASKS, parameters(), before)
    return pinned.pin(result.assignment, parameters(), withdrawn(*patients), with_test=result.test_from == "drawn")


def test_drawn_again_without_somebody_others_would_move() -> None:
    base = clinic()
    before = sides(base)
    moved = [
        name for name in ("p001", "p010", "p020") if any(before[r] != s for r, s in sides(without(base, name)).items())
    ]
    assert moved, "what is pinned needs to be"


@pytest.mark.parametrize("patient", [f"p{number:03d}" for number in range(0, 30, 3)])
def test_nobody_moves_when_one_leaves(patient: str) -> None:
    base = clinic()
    before, after = sides(base), sides(without(base, patient), pins_of(base, patient))
    assert after == {name: side for name, side in before.items() if not name.startswith(patient)}


def test_nobody_moves_when_a_second_one_leaves() -> None:
    base = clinic()
    first = pins_of(base, "p004")
    second = pins_of(without(base, "p004"), "p004", "p017", before=first)
    before, after = sides(base), sides(without(base, "p004", "p017"), second)
    assert after == {name: before[name] for name in after}


def test_nobody_moves_where_the_publisher_says_what_is_for_testing() -> None:
    published = {f"p{number:03d}": "test" if number % 4 == 0 else "train" for number in range(30)}
    base = clinic(**published)
    before = sides(base)
    for patient in ("p004", "p007"):
        after = sides(without(base, patient), pins_of(base, patient))
        assert after == {name: before[name] for name in after}


def test_another_validation_fold_keeps_folds_and_test_part() -> None:
    base = clinic()
    before, after = (
        sides(base, validation_fold=2),
        sides(without(base, "p004"), pins_of(base, "p004"), validation_fold=2),
    )
    assert after == {name: before[name] for name in after}


@pytest.mark.parametrize("change", [{"seed": 3}, {"folds": 4}, {"test_share": 0.4}])
def test_with_other_parameters_everybody_is_drawn(change: dict[str, object]) -> None:
    base = without(clinic(), "p004")
    assert sides(base, pins_of(clinic(), "p004"), **change) == sides(base, **change)


def test_a_patient_of_whom_nothing_is_written_down_moves_nobody() -> None:
    """Such as one whose recording was set aside as a copy of that of the one who left."""
    base, larger = clinic(), clinic(31)
    before, after = sides(base), sides(without(larger, "p004"), pins_of(base, "p004"))
    assert {name for name in after if name not in before} == {"p030_0", "p030_1"}
    assert all(after[name] == before[name] for name in after if name in before)


def test_other_data_are_drawn() -> None:
    """Where a part would have nobody the note is of other data."""
    base = clinic(12)
    pins = pins_of(base, "p004")
    only_one = Pinned("clinic", pins.drawn_with, dict.fromkeys(pins.sides, 0))
    assert sides(without(base, "p004"), only_one) == sides(without(base, "p004"))


def test_the_file_holds_keys_of_those_who_stay_and_reads_back(tmp_path: Path) -> None:
    pins = pins_of(clinic(), "p004")
    pinned.write(pins, tmp_path)
    text = (tmp_path / "data/withdrawn/clinic.sides.json").read_text()
    assert pinned.read("clinic", tmp_path) == pins
    assert "p0" not in text and patient_key("clinic", "p004") not in text
    assert patient_key("clinic", "p005") in text
    assert pinned.read("sample", tmp_path) == Pinned("sample"), "no file, nothing pinned"


@pytest.mark.parametrize("content", ["{", "[1]", '{"sides": 3}', '{"drawn_with": {}, "sides": {"best": ["a"]}}'])
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "data/withdrawn").mkdir(parents=True)
    (tmp_path / "data/withdrawn/clinic.sides.json").write_text(content)
    with pytest.raises(DataError, match=r"clinic\.sides\.json") as said:
        pinned.read("clinic", tmp_path)
    assert "git checkout" in said.value.next_step, "git has the file, DVC does not"
