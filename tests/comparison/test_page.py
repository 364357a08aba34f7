"""The page: self-contained, complete, and with every string of the document escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from auscult.comparison.document import Count, Data
from auscult.comparison.page import write_page
from auscult.comparison.verdict import verdict
from tests.comparison.documents import golden
from tests.comparison.test_markdown import HOSTILE, hostile


@pytest.mark.parametrize("name", ["better", "refused", "no_base", "removed", "other_data"])
def test_the_page_is_complete_and_needs_no_network(tmp_path: Path, name: str) -> None:
    made = golden()[name]
    write_page(tmp_path / "page.html", made)
    html = (tmp_path / "page.html").read_text()
    assert verdict(made).headline in html
    for each in made.experiments:
        assert each.name in html
    noticed = [metric for each in made.experiments if (metric := each.score("validation")) and metric.noticeable]
    for metric in noticed:
        assert metric.noticeable is not None and f"noticed from {100 * metric.noticeable:.1f}<" in html
    for fault in (made.base.fault, made.head.fault):
        assert fault in html
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|@import|url\(""", html)
    assert ('<i class="bar"' in html) == (name in ("better", "refused", "other_data")), "intervals are drawn"


def test_intervals_are_drawn_to_scale(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", golden()["perhaps"])  # validation +7 to +13, test −10 to +30
    scores = (tmp_path / "page.html").read_text().partition("</section>")[0]
    drawn = [float(each) for each in re.findall(r"(?:left|width):([\d.]+)%", scores)]
    assert drawn == pytest.approx([61.67, 10.0, 66.67, 33.33, 66.67, 66.67], abs=0.01)


def test_a_missed_limit_of_the_gate_is_shown_with_its_value_and_that_of_base(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", golden()["refused"])
    html = (tmp_path / "page.html").read_text()
    row = html.partition("Limits of the gate")[2].partition("</tr>")[2]
    assert re.findall(r"\d+\.\d", row)[:3] == ["5.0", "20.0", "43.0"]
    assert html.count("✕ gate") == 2 and "✕ gate (base too)" in html.replace("\N{NO-BREAK SPACE}", " ")


def test_large_counts_are_shown_in_full(tmp_path: Path) -> None:
    data = Data("sample-1", "sample-2", True, (Count("segments", 1_234_567, 1_234_568),))
    write_page(tmp_path / "page.html", replace(golden()["other_data"], data=data))
    html = (tmp_path / "page.html").read_text()
    assert ">1,234,567<" in html and ">1,234,568<" in html


@pytest.mark.parametrize("text", [HOSTILE[4], HOSTILE[5], '" onload="evil'])
def test_untrusted_strings_are_escaped(tmp_path: Path, text: str) -> None:
    write_page(tmp_path / "page.html", hostile(text))
    html = (tmp_path / "page.html").read_text()
    assert "evil" in html
    assert "<script>" not in html and 'onload="' not in html and 'href="https' not in html
