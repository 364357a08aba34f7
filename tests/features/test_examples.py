"""Rows of one unit are averaged; a class that training lacks is an error that names it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.tasks import Task
from auscult.features.examples import mean_by_unit, recordings_of, require_every_class

TASK = Task("sounds", "segment", ("normal", "wheeze"), "normal", {"n": "normal", "w": "wheeze"})


def test_rows_of_a_unit_are_averaged() -> None:
    values = np.array([[1.0, 0.0], [4.0, 2.0], [3.0, 4.0]])
    assert mean_by_unit(values, np.array([1, 0, 1])).tolist() == [[4.0, 2.0], [2.0, 2.0]]


def test_a_class_that_training_lacks_is_named() -> None:
    require_every_class(TASK, [1, 0, 1], Paths("sample"), "demo")
    with pytest.raises(DataError, match="wheeze"):
        require_every_class(TASK, [0, 0], Paths("sample"), "demo")


def test_units_are_numbered_by_their_recording() -> None:
    units = pd.DataFrame({"unit_id": ["b:0", "a:0", "b:1", "a:1", "c:0"], "recording_id": ["b", "a", "b", "a", "c"]})
    assert recordings_of(units).tolist() == [0, 1, 0, 1, 2]
