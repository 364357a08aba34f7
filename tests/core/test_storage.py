"""Outputs are complete or absent; tables have exactly the documented columns."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.core.errors import AuscultError, DataError
from auscult.core.records import REJECT_COLUMNS
from auscult.core.storage import (
    ArrayWriter,
    copying_content_only,
    open_array,
    read_json,
    read_table,
    replacing_file,
    replacing_folder,
    sweep_leftovers,
    write_json,
    write_table,
)


def test_a_folder_is_replaced_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with replacing_folder(target) as scratch:
        (scratch / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(target) as scratch:
        (scratch / "a").write_text("half")
        raise RuntimeError
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_replacing_a_folder_removes_old_files(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name in ("old", "new"):
        with replacing_folder(target) as scratch:
            (scratch / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_temporary_files_of_a_kill_are_removed_and_a_renamed_target_is_restored(tmp_path: Path) -> None:
    (tmp_path / ".out.abc.part").mkdir()
    (tmp_path / ".out.def.old").mkdir()
    (tmp_path / ".out.def.old" / "a").write_text("good")
    sweep_leftovers(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_a_users_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.json"
    write_json(target, {"good": True})
    with pytest.raises(AuscultError, match="no space left"), replacing_file(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert read_json(target) == {"good": True}


@pytest.fixture
def without_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that has no modes, such as exFAT, refuses every chmod."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)


@pytest.mark.usefixtures("without_modes")
def test_a_share_that_refuses_modes_gets_files_and_folders(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "out") as scratch:
        write_json(scratch / "a.json", 1)
    assert read_json(tmp_path / "out/a.json") == 1
    with pytest.raises(PermissionError):
        shutil.copy2(tmp_path / "out/a.json", tmp_path / "b.json")
    with copying_content_only():
        shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert read_json(tmp_path / "copy/a.json") == 1


def test_a_folder_that_cannot_be_written_is_a_users_error_that_names_the_file(tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", f"{tmp_path}/.x.json.abc.part")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(AuscultError, match=r"/x\.json"):
            write_json(tmp_path / "x.json", 1)


def test_a_refused_input_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(AuscultError, match=r"in\.wav") as raised, replacing_file(tmp_path / "x.json"):
        raise PermissionError(errno.EACCES, "Permission denied", "raw/in.wav")
    assert "x.json" not in str(raised.value)


def test_json_rejects_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"auc": float("nan")})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("content", [None, "{"])
def test_missing_or_broken_json_names_the_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json"):
        read_json(path)


def test_a_table_keeps_types_and_descriptions(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pd.DataFrame({"recording_id": ["a"], "reason": ["silent"], "detail": [None]})
    write_table(tmp_path / "t.parquet", table, REJECT_COLUMNS)
    assert read_table(tmp_path / "t.parquet")["recording_id"].tolist() == ["a"]
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.field("reason").metadata[b"description"].decode() == REJECT_COLUMNS["reason"][1]


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pd.DataFrame(columns=list(REJECT_COLUMNS)), REJECT_COLUMNS)
    assert list(read_table(tmp_path / "t.parquet").columns) == list(REJECT_COLUMNS)


def test_an_undocumented_column_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="extra"):
        write_table(tmp_path / "t.parquet", pd.DataFrame(columns=[*REJECT_COLUMNS, "extra"]), REJECT_COLUMNS)


def test_a_damaged_table_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"t\.parquet"):
        read_table(tmp_path / "t.parquet")


def test_appended_rows_equal_the_array(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    with ArrayWriter(tmp_path / "a.npy", rows.shape) as writer:
        for row in rows:
            writer.append(row)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), rows)
    np.testing.assert_array_equal(open_array(tmp_path / "a.npy"), rows)


def test_an_empty_array_can_be_opened(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "a.npy", (0, 3, 2)):
        pass
    assert open_array(tmp_path / "a.npy").shape == (0, 3, 2)


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_or_too_many_rows_are_an_error(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError), ArrayWriter(tmp_path / "a.npy", (2, 4)) as writer:
        for _ in range(count):
            writer.append(np.zeros(4))
