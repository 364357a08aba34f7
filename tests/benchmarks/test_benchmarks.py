"""The generated recordings pass the stages; the written result holds no host name and no path."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path

import pandas as pd
import pytest

from auscult.core import params
from auscult.core.errors import AuscultError
from auscult.core.records import SEGMENT_COLUMNS
from auscult.core.storage import read_table, write_table
from benchmarks import Measurement, __main__, many_recordings, planted_losses
from benchmarks.process import REPOSITORY, cost
from benchmarks.recordings import PATHS, forget_results, make_root


def test_generated_recordings_pass_resample(tmp_path: Path) -> None:
    make_root(tmp_path, 11)
    spent = cost(["-m", "stages.resample"], tmp_path)
    assert spent.wall_s > 0
    assert spent.peak_mib > 10
    index = read_table(tmp_path / PATHS.audio / "index.parquet")
    assert len(index) == 11
    assert (index["length"] >= 20 * params.load(tmp_path / "params.yaml").resample.sample_rate_hz).all()
    forget_results(tmp_path, cache=True)
    assert not (tmp_path / ".cache").exists()
    assert (tmp_path / PATHS.raw / "rec00000.wav").exists()


def test_only_the_adapter_imports_dvc() -> None:
    folders = ("auscult", "stages", "flows", "benchmarks")
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")]
    importing = [file.name for file in files if re.search(r"^\s*(from|import) dvc(_\w+)?\b", file.read_text(), re.M)]
    assert importing == ["dvc_internals.py"]


def test_many_short_recordings_pass_validation(tmp_path: Path) -> None:
    many_recordings.make_repository(tmp_path, 17)
    cost(["-m", "stages.validate"], tmp_path)
    manifest = tmp_path / many_recordings.PATHS.manifest
    assert len(read_table(manifest / "recordings.parquet")) == 17
    assert len(read_table(manifest / "segments.parquet")) == 17 * many_recordings.CYCLES
    assert read_table(manifest / "rejects.parquet").empty


def test_a_command_that_fails_stops_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(AuscultError, match="no such thing"):
        cost(["-c", "raise SystemExit('no such thing')"], tmp_path)


def test_values_of_groups_that_are_not_run_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    __main__._write([Measurement("smote.seconds", "a", 1.0, "s"), Measurement("dvc.repro", "b", 2.0, "s", "x", False)])
    merged = __main__._merged([Measurement("smote.seconds", "a", 3.0, "s")], ("smote",))
    assert {one.name: one.value for one in merged} == {"dvc.repro": 2.0, "smote.seconds": 3.0}
    text = __main__.RESULT.read_text() + __main__.TABLE.read_text()
    assert json.loads(__main__.RESULT.read_text())["machine"]["cores"] >= 1
    assert "**missed**" in text
    assert platform.node() not in text
    assert str(tmp_path) not in text
    assert os.environ.get("HOME", "/root") not in text


@pytest.mark.parametrize("mistake", planted_losses.MISTAKES)
def test_a_planted_mistake_changes_what_it_names_and_labels_are_restored(tmp_path: Path, mistake: str) -> None:
    """It is planted before every training: a second time changes nothing."""
    batches, segments = tmp_path / "auscult/training/batches.py", tmp_path / "data/sample/manifest/segments.parquet"
    batches.parent.mkdir(parents=True)
    segments.parent.mkdir(parents=True)
    for file in (batches, tmp_path / params.FILE):
        file.write_bytes((REPOSITORY / file.relative_to(tmp_path)).read_bytes())
    columns = {name: [""] * 5 for name, (kind, _) in SEGMENT_COLUMNS.items() if kind == "string"}
    columns |= {name: [0] * 5 for name, (kind, _) in SEGMENT_COLUMNS.items() if kind != "string"}
    write_table(
        segments,
        pd.DataFrame(columns | {"label": ["crackle", "both", "crackle", "crackle", "normal"]}),
        SEGMENT_COLUMNS,
    )
    before, planted = params.load(tmp_path / params.FILE), planted_losses.MISTAKES[mistake]
    for _ in range(2):
        planted.before(tmp_path)
        low_hz = params.load(tmp_path / params.FILE).resample.low_hz
        wrong = read_table(segments)["label"].tolist()
        broken = "= 1.0, 0.5" in batches.read_text()
        planted.after(tmp_path)
        assert read_table(segments)["label"].tolist() == ["crackle", "both", "crackle", "crackle", "normal"]
    assert (low_hz != before.resample.low_hz) == (mistake == "filter") == planted.features
    assert (wrong == ["normal", "both", "crackle", "normal", "normal"]) == (mistake == "labels")
    assert broken == (mistake == "augmentation")
