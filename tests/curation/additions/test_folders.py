"""A folder of deliveries: each is added by itself, and one that cannot be used does not stop the others."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from auscult.core.errors import DataError
from auscult.curation.additions import Delivery, add_all, message
from auscult.retraining import ingestion
from tests.curation.additions.delivery_checks import NEW, NEWER, accepted, folder_of
from tests.validation.small_data_set import AUDIO, PATHS, breath, describe, make_delivery, name_of, write_into


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two complete deliveries, two incomplete ones, and files that belong to none."""
    inbox = tmp_path / "inbox"
    make_delivery(inbox / "week-1", {name_of(104, 5): breath(1), NEW: breath(2)})
    make_delivery(inbox / "week-2", {NEWER: breath(3), NEW: breath(4)})
    write_into(inbox / "week-3", name_of(303), breath(5))  # its tables are still on their way
    (inbox / "week-4" / AUDIO).mkdir(parents=True)
    (inbox / ".hidden").mkdir()
    (inbox / "holiday.wav").write_bytes(b"RIFF")
    return inbox


def batches(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / PATHS.added).glob("*.dvc"))


def test_each_delivery_becomes_a_batch_and_all_rejected_are_listed(root: Path, inbox: Path, tmp_path: Path) -> None:
    (inbox / "week-2" / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"RIFF")
    unsorted = write_into(inbox / "week-2", name_of(302, 2), breath(6)).with_suffix(".txt")
    unsorted.write_text("4 5 0 0\n1 3 0 0\n2 3 0 0\n")
    taken = ingestion.ingest(tmp_path, root, "sample", inbox, "run", print)
    assert len(taken.batches) == 2 and batches(root) == sorted(taken.batches)
    words = "3 recordings added, 0 there already, 6 left out (1 annotation_unsorted, 1 duplicate_id, 2 no_delivery,"
    assert taken.summary == f"{words} 2 unplaced; reports/sample/ingest/run.csv)", "recordings, not reasons"
    title, _, *rest = taken.message.splitlines()
    assert title == "data: 3 recordings of 3 patients added to sample"
    assert [line.split(",")[0] for line in rest if "Addition" in line] == [f"Addition {name}" for name in taken.batches]
    assert rest[-1] == "Not added: 1 duplicate_id, 1 annotation_unsorted, 1 unplaced"
    with (tmp_path / "reports/sample/ingest/run.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["recording_id"], row["reason"]): row["detail"] for row in csv.DictReader(file)}
    assert set(rows) == {
        ("holiday.wav", "unplaced"),
        (f"week-2/{NEW}", "duplicate_id"),
        (f"week-2/{name_of(302, 2)}", "annotation_unsorted"),
        (f"week-2/{name_of(302, 2)}", "annotation_overlap"),
        (r"week-2/caf\xe9.wav", "unplaced"),
        ("week-3", "no_delivery"),
        ("week-4", "no_delivery"),
    }
    assert "lacks the diagnoses" in rows["week-3", "no_delivery"]
    describe(inbox / "week-3", [303])
    found = add_all("sample", inbox, root)
    weeks, rejected = found.deliveries, found.rejected
    assert [accepted(week) for week in weeks] == [[], [], [name_of(303)]]
    assert [len(week.present) for week in weeks] == [2, 1, 0]
    assert len(batches(root)) == 3 and "week-3" not in {entry.recording_id for entry in rejected}
    assert message(*weeks).splitlines()[-1].startswith("Not added: 3 already present, 1 duplicate_id, ")


def test_an_unusable_delivery_does_not_stop_the_others(root: Path, inbox: Path) -> None:
    (inbox / "week-1/ICBHI_Challenge_diagnosis.txt").write_text("<html>please log in</html>")
    found = add_all("sample", inbox, root)
    assert found.accepted == [NEW, NEWER]
    assert ("week-1", "no_delivery") in {(entry.recording_id, entry.reason) for entry in found.rejected}
    (inbox / "week-2/ICBHI_Challenge_diagnosis.txt").write_text("<html>please log in, too</html>")
    with pytest.raises(DataError, match="is not a table"):
        add_all("sample", inbox, root)


def test_a_folder_can_be_one_delivery(root: Path, first: Delivery) -> None:
    found = add_all("sample", folder_of(first), root)
    assert (found.batches, found.rejected) == ([first.batch], [])


def test_a_folder_without_deliveries_is_refused_with_the_next_command(root: Path, inbox: Path) -> None:
    for week in ("week-1", "week-2"):
        (inbox / week / "ICBHI_Challenge_diagnosis.txt").unlink()
    with pytest.raises(DataError, match="two different files") as caught:
        add_all("sample", inbox, root)
    assert "week-1" in caught.value.what and "week-2" in caught.value.what
    assert "auscult data ingest --folder" in caught.value.next_step
