"""Segments are checked against their audio, by the rules of each data set."""

from __future__ import annotations

import math

import pytest

from auscult.core.records import Segment
from auscult.datasets import Dataset, load
from auscult.validation.manifest import check_segments


@pytest.fixture(scope="module")
def icbhi() -> Dataset:
    return load("icbhi")


def reasons(dataset: Dataset, *segments: tuple[float, float, str], duration_s: float = 10.0) -> list[str]:
    _, problems, _ = check_segments([Segment(*segment) for segment in segments], duration_s, dataset)
    return [problem.reason for problem in problems]


def test_valid_segments_have_no_problem(icbhi: Dataset) -> None:
    assert reasons(icbhi, (0.0, 2.0, "normal"), (2.0, 4.0, "crackle"), (5.0, 10.0, "both")) == []


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        ([(0.0, 2.0, "normal"), (2.0, 2.0, "normal")], "annotation_malformed"),
        ([(3.0, 2.0, "normal")], "annotation_malformed"),
        ([(math.nan, 2.0, "normal")], "annotation_malformed"),
        ([(8.0, 10.5, "normal")], "annotation_outside"),
        ([(11.0, 12.0, "normal")], "annotation_outside"),
        ([(-1.0, 2.0, "normal")], "annotation_outside"),
        ([(4.0, 5.0, "normal"), (1.0, 2.0, "normal")], "annotation_unsorted"),
        ([(0.0, 3.0, "normal"), (2.0, 5.0, "normal")], "annotation_overlap"),
        ([(0.0, 3.0, "squawk")], "unknown_label"),
    ],
)
def test_fault_has_its_reason(icbhi: Dataset, segments: list[tuple[float, float, str]], reason: str) -> None:
    assert reasons(icbhi, *segments) == [reason]


def test_end_slightly_after_the_audio_is_moved_to_its_end(icbhi: Dataset) -> None:
    clean, problems, notes = check_segments([Segment(0.0, 10.0005, "normal")], 10.0, icbhi)
    assert not problems and clean[0].end_s == 10.0 and sum(notes.values()) == 1


def test_unsorted_segments_are_sorted_where_the_data_set_allows_them() -> None:
    clean, problems, notes = check_segments([Segment(4, 5, "Normal"), Segment(1, 2, "Wheeze")], 10.0, load("sprsound"))
    assert not problems and [segment.start_s for segment in clean] == [1, 4] and sum(notes.values()) == 1


def test_detail_names_the_first_segment_and_counts_the_others(icbhi: Dataset) -> None:
    _, problems, _ = check_segments([Segment(0, 20, "normal"), Segment(20, 30, "normal")], 10.0, icbhi)
    assert [problem.detail for problem in problems] == ["segment 1 (0 to 20 s), the audio lasts 10 s (and 1 more)"]
