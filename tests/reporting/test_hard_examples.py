"""Hard examples: wrong labels come first, only the development part is shown, and the page works offline."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from auscult.core import params
from auscult.core.errors import AuscultError, DataError
from auscult.core.paths import Paths
from auscult.core.storage import read_table
from auscult.core.tasks import Task
from auscult.reporting.hard_examples import PAGE, TABLE, ranked, write_hard_examples
from auscult.reporting.report.dataset import Tables
from tests.evaluation.conftest import evaluated, evaluated_root, finished
from tests.evaluation.finished_pipeline import EXPERIMENTS
from tests.reporting.report.test_page import Page

__all__ = ["evaluated", "evaluated_root", "finished"]
THREE = Task("sounds", "segment", ("normal", "crackle", "wheeze"), "normal", {})


@pytest.fixture
def predictions() -> tuple[pd.DataFrame, set[str]]:
    """Return predictions of 300 units that a model mostly knows, and the units whose labels were swapped: 5 %."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 300)
    p = rng.dirichlet(np.ones(3), 300) + 2.0 * np.eye(3)[true]
    p /= p.sum(axis=1, keepdims=True)
    swapped = rng.choice(300, 15, replace=False)
    given = true.copy()
    given[swapped] = (true[swapped] + 1) % 3
    table = pd.DataFrame(
        {
            "unit_id": [f"u{number:03d}" for number in range(300)],
            "recording_id": "r",
            "patient_id": "p",
            "part": "validation",
            "start_s": 0.0,
            "end_s": 1.0,
            "class_index": given,
            "predicted": p.argmax(axis=1),
            "loss": -np.log(p[np.arange(300), given]),
        }
    )
    for number, name in enumerate(THREE.classes):
        table[f"p_{name}"] = p[:, number].round(9)
    return table, {f"u{number:03d}" for number in swapped}


@pytest.mark.parametrize("ranking", ["loss", "margin"])
def test_swapped_labels_are_among_the_first_tenth(predictions: tuple[pd.DataFrame, set[str]], ranking: str) -> None:
    table, swapped = predictions
    found = ranked(table, THREE, ranking)  # type: ignore[arg-type]
    assert len(swapped & set(found["item"].head(30))) >= 14
    assert found["suspected"].sum() >= 14 and len(swapped & set(found.loc[found["suspected"], "item"])) >= 14


def test_each_ranking_has_its_order_and_the_margin_is_that_of_the_probabilities(
    predictions: tuple[pd.DataFrame, set[str]],
) -> None:
    table, _ = predictions
    by_loss, by_margin = (ranked(table, THREE, each) for each in ("loss", "margin"))  # type: ignore[arg-type]
    assert by_loss["loss"].is_monotonic_decreasing
    suspected = by_margin["suspected"].to_numpy()
    assert (np.diff(suspected.astype(int)) <= 0).all(), "the suspected ones come first"
    for which in (suspected, ~suspected):
        assert by_margin.loc[which, "margin"].is_monotonic_increasing
    p = by_loss[[f"p_{name}" for name in THREE.classes]].to_numpy()
    y = np.array([THREE.classes.index(label) for label in by_loss["label"]])
    others = np.where(np.eye(3, dtype=bool)[y], -1.0, p).max(axis=1)
    assert np.allclose(by_loss["margin"], p[np.arange(300), y] - others, atol=1e-6)


def test_the_page_shows_the_hardest_units_of_the_development_part_with_picture_and_sound(evaluated: Paths) -> None:
    known = params.load().evaluated
    name = next(iter(EXPERIMENTS))
    written = write_hard_examples(evaluated, name, known, 5, "loss")
    predictions = read_table(evaluated.evaluation(name) / "predictions.parquet")
    own = predictions[predictions["part"] == "validation"]
    table = pd.read_csv(written.page.with_name(TABLE))
    assert len(table) == written.units == len(own) and set(table["item"]) == set(own["unit_id"])
    html = written.page.read_text()
    page = Page(html)
    assert not page.open and not page.images_without_alt
    assert all(each.startswith(("data:", "#")) for each in page.addresses), "it needs no network"
    shown = re.findall(r"<h3><code>([^<]+)</code></h3>", html)
    assert (
        shown == table["item"].head(5).tolist() == own.sort_values("loss", ascending=False)["unit_id"].head(5).tolist()
    )
    assert html.count("data:image/png") == html.count("data:audio/wav") == 5
    again = write_hard_examples(evaluated, name, known, 5, "loss")
    assert again.page.read_text() == html, "the same inputs give the same bytes"


def test_predictions_that_are_older_than_the_data_are_an_error(
    evaluated: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(EXPERIMENTS))
    before = Tables.read(evaluated)
    fewer = replace(before, segments=before.segments.iloc[1:], recordings=before.recordings.iloc[1:])
    monkeypatch.setattr(Tables, "read", lambda paths: fewer)
    with pytest.raises(DataError, match="have changed since") as caught:
        write_hard_examples(evaluated, name, params.load().evaluated, 5, "loss")
    assert "auscult run" in caught.value.next_step


def test_an_experiment_that_there_is_not_or_that_was_not_evaluated_is_an_error(evaluated: Paths) -> None:
    known = params.load().evaluated
    with pytest.raises(AuscultError, match="no experiment 'x'") as caught:
        write_hard_examples(evaluated, "x", known, 5, "loss")
    assert next(iter(known)) in caught.value.next_step
    with pytest.raises(DataError, match="was not evaluated"):
        write_hard_examples(Paths("icbhi"), next(iter(known)), known, 5, "loss")
    assert not (evaluated.hard_examples("x") / PAGE).exists()
