"""Fingerprints tell copies from chance, and sounds that repeat themselves from copies."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from auscult.audio.fingerprint import fingerprint
from auscult.splitting.near_duplicates import Twin, find_twins
from tests.validation.made_clinic import breath

RATE_HZ = 8000


def twins(*sounds: NDArray[np.float64]) -> list[Twin]:
    """Twins among sounds of as many patients."""
    frames = []
    for number, sound in enumerate(sounds):
        hashes, times = fingerprint(sound.astype(np.float32), RATE_HZ)
        frames.append(pd.DataFrame({"recording_id": f"r{number:02d}", "hash": hashes, "time": times}))
    names = [f"r{number:02d}" for number in range(len(sounds))]
    return find_twins(pd.concat(frames), dict(zip(names, names, strict=True)))


def hum(phase: float, seed: int) -> NDArray[np.float64]:
    t = np.arange(RATE_HZ * 8) / RATE_HZ
    swell = 1 + 0.5 * np.sin(2 * np.pi * 1.2 * t + phase)
    tones = np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 20)], axis=0)
    return 0.1 * swell * tones + 1e-4 * np.random.default_rng(seed).standard_normal(len(t))


def hearts(start: float, seed: int) -> NDArray[np.float64]:
    sound = 1e-3 * np.random.default_rng(seed).standard_normal(RATE_HZ * 8)
    beat = np.exp(-np.arange(800) / 150) * np.sin(2 * np.pi * 60 * np.arange(800) / RATE_HZ)
    for at in np.arange(start, 7.5, 1.0):
        sound[int(at * RATE_HZ) :][:800] += 0.3 * beat
    return sound


@pytest.mark.parametrize("cut_s", [0.5, 1.0, 1.7321, 2.0])
def test_cut_copy_is_found_at_its_shift(cut_s: float) -> None:
    sound = breath(3, 8.0, RATE_HZ)
    (twin,) = twins(sound, sound[int(cut_s * RATE_HZ) :])
    assert twin.shift_s == pytest.approx(-cut_s, abs=0.05)


@pytest.mark.parametrize("gain", [0.03, -1.0, 7.0])
def test_gain_and_polarity_do_not_hide_a_copy(gain: float) -> None:
    sound = breath(3, 8.0, RATE_HZ)
    assert len(twins(sound, sound * gain)) == 1


@pytest.mark.parametrize("block", [1, 300])
def test_counting_in_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    sounds = [breath(seed, 8.0, RATE_HZ) for seed in range(4)]
    sounds += [sounds[0][RATE_HZ:], 0.5 * sounds[2]]
    at_once = twins(*sounds)
    assert {(twin.first, twin.second) for twin in at_once} == {("r00", "r04"), ("r02", "r05")}
    monkeypatch.setattr("auscult.splitting.near_duplicates._BLOCK", block)
    assert twins(*sounds) == at_once


def test_shared_part_is_found() -> None:
    """Three seconds of one recording at the end of another."""
    a, b = breath(3, 12.0, RATE_HZ), breath(4, 12.0, RATE_HZ)
    b[-3 * RATE_HZ :] = a[-3 * RATE_HZ :]
    assert len(twins(a, b)) == 1


def test_different_sounds_are_no_twins() -> None:
    assert twins(*(breath(seed, 8.0, RATE_HZ) for seed in range(12))) == []


@pytest.mark.parametrize("make", [hum, hearts])
def test_sounds_that_repeat_themselves_are_no_twins(make) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    assert twins(*(make(rng.uniform(0, 1), seed) for seed in range(8))) == []


def test_silence_tones_and_snippets_have_no_twins() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ * 8) / RATE_HZ)
    assert twins(tone, tone * 0.5, np.zeros(RATE_HZ * 8), np.zeros(RATE_HZ * 8), np.zeros(9), np.zeros(0)) == []


def test_one_patients_copies_are_no_leak() -> None:
    hashes, times = fingerprint(breath(3, 8.0, RATE_HZ).astype(np.float32), RATE_HZ)
    table = pd.concat([pd.DataFrame({"recording_id": name, "hash": hashes, "time": times}) for name in "ab"])
    assert find_twins(table, {"a": "p", "b": "p"}) == []
    assert len(find_twins(table, {"a": "p", "b": "q"})) == 1


def test_no_fingerprints_no_twins() -> None:
    table = pd.DataFrame(
        {"recording_id": pd.Series(dtype=str), "hash": pd.Series(dtype="int64"), "time": pd.Series(dtype="int64")}
    )
    assert find_twins(table, {}) == []


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
    assert find_twins(table, {f"r{i:04d}": f"p{i // 8}" for i in range(count)}) == []
    assert time.process_time() - start < 20
