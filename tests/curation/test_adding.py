"""``auscult data add`` and ``auscult data template``: what is examined, added and reported."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import soundfile

from auscult.core.errors import AuscultError, DataError
from auscult.core.storage import read_table
from auscult.curation.additions import examine
from auscult.curation.additions.adding import add_all, template
from auscult.datasets import names
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS
from auscult.validation.additions import checksums
from stages.split import main as split
from stages.validate import main as validate
from tests.validation.small_data_set import PATHS, breath, make_delivery, name_of

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


def add(folder: Path, *, dry_run: bool = False) -> str:
    """Return what the command prints."""
    found = add_all(None, folder, dry_run=dry_run)
    found.check()
    return str(found)


def everything(root: Path) -> dict[str, str]:
    return {place: value for place, value in checksums(root).items() if not place.startswith(".dvc/")}


def test_add_dry_run_reports_everything_and_writes_nothing(root: Path, tmp_path: Path) -> None:
    delivery, before = deliver(tmp_path / "delivery"), everything(root)
    said = add(delivery, dry_run=True)
    assert everything(root) == before
    for line in (
        "would be added: 2",
        "  visit 1",
        "  seventh",
        "known patients, who keep their part: 1",
        "new patients: 1",
    ):
        assert line in said.splitlines()
    assert f"auscult data add {delivery}" in said


def test_validate_reads_added_recordings(root: Path, tmp_path: Path) -> None:
    said = add(deliver(tmp_path / "delivery"))
    assert "dvc repro" in said and "dvc push" in said and "data: 2 recordings of 2 patients added to sample" in said
    validate()
    split()
    recordings = read_table(root / PATHS.manifest / "recordings.parquet").set_index("recording_id")
    assert recordings.loc["seventh", ["patient_id", "label", "device", "age_years"]].tolist() == [
        *("P-7", "COPD", "Meditron"),
        70.0,
    ]
    assert (root / "data" / recordings.loc["seventh", "path"]).is_file()
    segments = read_table(root / PATHS.manifest / "segments.parquet").set_index("recording_id")
    assert segments.loc["visit 1", ["start_s", "end_s", "label"]].tolist() == [0.5, 3.0, "crackle"]
    parts = read_table(root / PATHS.split / "assignment.parquet").set_index("recording_id")["part"]
    assert parts["visit 1"] == parts[name_of(101, 1)]
    assert "already present: 2" in add(deliver(tmp_path / "again"))


def test_a_batch_holds_nothing_of_rejected_recordings(root: Path, tmp_path: Path) -> None:
    cycles = [["visit 1.wav", "0.5", "3", "crackle"], ["new.flac", "3", "0.5", "crackle"]]
    delivery = deliver(tmp_path / "delivery", segments=cycles)
    said = add(delivery)
    assert "rejected: 1 (1 annotation_malformed)" in said
    assert "  seventh: annotation_malformed, segments.csv, line 3: the segment ends at 0.5 s" in said
    (batch,) = (path for path in (root / PATHS.added).iterdir() if path.is_dir())
    assert sorted(path.name for path in batch.iterdir()) == [RECORDINGS, SEGMENTS, "visit 1.wav"]
    assert not any("P-7" in (batch / name).read_text() for name in (RECORDINGS, SEGMENTS))
    validate()  # the batch is what its name stands for, and no row of it lacks its audio
    rejects = read_table(root / PATHS.manifest / "rejects.parquet")
    assert rejects.empty


def test_an_accepted_file_may_have_the_name_of_a_rejected_recording(root: Path, tmp_path: Path) -> None:
    rows = [["x.wav", "101", "y", "Healthy", "Meditron", "Al", "41", "female"], ["y.wav", *ROWS[1][1:]]]
    delivery = deliver(tmp_path / "delivery", rows, [["y.wav", "0.5", "3", "crackle"]])
    assert list(examine("sample", delivery, root).files) == ["y.wav"]


def test_the_same_rows_in_another_csv_dialect_are_the_same_batch(root: Path, tmp_path: Path) -> None:
    one, other = deliver(tmp_path / "one"), deliver(tmp_path / "other")
    for table in (RECORDINGS, SEGMENTS):
        text = (other / table).read_text().replace(",", ";").replace("\n", "\r\n")
        (other / table).write_text(text, encoding="utf-8-sig", newline="")
    assert examine("sample", one, root).batch == examine("sample", other, root).batch


def test_add_without_any_usable_recording_fails_with_the_reasons(root: Path, tmp_path: Path) -> None:
    rows = [["a.wav", "", "", "Healthy", "Meditron", "Al", "41", "female"]]
    with pytest.raises(DataError, match=r"can be added to sample") as caught:
        add(deliver(tmp_path / "delivery", rows))
    assert "a: missing_metadata, recordings.csv, line 2: patient_id is empty" in caught.value.what
    assert not list((root / PATHS.added).glob("*.dvc"))


def test_add_accepts_a_folder_of_deliveries_in_several_layouts(root: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    make_delivery(inbox / "week-1", {name_of(301): breath(1)})
    deliver(inbox / "week-2")
    assert "would be added: 3" in add(inbox, dry_run=True)
    assert "added: 3" in add(inbox)
    assert len(list((root / PATHS.added).glob("*.dvc"))) == 2


def test_add_command_ends_with_2_if_nothing_can_be_added(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from auscult.cli.main import main

    (root / "dvc.yaml").touch()
    monkeypatch.setattr(sys, "argv", ["auscult", "data", "add", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", names())
def test_template_names_required_columns_and_its_example_is_valid(root: Path, tmp_path: Path, dataset: str) -> None:
    folder = tmp_path / "new"
    assert "required: file, patient_id, label" in template(folder, dataset)
    for name in (RECORDINGS, SEGMENTS):
        text = (folder / name).read_text()
        assert text.splitlines()[1].startswith("# ")
        (folder / name).write_text(text.replace("# ", ""))
    soundfile.write(folder / "first.wav", breath(5), 4000)
    if dataset == "sample":
        assert "would be added: 1" in add(folder, dry_run=True)
    with pytest.raises(AuscultError, match=r"recordings.csv exists"):
        template(folder, dataset)
    with pytest.raises(AuscultError, match="cannot be written"):
        template(folder / "first.wav" / "folder", dataset)
