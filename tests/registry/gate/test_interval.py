"""The interval of the difference, and the constant answer."""

from __future__ import annotations

import numpy as np
import pytest

from auscult.evaluation.bootstrap import patient_weights
from auscult.evaluation.metrics import measure
from auscult.registry.gate.interval import compare, count_patients
from auscult.registry.gate.rule import constant
from tests.registry.gate.simulated import patients_with, simulate

#: For 8 patients: Student's t with 7 degrees of freedom at 97.5 % is 2.3646243, times √(8/7) is 2.5278897,
#: and Φ(−2.5278897) is:
TAIL_OF_8 = 0.0057375


def test_the_tails_depend_on_the_smaller_number_of_patients() -> None:
    new, old = (patients_with(each, 30, 8) for each in simulate(1.2, 1.0, patients=38))
    assert count_patients(new) == (30, 8)
    weights = patient_weights(new.patients, 2000, 41)
    resampled = measure(new, weights)["score"] - measure(old, weights)["score"]
    expected = np.nanquantile(resampled, [TAIL_OF_8, 1 - TAIL_OF_8])
    interval = compare(new, old, "score", 0.95, 2000, 41)["difference"]
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-5)
    assert interval.low < interval.value < interval.high


def test_one_abnormal_patient_gives_no_interval() -> None:
    new, old = (patients_with(each, 20, 1) for each in simulate(1.2, 1.0))
    found = compare(new, old, "score", 0.95, 400, 41)["difference"].to_json()
    assert found["value"] is not None
    assert (found["low"], found["high"]) == (None, None)


def test_the_constant_answer_has_specificity_one_and_sensitivity_zero() -> None:
    (new,) = simulate(1.2)
    metrics = measure(constant(new), np.ones((1, len(new))))
    assert (metrics["specificity"][0], metrics["sensitivity"][0], metrics["score"][0]) == (1.0, 0.0, 0.5)
