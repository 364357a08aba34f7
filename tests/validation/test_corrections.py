"""``validate`` applies the table of corrections, and refuses a line that fits no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.core import corrections, withdrawals
from auscult.core.corrections import DROP, Correction
from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.paths import DATA_DIR
from auscult.core.storage import read_json, read_table
from auscult.core.withdrawals import Withdrawals
from stages.validate import main
from tests.validation.small_data_set import AUDIO, PATHS, breath, make_data_set, make_delivery, name_of, put_batch


@pytest.fixture(autouse=True)
def five_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a recording of two cycles, normal and crackle; 103 is COPD's, DIAGNOSES[1] is Healthy."""
    make_data_set(tmp_path, patients=5)
    monkeypatch.chdir(tmp_path)


def line(item: str, old: str, new: str) -> Correction:
    return Correction(item, old, new, "me", "listened again", "2026-11-25")


def validated(*lines: Correction) -> dict[str, str]:
    """Return the label of every recording and segment after a validation with these corrections."""
    corrections.write("sample", lines)
    main()
    recordings, segments = (read_table(PATHS.manifest / f"{name}.parquet") for name in ("recordings", "segments"))
    found = dict(zip(recordings["recording_id"], recordings["label"], strict=True))
    return found | dict(zip(segments["segment_id"], segments["label"], strict=True))


def test_labels_are_corrected_and_items_left_out_and_the_released_files_are_not_touched() -> None:
    released = {path: path.read_bytes() for path in DATA_DIR.rglob("*") if path.is_file()}
    before = validated()
    one, two, three = (name_of(patient) for patient in (101, 102, 103))
    after = validated(
        line(f"{one}:001", "crackle", "both"),
        line(one, before[one], "Asthma"),
        line(f"{two}:000", "normal", DROP),
        line(three, before[three], DROP),
    )
    assert after[f"{one}:001"] == "both" and after[one] == "Asthma"
    assert f"{two}:000" not in after and after[f"{two}:001"] == before[f"{two}:001"], "it keeps its number"
    assert not [item for item in after if item.startswith(three)]
    changed = {f"{one}:001", one, f"{two}:000", three, f"{three}:000", f"{three}:001"}
    assert {name: label for name, label in before.items() if name not in changed}.items() <= after.items()
    assert three not in set(read_table(PATHS.manifest / "fingerprints.parquet")["recording_id"])
    assert all(path.read_bytes() == content for path, content in released.items())


def test_what_was_changed_is_counted_and_kept_for_later_stages() -> None:
    one, two = name_of(101), name_of(102)
    validated(line(f"{one}:001", "crackle", "both"), line(f"{two}:000", "normal", DROP))
    summary = read_json(PATHS.manifest / "summary.json")
    assert summary["corrections"] == {"labels": 1, "recordings_dropped": 0, "segments_dropped": 1}
    assert {"labels corrected: 1", "segments left out by a correction: 1"} <= set(summary["notes"])
    assert summary["labels"]["segments"]["both"] == 1
    table = read_table(PATHS.manifest / "corrections.parquet")
    assert table.to_dict("records") == [
        {"item": f"{one}:001", "recording_id": one, "patient_id": "101", "old": "crackle", "new": "both"},
        {"item": f"{two}:000", "recording_id": two, "patient_id": "102", "old": "normal", "new": DROP},
    ]


def test_a_correction_can_be_corrected() -> None:
    item = f"{name_of(101)}:001"
    assert validated(line(item, "crackle", "both"), line(item, "both", "wheeze"))[item] == "wheeze"


@pytest.mark.parametrize(
    ("lines", "number", "problem"),
    [
        ([line(f"{name_of(101)}:001", "wheeze", "both")], 2, "is 'wheeze'; it is 'crackle'"),
        ([line(f"{name_of(101)}:009", "crackle", "both")], 2, "does not exist"),
        ([line(f"{name_of(101)}:001", "crackle", "rhonchus")], 2, "'rhonchus'; there are: both, crackle"),
        ([line(name_of(101), "COPD", DROP), line(f"{name_of(101)}:001", "crackle", "both")], 3, "dropped before"),
        ([line(name_of(104), "COPD", "Healthy")], 2, "was rejected"),
    ],
)
def test_a_line_that_fits_no_more_is_refused_and_the_last_manifest_stays(
    lines: list[Correction], number: int, problem: str
) -> None:
    broken = PATHS.raw / AUDIO / f"{name_of(104)}.wav"
    broken.write_bytes(broken.read_bytes()[:500])
    before = validated()
    lines = [
        line(each.item, before[each.item], each.new) if each.old == "COPD" and each.item in before else each
        for each in lines
    ]
    kept = {path: path.read_bytes() for path in PATHS.manifest.iterdir()}
    with pytest.raises(DataError, match=problem) as caught:
        validated(*lines)
    assert str(caught.value.where).endswith(f"sample.csv:{number}") and "git checkout" in caught.value.next_step
    assert {path: path.read_bytes() for path in PATHS.manifest.iterdir()} == kept


def test_corrections_of_withdrawn_patients_are_skipped(tmp_path: Path) -> None:
    put_batch(tmp_path, make_delivery(tmp_path / "delivery", {name_of(301): breath(8)}))
    for patient in ("103", "301"):
        withdrawals.write(Withdrawals("sample", {patient_key("sample", patient): "2026-11-25"}))
        after = validated(
            line(f"{name_of(int(patient))}:001", "crackle", "both"), line(f"{name_of(101)}:001", "crackle", "both")
        )
        assert after[f"{name_of(101)}:001"] == "both"
        assert read_table(PATHS.manifest / "corrections.parquet")["patient_id"].tolist() == ["101"]
