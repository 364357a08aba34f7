"""Windows cover a recording; items are cut at the right frames and padded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.features.extraction.items import Cutter, Item, array_frames, windows


@settings(max_examples=200, deadline=None)
@given(duration=st.floats(0.01, 90), length=st.floats(0.25, 20), hop=st.floats(0.1, 20))
def test_windows_cover_the_whole_recording(duration: float, length: float, hop: float) -> None:
    hop = min(hop, length)
    items = windows("r", duration, length, hop)
    assert items[0].start_s == 0.0
    assert items[-1].end_s == pytest.approx(duration, abs=1e-5)
    assert all(b.start_s <= a.end_s + 1e-6 for a, b in itertools.pairwise(items))
    assert all(a.start_s < b.start_s for a, b in itertools.pairwise(items))
    assert len({item.item_id for item in items}) == len(items)
    if duration > length:
        assert all(item.end_s - item.start_s == pytest.approx(length, abs=1e-5) for item in items)


def test_recording_of_whole_windows_has_no_extra_window() -> None:
    assert [(w.start_s, w.end_s) for w in windows("r", 15.0, 5.0, 5.0)] == [(0, 5), (5, 10), (10, 15)]
    assert [w.start_s for w in windows("r", 16.0, 5.0, 5.0)] == [0, 5, 10, 11]
    assert [(w.start_s, w.end_s) for w in windows("r", 2.0, 5.0, 5.0)] == [(0, 2)]


SPECTROGRAM = np.arange(2 * 101, dtype=np.float32).reshape(2, 101)  # 2 s of 20 ms


def test_items_include_the_frames_nearest_to_both_ends() -> None:
    cutter = Cutter(frames=51, frame_s=0.02, padding="mask")
    rows, valid = cutter.cut(SPECTROGRAM, [Item("a", 0.0, 1.0), Item("b", 0.509, 0.811), Item("c", 0.4, 2.0)])
    assert valid == [51, 17, 51]
    np.testing.assert_array_equal(rows[0], SPECTROGRAM[:, :51])
    np.testing.assert_array_equal(rows[1][:, :17], SPECTROGRAM[:, 25:42])
    assert not rows[1][:, 17:].any()
    np.testing.assert_array_equal(rows[2], SPECTROGRAM[:, 20:71])


def test_tiling_repeats_the_item() -> None:
    rows, valid = Cutter(frames=8, frame_s=0.02, padding="tile").cut(SPECTROGRAM, [Item("a", 0.1, 0.14)])
    assert valid == [3]
    np.testing.assert_array_equal(rows[0, 0], [5, 6, 7, 5, 6, 7, 5, 6])


def test_item_at_the_end_of_the_recording_has_a_frame() -> None:
    rows, valid = Cutter(frames=8, frame_s=0.02, padding="zero").cut(SPECTROGRAM, [Item("a", 2.3, 2.4)])
    assert valid == [1]
    assert rows[0, 0, 0] == 100


def test_items_of_a_faster_copy_are_earlier() -> None:
    rows, valid = Cutter(frames=51, frame_s=0.02, padding="mask").cut(SPECTROGRAM, [Item("a", 1.0, 2.0)], rate=1.25)
    assert valid == [41]
    assert rows[0, 0, 0] == 40


def test_row_has_as_many_frames_as_librosa_gives() -> None:
    assert array_frames(5.0, 16000, 320) == 251
