"""The stage validate skips withdrawn patients whose files are still in the raw folder or in an addition."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.storage import read_json, read_table
from auscult.core.withdrawals import Withdrawals
from stages.validate import main
from tests.validation.small_data_set import AUDIO, PATHS, breath, make_data_set, make_delivery, name_of, put_batch


def test_withdrawn_patients_are_counted_and_in_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    make_data_set(tmp_path, patients=5)
    monkeypatch.chdir(tmp_path)
    put_batch(tmp_path, make_delivery(tmp_path / "delivery", {name_of(103, 7): breath(7), name_of(301): breath(8)}))
    broken = PATHS.raw / AUDIO / f"{name_of(103, 2)}.wav"
    broken.write_bytes(broken.read_bytes()[:500])
    # Rejected as a copy of another patient's recording before; accepted once that patient has withdrawn.
    copied = PATHS.raw / AUDIO / f"{name_of(103)}.wav"
    (PATHS.raw / AUDIO / f"{name_of(104)}.wav").write_bytes(copied.read_bytes())
    withdrawals.write(Withdrawals("sample", {patient_key("sample", "103"): "2026-11-25"}))
    main()
    recordings = read_table(PATHS.manifest / "recordings.parquet")
    assert set(recordings["patient_id"]) == {"101", "102", "104", "105", "301"}
    assert name_of(104) in set(recordings["recording_id"])
    assert read_table(PATHS.manifest / "rejects.parquet").empty
    texts = [path.read_bytes() for path in PATHS.manifest.iterdir()]
    assert not any(b"103_" in text for text in texts)
    assert "withdrawn patients, who are left out: 1" in read_json(PATHS.manifest / "summary.json")["notes"]
    assert "103_" not in caplog.text and "accepted" in caplog.text
