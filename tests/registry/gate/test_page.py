"""The record of a decision as a page and as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auscult.core.digests import patient_key
from auscult.registry.gate.allowance import Spent
from auscult.registry.gate.noise import NOT_MEASURED, Noise, Spread
from auscult.registry.gate.page import markdown, write_page
from auscult.registry.gate.rule import Contender, decide
from tests.registry.gate.simulated import DATASET, SETTINGS, contender, settings, simulate


def record(challenger: Contender, champion: Contender | None) -> dict[str, Any]:
    """Return the record as a retraining keeps it."""
    decision = decide(DATASET, challenger, champion, SETTINGS)
    return {"dataset": DATASET, "experiment": "abnormal_logmel_cnn2d", "run": "retrain-1", **decision.to_json()}


def page(folder: Path, of: dict[str, Any]) -> str:
    write_page(folder / "index.html", of)
    return (folder / "index.html").read_text()


def shown(interval: dict[str, float], *, sign: bool = False) -> str:
    value, low, high = (f"{100 * interval[key]:{'+' * sign}.1f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def test_the_page_is_self_contained_and_shows_both_models_the_rule_and_the_limits(tmp_path: Path) -> None:
    new, old = simulate(1.6, 0.8)
    learned = frozenset({patient_key(DATASET, "p7")})
    of = record(contender(new, "12", latency_ms=41.0), contender(old, "11", size_mb=1.25, learned_from=learned))
    html = page(tmp_path, of)
    assert (of["outcome"], of["rule"]) == ("promote", "better")
    for text in (html, markdown(of)):
        assert "Promote" in text and "the interval of the difference lies above zero" in text
        assert "version 12" in text and "version 11" in text
        assert shown(of["difference"], sign=True) in text
        for interval in (of["challenger"]["score"], of["champion"]["score"]):
            assert shown(interval) in text
        assert f"{100 * of['champion']['metrics']['specificity']:.1f}" in text
        assert "41 ms" in text and "1.25 MB" in text
        assert "of 39 patients" in text and "the champion has learned from them: 1" in text
    assert "gate.max_calibration_error" in html
    assert not any(reference in html for reference in ("http", "src=", "href=", "@import", "url("))


def test_a_first_model_is_shown_beside_the_constant_answer(tmp_path: Path) -> None:
    (new,) = simulate(1.2)
    of = record(contender(new, "1"), None)
    assert of["rule"] == "first"
    assert "| | challenger | constant answer |" in markdown(of)
    assert "champion |" not in markdown(of)
    html = page(tmp_path, of)
    assert "Constant answer</th>" in html and 'class="margin"' not in html
    assert shown(of["constant"]) in markdown(of)


@pytest.mark.parametrize(("champion", "beside"), [("1", "version 1"), (None, "none")])
def test_a_refusal_without_a_comparison_names_both_models(tmp_path: Path, champion: str | None, beside: str) -> None:
    (new,) = simulate(1.2)
    broken = contender(None, "2", fault="ValueError: <b>no such file</b>")
    of = record(broken, contender(new, champion) if champion else None)
    assert of["challenger"] == {"version": "2", "digest": "digest-2"}
    for text in (page(tmp_path, of), markdown(of)):
        assert "Refuse" in text and "the challenger fails" in text
        assert f"Challenger: version 2; champion: {beside}; not compared." in text
    assert "&lt;b&gt;no such file" in page(tmp_path, of)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (
            Noise("measured", {"test": {"score": Spread(0.031, 4.0)}}),
            "measured for this experiment: a standard deviation of 3.1",
        ),
        (Noise("pooled", {"test": {"score": Spread(0.031, 4.0)}}), "3.1 points, an estimate with 4 degrees of freedom"),
        (NOT_MEASURED, "not measured: a standard deviation of 4.2 points is assumed"),
        (None, "no seed moves a constant answer"),
    ],
)
def test_the_record_says_which_noise_is_covered_and_what_gain_would_be_noticed(
    tmp_path: Path, noise: Noise | None, words: str
) -> None:
    new, old = simulate(1.3, 1.0)
    champion = contender(old, "1") if noise is not None else None
    decision = decide(
        DATASET,
        contender(new, "2"),
        champion,
        settings(seed_deviation=0.042),
        noise=noise or NOT_MEASURED,
        spent=Spent(errors=0.1, loss=0.004),
    )
    of = {"dataset": DATASET, "experiment": "abnormal_logmel_cnn2d", "run": "retrain-1", **decision.to_json()}
    assert "\n\nThe interval of the difference covers" in markdown(of), "a paragraph of its own"
    for text in (page(tmp_path, of), markdown(of)):
        assert words in text
        assert f"a true gain of {100 * of['difference']['noticeable']:.1f} points in four of five cases" in text
        assert "at most 1.2 % (2.5 % without earlier decisions)" in text
        assert "at most 1 such model, as an expected number" in text
        assert ("worse by 1.6 points: 2.0 less" in text) is (noise is not None)
