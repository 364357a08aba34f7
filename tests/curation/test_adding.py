"""``data add`` and ``data template``: what is looked at, what is added, and what is said of it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import soundfile

from auscult.core.errors import AuscultError, DataError
from auscult.core.storage import read_table
from auscult.curation.additions import examine
from auscult.curation.additions.adding import add
from auscult.curation.additions.template import template
from auscult.datasets import names
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS
from auscult.validation.additions import checksums
from stages.split import main as split
from stages.validate import main as validate
from tests.validation.made_clinic import PATHS, breath, make_delivery, name_of

HEADER = ["file", "patient_id", "recording_id", "label", "device", "location", "age_years", "sex"]
ROWS = [
    ["visit 1.wav", "101", "", "Healthy", "Meditron", "Al", "41", "female"],
    ["new.flac", "P-7", "seventh", "COPD", "Meditron", "Pr", "70", "male"],
]


def deliver(folder: Path, rows: list[list[str]] = ROWS, segments: list[list[str]] | None = None) -> Path:
    """Audio with two tables; another sound for every row."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        soundfile.write(folder / row[0], breath(900 + number), 4000)
    cycles = [[row[0], "0.5", "3", "crackle"] for row in rows] if segments is None else segments
    tables = ((RECORDINGS, [HEADER, *rows]), (SEGMENTS, [["file", "start_s", "end_s", "label"], *cycles]))
    for name, lines in tables:
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    return folder


def everything(root: Path) -> dict[str, str]:
    return {place: value for place, value in checksums(root).items() if not place.startswith(".dvc/")}


def test_a_dry_run_says_everything_and_writes_nothing(clinic: Path, tmp_path: Path) -> None:
    delivery, before = deliver(tmp_path / "delivery"), everything(clinic)
    said = add(delivery, None, dry_run=True)
    assert everything(clinic) == before
    for line in (
        "would join: 2",
        "  visit 1",
        "  seventh",
        "known patients, who keep their side: 1",
        "new patients: 1",
    ):
        assert line in said.splitlines()
    assert f"auscult data add {delivery}" in said


def test_what_was_added_is_read_by_validate_like_any_other(clinic: Path, tmp_path: Path) -> None:
    said = add(deliver(tmp_path / "delivery"), None, dry_run=False)
    assert "dvc repro" in said and "dvc push" in said and "data: 2 recordings of 2 patients added to sample" in said
    validate()
    split()
    recordings = read_table(clinic / PATHS.manifest / "recordings.parquet").set_index("recording_id")
    assert recordings.loc["seventh", ["patient_id", "label", "device", "age_years"]].tolist() == [
        *("P-7", "COPD", "Meditron"),
        70.0,
    ]
    assert (clinic / "data" / recordings.loc["seventh", "path"]).is_file()
    segments = read_table(clinic / PATHS.manifest / "segments.parquet").set_index("recording_id")
    assert segments.loc["visit 1", ["start_s", "end_s", "label"]].tolist() == [0.5, 3.0, "crackle"]
    parts = read_table(clinic / PATHS.split / "assignment.parquet").set_index("recording_id")["part"]
    assert parts["visit 1"] == parts[name_of(101, 1)]
    assert "there already: 2" in add(deliver(tmp_path / "again"), None, dry_run=False)


def test_a_batch_holds_nothing_of_what_stayed_out(clinic: Path, tmp_path: Path) -> None:
    cycles = [["visit 1.wav", "0.5", "3", "crackle"], ["new.flac", "3", "0.5", "crackle"]]
    delivery = deliver(tmp_path / "delivery", segments=cycles)
    said = add(delivery, None, dry_run=False)
    assert "left out: 1 (1 annotation_malformed)" in said
    assert "  seventh: annotation_malformed, segments.csv, line 3: the segment ends at 0.5 s" in said
    (batch,) = (path for path in (clinic / PATHS.added).iterdir() if path.is_dir())
    assert sorted(path.name for path in batch.iterdir()) == [RECORDINGS, SEGMENTS, "visit 1.wav"]
    assert not any("P-7" in (batch / name).read_text() for name in (RECORDINGS, SEGMENTS))
    validate()  # the batch is what its name stands for, and no row of it lacks its audio
    rejects = read_table(clinic / PATHS.manifest / "rejects.parquet")
    assert rejects.empty


def test_an_accepted_file_may_be_called_as_a_recording_that_stays_out(clinic: Path, tmp_path: Path) -> None:
    rows = [["x.wav", "101", "y", "Healthy", "Meditron", "Al", "41", "female"], ["y.wav", *ROWS[1][1:]]]
    delivery = deliver(tmp_path / "delivery", rows, [["y.wav", "0.5", "3", "crackle"]])
    assert list(examine("sample", delivery, clinic).files) == ["y.wav"]


def test_the_same_rows_are_the_same_batch_however_they_are_written(clinic: Path, tmp_path: Path) -> None:
    one, other = deliver(tmp_path / "one"), deliver(tmp_path / "other")
    for table in (RECORDINGS, SEGMENTS):
        text = (other / table).read_text().replace(",", ";").replace("\n", "\r\n")
        (other / table).write_text(text, encoding="utf-8-sig", newline="")
    assert examine("sample", one, clinic).batch == examine("sample", other, clinic).batch


def test_nothing_that_can_join_is_an_error_with_the_reasons(clinic: Path, tmp_path: Path) -> None:
    rows = [["a.wav", "", "", "Healthy", "Meditron", "Al", "41", "female"]]
    with pytest.raises(DataError, match=r"nothing of .* can join sample") as caught:
        add(deliver(tmp_path / "delivery", rows), None, dry_run=False)
    assert "a: missing_metadata, recordings.csv, line 2: patient_id is empty" in caught.value.what
    assert not list((clinic / PATHS.added).glob("*.dvc"))


def test_a_delivery_in_the_data_sets_own_layout_and_a_folder_of_several(clinic: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    make_delivery(inbox / "week-1", {name_of(301): breath(1)})
    deliver(inbox / "week-2")
    assert "would join: 3" in add(inbox, "sample", dry_run=True)
    assert "added: 3" in add(inbox, "sample", dry_run=False)
    assert len(list((clinic / PATHS.added).glob("*.dvc"))) == 2


def test_the_command_ends_with_two_where_nothing_joins(
    clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from auscult.cli.__main__ import main

    from auscult.core.process import run

    (clinic / "dvc.yaml").touch()
    monkeypatch.setattr(sys, "argv", ["flows", "data", "add", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        run(main, at_once=False)
    assert ended.value.code == 2
    assert "nowhere is not there" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", names())
def test_a_template_says_what_is_needed_and_its_example_can_be_read(clinic: Path, tmp_path: Path, dataset: str) -> None:
    folder = tmp_path / "new"
    assert "needed: file, patient_id, label" in template(folder, dataset)
    for name in (RECORDINGS, SEGMENTS):
        text = (folder / name).read_text()
        assert text.splitlines()[1].startswith("# ")
        (folder / name).write_text(text.replace("# ", ""))
    soundfile.write(folder / "first.wav", breath(5), 4000)
    if dataset == "sample":
        assert "would join: 1" in add(folder, dataset, dry_run=True)
    with pytest.raises(AuscultError, match=r"recordings.csv is there already"):
        template(folder, dataset)
    with pytest.raises(AuscultError, match="cannot be written"):
        template(folder / "first.wav" / "folder", dataset)
