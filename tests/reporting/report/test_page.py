"""The report: well-formed, self-contained, reproducible, with every result and its limits."""

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
from auscult.reporting.report.summary import results_table
from auscult.reporting.report.verdict import points, verdict
from stages.report import main
from tests.evaluation import finished_pipeline as made


class Page(HTMLParser):
    """Collects addresses, ids and images without a description, and checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images_without_alt = 0
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "srcset", "action")]
        self.images_without_alt += tag == "img" and not known.get("alt")
        if "id" in known:
            self.ids.append(known["id"] or "")
        if tag not in ("meta", "img", "br", "link", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.fixture(scope="session")
def reported(evaluated_root: Path) -> Path:
    """Return the evaluated root with its report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(evaluated_root)
        main()
    return evaluated_root


@pytest.fixture
def html(reported: Path) -> str:
    return (reported / "reports/sample/index.html").read_text()


@pytest.fixture
def copy(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Make a copy that a test may change the current directory."""
    shutil.copytree(reported, tmp_path / "root")
    monkeypatch.chdir(tmp_path / "root")
    return Paths("sample")


def test_the_page_is_self_contained_and_well_formed(html: str) -> None:
    page = Page(html)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.open == []
    assert not re.search(r"@import|url\(\s*['\"]?http|<script", html)


def test_every_image_has_a_description(html: str) -> None:
    assert Page(html).images_without_alt == 0
    assert html.count("<img") >= 3 * 4 + 4


def test_rejected_recordings_are_listed_with_the_measured_value_escaped(html: str) -> None:
    assert "999_broken" in html
    assert "2.1 s of &lt;8.0&gt; s" in html
    assert "-93.0 dBFS" in html
    assert "2 recordings are not used" in html


def test_every_experiment_is_shown_with_its_interval_baselines_and_verdict(html: str, reported: Path) -> None:
    for name in made.EXPERIMENTS:
        test = read_json(reported / f"reports/sample/experiments/{name}/evaluation.json")["parts"]["test"]
        score = test["metrics"]["score"]
        shown = score.get("no_interval") or " to ".join(f"{100 * score[end]:.1f}" for end in ("low", "high"))
        assert f'<article id="{name}">' in html
        assert f"({shown})" in unescape(html)
        for baseline in test["baselines"].values():
            assert points(baseline["metrics"]["score"]["value"]) in html
        assert verdict({"parts": {"test": test, "validation": test}}).headline in html


def test_an_experiment_that_does_not_beat_the_metadata_only_baseline_is_named_in_the_lead_and_the_limits(
    html: str,
) -> None:
    top, rest = html.split("<main>", 1)
    assert "binary_logmel_cnn2d" in top
    assert "not a medical device" in rest
    assert "metadata-only baseline" in rest.split('<section id="limits">')[1]
    assert "synthetic" in rest


def test_examples_come_from_the_development_part_only(html: str, reported: Path) -> None:
    shown = set(re.findall(r"of class \w+, recording (\S+)\"", html))
    split = read_table(reported / "data/sample/split/assignment.parquet").set_index("recording_id")
    assert len(shown) >= 3
    assert set(split.loc[list(shown), "part"]) == {"development"}


def test_the_same_inputs_give_the_same_bytes(copy: Paths) -> None:
    names = ("index.html", "summary.md")
    before = [(copy.reports / name).read_bytes() for name in names]
    main()
    assert [(copy.reports / name).read_bytes() for name in names] == before


def test_the_page_holds_no_path_and_no_time_of_this_run(html: str, reported: Path) -> None:
    assert str(reported) not in html
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", re.sub(r"data:[^\"]+", "", html))


def test_the_recordings_with_the_highest_mean_loss_are_listed_first(html: str, reported: Path) -> None:
    table = read_table(reported / "reports/sample/experiments/sounds_logmel_cnn2d/predictions.parquet")
    loss = table[table["part"] == "test"].groupby("recording_id")["loss"].mean()
    article = html.split('<article id="sounds_logmel_cnn2d">')[1]
    rows = article.split("highest loss")[1].split("</details>")[0]
    assert re.findall(r"<code>(\S+)</code>", rows)[0] == loss.idxmax()


def test_the_report_needs_neither_rejects_nor_logmel_features(copy: Paths) -> None:
    rejects = read_table(copy.manifest / "rejects.parquet").iloc[:0]
    write_table(copy.manifest / "rejects.parquet", rejects, made.records.REJECT_COLUMNS)
    shutil.rmtree(copy.features("logmel"))
    main()
    assert "No recording was rejected" in (copy.reports / "index.html").read_text()


def test_the_reason_of_an_undefined_score_is_shown_everywhere(copy: Paths) -> None:
    path = copy.evaluation("binary_logmel_cnn2d") / "evaluation.json"
    evaluation = read_json(path)
    undefined = {"undefined": "undefined: one class in the test part"}
    test = evaluation["parts"]["test"]
    test["metrics"]["score"] = undefined
    for baseline in test["baselines"].values():
        baseline["metrics"]["score"] = baseline["model_minus_this"] = undefined
    write_json(path, evaluation)
    main()
    page, summary = ((copy.reports / name).read_text() for name in ("index.html", "summary.md"))
    assert all(undefined["undefined"] in text for text in (page, summary, results_table(copy, params.load())))


def test_a_missing_evaluation_is_an_error_with_file_and_next_command(copy: Paths) -> None:
    (copy.evaluation("sounds_logmel_cnn2d") / "evaluation.json").unlink()
    with pytest.raises(DataError, match=r"evaluation.json does not exist") as caught:
        main()
    assert "auscult run" in caught.value.next_step


def test_the_summary_has_one_row_per_experiment(reported: Path) -> None:
    text = (reported / "reports/sample/summary.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "_cnn2d" in line]
    assert len(rows) == len(made.EXPERIMENTS)
    assert len({row.count("|") for row in rows}) == 1
    assert "2 recordings rejected" in text


def test_the_terminal_table_has_every_experiment_and_marks_those_not_evaluated(copy: Paths) -> None:
    (copy.evaluation("sounds_logmel_cnn2d") / "evaluation.json").unlink()
    table = results_table(copy, params.load())
    assert all(name in table for name in made.EXPERIMENTS)
    assert table.count("not evaluated yet") == 1
