"""Fingerprints distinguish copies from unrelated recordings and from periodic sounds."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from auscult.audio.fingerprint import fingerprint
from auscult.splitting.near_duplicates import NearDuplicate, find_near_duplicates
from tests.validation.small_data_set import breath

RATE_HZ = 8000


def pairs_among(*sounds: NDArray[np.float64]) -> list[NearDuplicate]:
    """Near-duplicates among sounds, each of its own patient."""
    frames = []
    for number, sound in enumerate(sounds):
        hashes, times = fingerprint(sound.astype(np.float32), RATE_HZ)
        frames.append(pd.DataFrame({"recording_id": f"r{number:02d}", "hash": hashes, "time": times}))
    names = [f"r{number:02d}" for number in range(len(sounds))]
    return find_near_duplicates(pd.concat(frames), dict(zip(names, names, strict=True)))


def hum(phase: float, seed: int) -> NDArray[np.float64]:
    t = np.arange(RATE_HZ * 8) / RATE_HZ
    swell = 1 + 0.5 * np.sin(2 * np.pi * 1.2 * t + phase)
    tones = np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 20)], axis=0)
    return 0.1 * swell * tones + 1e-4 * np.random.default_rng(seed).standard_normal(len(t))


def heartbeats(start: float, seed: int) -> NDArray[np.float64]:
    sound = 1e-3 * np.random.default_rng(seed).standard_normal(RATE_HZ * 8)
    beat = np.exp(-np.arange(800) / 150) * np.sin(2 * np.pi * 60 * np.arange(800) / RATE_HZ)
    for at in np.arange(start, 7.5, 1.0):
        sound[int(at * RATE_HZ) :][:800] += 0.3 * beat
    return sound


@pytest.mark.parametrize("cut_s", [0.5, 1.0, 1.7321, 2.0])
def test_trimmed_copy_is_found_at_its_shift(cut_s: float) -> None:
    sound = breath(3, 8.0, RATE_HZ)
    (pair,) = pairs_among(sound, sound[int(cut_s * RATE_HZ) :])
    assert pair.shift_s == pytest.approx(-cut_s, abs=0.05)


@pytest.mark.parametrize("gain", [0.03, -1.0, 7.0])
def test_copy_with_another_gain_or_polarity_is_found(gain: float) -> None:
    sound = breath(3, 8.0, RATE_HZ)
    assert len(pairs_among(sound, sound * gain)) == 1


@pytest.mark.parametrize("block", [1, 300])
def test_result_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    sounds = [breath(seed, 8.0, RATE_HZ) for seed in range(4)]
    sounds += [sounds[0][RATE_HZ:], 0.5 * sounds[2]]
    at_once = pairs_among(*sounds)
    assert {(pair.first, pair.second) for pair in at_once} == {("r00", "r04"), ("r02", "r05")}
    monkeypatch.setattr("auscult.splitting.near_duplicates._BLOCK", block)
    assert pairs_among(*sounds) == at_once


def test_shared_excerpt_is_found() -> None:
    # three seconds of one recording at the end of another
    a, b = breath(3, 12.0, RATE_HZ), breath(4, 12.0, RATE_HZ)
    b[-3 * RATE_HZ :] = a[-3 * RATE_HZ :]
    assert len(pairs_among(a, b)) == 1


def test_different_sounds_are_no_near_duplicates() -> None:
    assert pairs_among(*(breath(seed, 8.0, RATE_HZ) for seed in range(12))) == []


@pytest.mark.parametrize("make", [hum, heartbeats])
def test_periodic_sounds_are_no_near_duplicates(make) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    assert pairs_among(*(make(rng.uniform(0, 1), seed) for seed in range(8))) == []


def test_silence_tones_and_very_short_sounds_are_no_near_duplicates() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ * 8) / RATE_HZ)
    assert pairs_among(tone, tone * 0.5, np.zeros(RATE_HZ * 8), np.zeros(RATE_HZ * 8), np.zeros(9), np.zeros(0)) == []


def test_copies_of_one_patient_are_not_reported() -> None:
    hashes, times = fingerprint(breath(3, 8.0, RATE_HZ).astype(np.float32), RATE_HZ)
    table = pd.concat([pd.DataFrame({"recording_id": name, "hash": hashes, "time": times}) for name in "ab"])
    assert find_near_duplicates(table, {"a": "p", "b": "p"}) == []
    assert len(find_near_duplicates(table, {"a": "p", "b": "q"})) == 1


def test_empty_table_has_no_near_duplicates() -> None:
    table = pd.DataFrame(
        {"recording_id": pd.Series(dtype=str), "hash": pd.Series(dtype="int64"), "time": pd.Series(dtype="int64")}
    )
    assert find_near_duplicates(table, {}) == []


def test_two_thousand_recordings_take_seconds() -> None:
    rng = np.random.default_rng(0)
    count, each = 2000, 900
    table = pd.DataFrame(
        {
            "recording_id": np.repeat([f"r{i:04d}" for i in range(count)], each),
            "hash": (rng.integers(0, 216, count * each) << 13)
            | (rng.integers(0, 127, count * each) << 6)
            | rng.integers(1, 30, count * each),
            "time": rng.integers(0, 700, count * each),
        }
    )
    start = time.process_time()
    assert find_near_duplicates(table, {f"r{i:04d}": f"p{i // 8}" for i in range(count)}) == []
    assert time.process_time() - start < 20
