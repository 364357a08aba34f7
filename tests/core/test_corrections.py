"""The table of corrections is read line by line, and a fault names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from auscult import datasets
from auscult.core import corrections
from auscult.core.corrections import DROP, Correction
from auscult.core.errors import DataError
from auscult.core.paths import CORRECTIONS_DIR, DATA_DIR, Paths

ROOT = Path(__file__).parents[2]
HEADER = "item,old,new,by,because,on"


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_has_a_table_because_a_stage_depends_on_it(name: str) -> None:
    assert (ROOT / Paths(name).corrections).exists(), "create it: auscult run"
    corrections.read(name, ROOT)


def test_no_data_set_is_named_like_the_folder() -> None:
    assert CORRECTIONS_DIR.relative_to(DATA_DIR).as_posix() not in datasets.names()


def test_a_written_table_is_read_back_in_its_order(tmp_path: Path) -> None:
    table = [
        Correction("r1:002", "crackle", "normal", "A. B.", 'friction, "no crackle"', "2026-11-25"),
        Correction("r1", "", DROP, "Ärztin", "wrong chest piece", "2026-11-26"),
    ]
    corrections.write("sample", table, tmp_path)
    assert corrections.read("sample", tmp_path) == table
    assert [each.recording_id for each in table] == ["r1", "r1"]
    corrections.make_ready("sample", tmp_path)
    assert corrections.read("sample", tmp_path) == table, "an existing table is kept"


def test_a_spreadsheets_byte_order_mark_and_blanks_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / Paths("sample").corrections
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n r1 ,a, b,me,why,2026-11-25\r\n".encode())
    assert corrections.read("sample", tmp_path) == [Correction("r1", "a", "b", "me", "why", "2026-11-25")]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("item,old,new\n", 1, "header"),
        (f"{HEADER}\nr1,a,b,me,why\n", 2, "5 fields"),
        (f"{HEADER}\nr1,a,b,me,why,2026-11-25\nr2,a,,me,why,2026-11-25\n", 3, "'new'"),
        (f"{HEADER}\nr1,a,b,,why,2026-11-25\n", 2, "'by'"),
        (f"{HEADER}\nr1,a,b,me,,2026-11-25\n", 2, "'because'"),
        (f"{HEADER}\nr1,a,b,me,why,25.11.2026\n", 2, "'25.11.2026'"),
        (f"{HEADER}\n<<<<<<< HEAD\n", 2, "1 fields"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = tmp_path / Paths("sample").corrections
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DataError, match=problem) as caught:
        corrections.read("sample", tmp_path)
    assert str(caught.value.where).endswith(f"sample.csv:{line}")
