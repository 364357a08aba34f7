"""``auscult data correct`` adds a line that the next validation applies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auscult.cli.main import app
from auscult.core import corrections, withdrawals
from auscult.core.corrections import DROP, Correction
from auscult.core.errors import AuscultError, DataError, ParameterError
from auscult.core.storage import read_table
from auscult.curation.corrections import correct
from auscult.curation.withdrawals.withdraw import withdraw
from auscult.datasets import load
from auscult.datasets.retrieval.withdrawn_files import leave_out_of_raw
from auscult.reporting.report.dataset import Tables
from stages.split import main as split
from stages.validate import main as validate
from tests.validation.small_data_set import PATHS, name_of

ITEM = f"{name_of(101)}:001"


def lines() -> list[Correction]:
    return corrections.read("sample")


def test_a_correction_is_applied_by_the_next_validation(root: Path) -> None:
    found = correct(ITEM, "both", "heard a  wheeze", "me")
    (made,) = lines()
    assert made == found.correction
    assert (made.item, made.old, made.new, made.by, made.because) == (ITEM, "crackle", "both", "me", "heard a wheeze")
    validate()
    segments = read_table(PATHS.manifest / "segments.parquet").set_index("segment_id")["label"]
    assert segments[ITEM] == "both"
    again = correct(ITEM, "normal", "neither", "me")
    assert again.correction.old == "both"
    second = correct(ITEM, "crackle", "it was right", "me")
    assert second.correction.old == "normal", "also before the next validation"
    validate()
    assert read_table(PATHS.manifest / "segments.parquet").set_index("segment_id")["label"][ITEM] == "crackle"


def test_a_dry_run_says_the_same_and_writes_nothing(root: Path) -> None:
    said = str(correct(ITEM, DROP, "coughing", "me", dry_run=True))
    assert said.startswith(f"{ITEM}: crackle → left out") and "Nothing was changed" in said
    assert lines() == []


@pytest.mark.parametrize(
    ("item", "label", "because", "problem"),
    [
        (f"{name_of(101)}:01", "both", "why", f"did you mean {name_of(101)}"),
        (ITEM, "Both", "why", "'Both'"),
        (name_of(101), "crackle", "why", "'crackle'"),
        (ITEM, "crackle", "why", "already"),
        (ITEM, "both", "  ", "--because"),
    ],
)
def test_what_fits_nothing_is_refused_before_the_table_is_written(
    root: Path, item: str, label: str, because: str, problem: str
) -> None:
    with pytest.raises(AuscultError, match=problem):
        correct(item, label, because, "me")
    assert lines() == []


def test_what_is_left_out_cannot_be_corrected_again(root: Path) -> None:
    correct(name_of(101), DROP, "two patients on it", "me")
    with pytest.raises(DataError, match="left out by an earlier correction"):
        correct(ITEM, "both", "why", "me")
    validate()
    with pytest.raises(DataError, match="no recording or segment"):
        correct(ITEM, "both", "why", "me")


def test_without_a_name_it_asks_for_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    with pytest.raises(ParameterError, match="--by"):
        correct(ITEM, "both", "why")


def test_a_correction_of_the_test_part_is_said_at_once_and_in_every_later_report(root: Path) -> None:
    assignment = read_table(PATHS.split / "assignment.parquet")
    tested = sorted(assignment.loc[assignment["part"] == "test", "recording_id"])
    other = assignment.loc[assignment["part"] == "development", "recording_id"].min()
    assert "test part" in str(correct(f"{tested[0]}:001", "both", "why", "me"))
    assert "test part" not in str(correct(f"{other}:001", "both", "why", "me"))
    validate()
    split()
    assert read_table(PATHS.split / "assignment.parquet").equals(assignment), "no patient moves"
    assert Tables.corrected_in(PATHS)["part"].tolist() == ["test", "development"]


def test_a_withdrawal_removes_the_lines_of_the_patient(root: Path) -> None:
    correct(ITEM, "both", "why", "me")
    correct(f"{name_of(102)}:001", "both", "why", "me")
    correct(name_of(101), DROP, "why", "me")  # after the next validation no table of recordings names it
    validate()
    split()
    withdraw("101", "2026-11-25", root=root)
    assert [each.item for each in lines()] == [f"{name_of(102)}:001"]
    leave_out_of_raw(load("sample"), PATHS.raw, withdrawals.read("sample"))
    validate()
    assert read_table(PATHS.manifest / "corrections.parquet")["patient_id"].tolist() == ["102"]


def test_patients_keep_their_parts_where_labels_change_or_recordings_are_left_out(root: Path) -> None:
    before = read_table(PATHS.split / "assignment.parquet").set_index("recording_id")
    for number in range(101, 107):
        correct(f"{name_of(number)}:001", "normal", "why", "me")
    correct(name_of(107), DROP, "why", "me")
    validate()
    split()
    after = read_table(PATHS.split / "assignment.parquet").set_index("recording_id")
    assert after.equals(before.drop(index=name_of(107)))


def test_the_command_prints_json(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: {}\n")
    done = CliRunner().invoke(app, ["data", "correct", ITEM, "both", "--because", "why", "--by", "me", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["schema"] == 1 and said["correction"]["new"] == "both" and said["dry_run"] is False
