"""The page as a reader meets it: whole, offline, the same bytes, and honest."""

from __future__ import annotations

import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auscult.core import params
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_json, read_table, write_json, write_table
from auscult.reporting.report.table import results_table
from stages.report import main
from tests.evaluation import finished_pipeline as made


class Page(HTMLParser):
    """Collects addresses, pictures without words, headings and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.silent_pictures = 0
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "srcset", "action")]
        self.silent_pictures += tag == "img" and not known.get("alt")
        if "id" in known:
            self.ids.append(known["id"] or "")
        if tag not in ("meta", "img", "br", "link", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.fixture(scope="session")
def reported(evaluated_root: Path) -> Path:
    """The evaluated root with its report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(evaluated_root)
        main()
    return evaluated_root


@pytest.fixture
def html(reported: Path) -> str:
    return (reported / "reports/sample/index.html").read_text()


@pytest.fixture
def copy(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A copy that a test may change, as the current directory."""
    shutil.copytree(reported, tmp_path / "root")
    monkeypatch.chdir(tmp_path / "root")
    return Paths("sample")


def test_the_page_opens_offline_and_every_link_leads_somewhere(html: str) -> None:
    page = Page(html)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.open == []
    assert not re.search(r"@import|url\(\s*['\"]?http|<script", html)


def test_every_picture_has_words(html: str) -> None:
    assert Page(html).silent_pictures == 0
    assert html.count("<img") >= 3 * 4 + 4


def test_rejects_stand_there_with_their_reason_and_what_was_found_escaped(html: str) -> None:
    assert "999_broken" in html
    assert "2.1 s of &lt;8.0&gt; s" in html
    assert "-93.0 dBFS" in html
    assert "2 recordings are not used; some for several reasons" in html


def test_every_experiment_stands_there_with_its_interval_floors_and_verdict(html: str, reported: Path) -> None:
    for name in made.EXPERIMENTS:
        test = read_json(reported / f"reports/sample/experiments/{name}/evaluation.json")["parts"]["test"]
        score = test["metrics"]["score"]
        shown = score.get("no_interval") or " to ".join(f"{100 * score[end]:.1f}" for end in ("low", "high"))
        assert f'<article id="{name}">' in html
        assert f"({shown})" in unescape(html)


def test_what_does_not_beat_the_silent_floor_is_said_at_the_top_and_among_the_limits(html: str) -> None:
    top, rest = html.split("<main>", 1)
    assert "Not shown to hear more than these tell without listening: binary_logmel_cnn2d" in top
    assert "not a medical device" in rest
    assert "not shown to beat a model that never hears the audio" in rest
    assert "synthetic" in rest


def test_examples_come_from_training_recordings_only(html: str, reported: Path) -> None:
    shown = set(re.findall(r"of class \w+, recording (\S+)\"", html))
    split = read_table(reported / "data/sample/split/assignment.parquet").set_index("recording_id")
    assert len(shown) >= 3
    assert set(split.loc[list(shown), "part"]) == {"train"}


def test_the_same_inputs_give_the_same_bytes(copy: Paths) -> None:
    names = ("index.html", "summary.md")
    before = [(copy.reports / name).read_bytes() for name in names]
    main()
    assert [(copy.reports / name).read_bytes() for name in names] == before


def test_nothing_of_this_run_is_in_the_page(html: str, reported: Path) -> None:
    assert str(reported) not in html
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", re.sub(r"data:[^\"]+", "", html))


def test_worst_recordings_are_those_with_the_highest_mean_loss(html: str, reported: Path) -> None:
    table = read_table(reported / "reports/sample/experiments/sounds_logmel_cnn2d/predictions.parquet")
    loss = table[table["part"] == "test"].groupby("recording_id")["loss"].mean()
    article = html.split('<article id="sounds_logmel_cnn2d">')[1]
    rows = article.split("highest loss")[1].split("</details>")[0]
    assert re.findall(r"<code>(\S+)</code>", rows)[0] == loss.idxmax()


def test_no_reject_and_no_logmel_are_no_error(copy: Paths) -> None:
    rejects = read_table(copy.manifest / "rejects.parquet").iloc[:0]
    write_table(copy.manifest / "rejects.parquet", rejects, made.records.REJECT_COLUMNS)
    shutil.rmtree(copy.features("logmel"))
    main()
    assert "No recording was set aside" in (copy.reports / "index.html").read_text()


def test_an_undefined_score_is_shown_in_words_everywhere(copy: Paths) -> None:
    path = copy.evaluation("binary_logmel_cnn2d") / "evaluation.json"
    evaluation = read_json(path)
    words = {"undefined": "undefined: one class in the test part"}
    test = evaluation["parts"]["test"]
    test["metrics"]["score"] = words
    for baseline in test["baselines"].values():
        baseline["metrics"]["score"] = baseline["model_minus_this"] = words
    write_json(path, evaluation)
    main()
    page = (copy.reports / "index.html").read_text()
    assert "Cannot be judged on this test part" in page
    assert "undefined: one class in the test part" in (copy.reports / "summary.md").read_text()
    assert "undefined: one class in the test part" in results_table(copy, params.load())


def test_a_missing_evaluation_is_an_error_that_names_the_file_and_the_next_command(copy: Paths) -> None:
    (copy.evaluation("sounds_logmel_cnn2d") / "evaluation.json").unlink()
    with pytest.raises(DataError, match=r"evaluation.json does not exist") as caught:
        main()
    assert "dvc repro" in caught.value.next_step


def test_the_summary_has_one_row_per_experiment(reported: Path) -> None:
    text = (reported / "reports/sample/summary.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "_cnn2d" in line]
    assert len(rows) == len(made.EXPERIMENTS)
    assert len({row.count("|") for row in rows}) == 1
    assert "2 recordings set aside" in text


def test_the_terminal_table_names_every_experiment_and_those_not_evaluated(copy: Paths) -> None:
    (copy.evaluation("sounds_logmel_cnn2d") / "evaluation.json").unlink()
    table = results_table(copy, params.load())
    assert all(name in table for name in made.EXPERIMENTS)
    assert "not evaluated yet" in table
    assert "constant answer" in table
