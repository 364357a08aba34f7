"""Baselines are fitted once for the same units, and again when anything differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.evaluation.baselines import BaselinePredictions, constant, gradient_boosting
from auscult.evaluation.finished_baselines import FOLDER, finished
from tests.evaluation.test_baselines import TWO, metadata, units

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 90)
TABLE = metadata(90, RNG)
STATISTICS = RNG.normal(size=(90, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Fit:
    """Fits two baselines, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Mapping[str, BaselinePredictions]:
        self.times += 1
        given = units(TWO, Y)
        return {"constant": constant(given), "gradient_boosting": gradient_boosting(given, STATISTICS)}


def test_predictions_of_an_earlier_evaluation_are_the_same_to_the_bit() -> None:
    fit, given = Fit(), units(TWO, Y)
    first, second = (finished(given, TABLE, STATISTICS, fit) for _ in range(2))
    assert fit.times == 1 and list(first) == list(second) == ["constant", "gradient_boosting"]
    for name, each in first.items():
        assert np.array_equal(each.probabilities, second[name].probabilities)
        assert np.array_equal(each.predicted, second[name].predicted)
        assert second[name].probabilities.dtype == np.float64 and second[name].predicted.dtype == np.int64


@pytest.mark.parametrize("what", ["label", "fold", "age", "device", "statistics", "task"])
def test_anything_that_differs_is_fitted_again(what: str) -> None:
    fit, given, table, statistics = Fit(), units(TWO, Y), TABLE.copy(), STATISTICS.copy()
    finished(given, table, statistics, fit)
    if what == "label":
        given = units(TWO, np.where(np.arange(90) == 0, 1 - Y, Y))
    elif what == "fold":
        given = replace(given, fold=np.where(np.arange(90) == 0, 1, given.fold))
    elif what == "age":
        table.loc[3, "age_years"] = 41.5
    elif what == "device":
        table.loc[3, "device"] = "C"
    elif what == "statistics":
        statistics[5, 2] += 1e-6
    else:
        given = replace(given, task=replace(TWO, normal="abnormal"))
    finished(given, table, statistics, fit)
    assert fit.times == 2


@pytest.mark.parametrize("content", [b"", b"not a table of arrays", None])
def test_a_damaged_file_is_made_again(content: bytes | None) -> None:
    fit, given = Fit(), units(TWO, Y)
    finished(given, TABLE, STATISTICS, fit)
    (file,) = FOLDER.iterdir()
    file.write_bytes(file.read_bytes()[:-8] if content is None else content)
    finished(given, TABLE, STATISTICS, fit)
    finished(given, TABLE, STATISTICS, fit)
    assert fit.times == 2
