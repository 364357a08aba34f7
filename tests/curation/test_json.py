"""``--json`` of ``auscult data add``, ``withdraw`` and ``purge``: one shape each, which ``--help`` lists."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from auscult.cli.main import app, main
from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.curation.additions import add_all
from auscult.curation.withdrawals.purge import planned
from auscult.datasets import load
from tests.curation.data_history import dvc, repository, version, withdraw
from tests.validation.small_data_set import breath, make_delivery, name_of, write_into


def answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, code: int = 0
) -> dict[str, Any]:
    """Run ``auscult data … --json``; its output is JSON whose keys are in the command's help."""
    Path("dvc.yaml").touch()
    monkeypatch.setattr("auscult.cli.main.prepare", lambda: None)
    monkeypatch.setattr(sys, "argv", ["auscult", "data", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert (ended.value.code or 0) == code, printed.err
    found: dict[str, Any] = json.loads(printed.out)
    shown = CliRunner().invoke(app, ["data", words[0], "--help"]).output
    assert not [key for key in found if key not in shown]
    return found


def test_add_reports_what_is_added_present_and_rejected(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_delivery(tmp_path / "delivery", {name_of(104, 5): breath(1), name_of(301): breath(2)})
    write_into(folder, name_of(102), breath(11))  # a present name, another sound
    (folder / "ICBHI_Challenge_diagnosis.txt").write_text("102\tCOPD\n104\tURTI\n301\tHealthy\n")
    (folder / "ICBHI_Challenge_demographic_information.txt").write_text(
        "102\t42\tM\t22\tNA\tNA\n104\t44\tM\t22\tNA\tNA\n301\t21\tF\t22\tNA\tNA\n"
    )
    for words in (["--dry-run"], []):
        found = answer(capsys, monkeypatch, "add", str(folder), *words)
        assert (found["schema"], found["dataset"], found["dry_run"]) == (1, "sample", bool(words))
        assert (found["accepted"], found["present"]) == ([name_of(104, 5), name_of(301)], [])
        assert [(each["recording_id"], each["reason"]) for each in found["rejected"]] == [
            (name_of(102), "duplicate_id")
        ]
        assert (list(found["parts"]), found["new_patients"]) == (["104", "301"], ["301"])
    assert [path.stem for path in (root / "data/added/sample").glob("*.dvc")] == found["batches"]


def test_add_of_nothing_reports_the_reasons_and_ends_with_2(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw_key = withdrawals.Withdrawals("sample", {patient_key("sample", "301"): "2026-11-25"})
    withdrawals.write(withdraw_key, root)
    folder = make_delivery(tmp_path / "delivery", {name_of(301): breath(2), name_of(302): breath(3)})
    (folder / "ICBHI_final_database" / f"{name_of(302)}.wav").write_bytes(b"")
    found = answer(capsys, monkeypatch, "add", str(folder), code=2)
    assert [(each["recording_id"], each["reason"]) for each in found["rejected"]] == [
        ("", "withdrawn"),
        (name_of(302), "unreadable"),
    ]
    assert found["accepted"] == found["batches"] == []


def test_add_prints_names_that_are_not_utf_8(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_delivery(tmp_path / "delivery", {name_of(301): breath(2)})
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"RIFF")
    found = answer(capsys, monkeypatch, "add", str(folder), "--dry-run")
    assert [each["recording_id"] for each in found["rejected"]] == [r"caf\xe9.wav"]
    str(add_all("sample", folder, dry_run=True)).encode("utf-8")


def test_withdraw_reports_what_it_affects(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["--dry-run"], []):
        found = answer(capsys, monkeypatch, "withdraw", "104", "--since", "2026-11-25", *words)
        part = found.pop("parts")
        assert len(part) == 1 and part[0] in ("development", "test")
        assert found == {
            "schema": 1,
            "dataset": "sample",
            "patient": "104",
            "since": "2026-11-25",
            "dry_run": bool(words),
            "recordings": 2,
            "segments": 4,
            "additions": 0,
            "models": [],
            "registered": [],
            "look_alikes": [],
        }
    assert withdrawals.read("sample", root).holds("104")


def test_purge_reports_what_is_removed_and_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path)
    dvc(root, "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    lost = version(root, 101, 102)
    dvc(root, "push", "-q")
    version(root, 101)
    table = withdraw(root, 102)
    monkeypatch.chdir(root)

    def purge(*, dry_run: bool, **_: object) -> Any:
        with planned(root, load("sample"), table, None) as plan:
            if not dry_run:
                plan.carry_out()
        return plan

    monkeypatch.setattr("auscult.curation.withdrawals.purge.purge", purge)
    plan = answer(capsys, monkeypatch, "purge", "--dry-run")
    assert (plan["schema"], plan["dataset"], plan["dry_run"], plan["patients"]) == (1, "sample", True, 1)
    assert plan["commits"] == [lost] and plan["unknown_commits"] == 0
    assert [each["name"] for each in plan["stores"]] == ["DVC's cache", "the remote store"]
    assert all(each["objects"] > 0 for each in plan["stores"])
    assert plan["mlflow"] == {"versions": [], "runs": [], "models": []}
    (tmp_path / "store").rename(tmp_path / "unplugged")
    done = answer(capsys, monkeypatch, "purge", code=2)
    assert done["dry_run"] is False and len(done["problems"]) == 1
    assert done["stores"] == plan["stores"][:1]
