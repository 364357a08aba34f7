"""The withdrawal table contains keys only and is checked line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult import datasets
from auscult.core import withdrawals
from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.paths import DATA_DIR, WITHDRAWN_DIR, Paths
from auscult.core.withdrawals import Withdrawals

ROOT = Path(__file__).parents[2]


def table(root: Path, text: str) -> Path:
    path = root / Paths("sample").withdrawn
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_has_the_two_files_that_stages_depend_on(name: str) -> None:
    assert (ROOT / Paths(name).withdrawn).exists(), "create it: auscult run"
    assert (ROOT / Paths(name).pinned_split).exists(), "create it: auscult run"
    withdrawals.read(name, ROOT)


def test_no_data_set_is_named_like_the_folder() -> None:
    assert WITHDRAWN_DIR.relative_to(DATA_DIR).as_posix() not in datasets.names()


def test_missing_files_are_created_and_existing_ones_kept(tmp_path: Path) -> None:
    withdrawals.make_ready("sample", tmp_path)
    path = table(tmp_path, f"patient,since\n{patient_key('sample', '101')},2026-01-31\n")
    before = path.read_text()
    withdrawals.make_ready("sample", tmp_path)
    assert path.read_text() == before and (tmp_path / Paths("sample").pinned_split).read_text() == "{}\n"


def test_a_written_table_is_read_back_and_matches_by_key(tmp_path: Path) -> None:
    withdrawals.write(
        Withdrawals("sample", {patient_key("sample", name): "2026-01-31" for name in ("7", "8")}), tmp_path
    )
    read = withdrawals.read("sample", tmp_path)
    assert read.holds("7") and read.holds("8") and not read.holds("9") and not read.holds("") and not read.holds(None)
    assert read.any_of(["9", "8"]) and not read.any_of(["9", None]) and len(read) == 2
    assert not withdrawals.read("icbhi", tmp_path), "patient 7 of another data set is another person"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("patient\n", 1),
        ("patient,since\n101,2026-01-31\n", 2),
        ("patient,since\n0123456789abcdef,31.1.2026\n", 2),
        ("patient,since\n0123456789abcdef,2026-01-31\n<<<<<<< HEAD\n", 3),
    ],
    ids=["empty", "header", "an id", "a date", "a merge"],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, line: int) -> None:
    path = table(tmp_path, text)
    with pytest.raises(DataError, match=f"line {line} of sample.csv") as caught:
        withdrawals.read("sample", tmp_path)
    assert caught.value.where == f"{path}:{line}"
