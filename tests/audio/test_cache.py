"""The cache is bounded, and an entry is complete or absent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from auscult.audio.cache import ArrayCache, namespace
from auscult.core.paths import CACHE_DIR
from auscult.core.threads import in_order

CHECKSUM = "ab" * 32


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("shape", [(0,), (7,), (3, 5), (2, 0)])
def test_a_stored_array_is_read_back(shape: tuple[int, ...]) -> None:
    cache = ArrayCache("audio", "n")
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    made = cache.put(CHECKSUM, array, "part")
    entry = cache.get(CHECKSUM, "part")
    assert entry is not None
    assert entry.key == made.key
    np.testing.assert_array_equal(entry.array, array)
    assert cache.get(CHECKSUM) is None


def test_a_truncated_entry_is_absent() -> None:
    cache = ArrayCache("audio", "n")
    cache.put(CHECKSUM, np.arange(9, dtype=np.float32))
    (path,) = CACHE_DIR.rglob("*.f32")
    whole = path.read_bytes()
    for length in (0, 1, 20, 255, 256, 257, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert cache.get(CHECKSUM) is None
    path.write_bytes(whole + b"\0")
    assert cache.get(CHECKSUM) is None


def test_a_namespace_deleted_while_in_use_is_created_again() -> None:
    cache = ArrayCache("audio", "n")
    (CACHE_DIR / "audio" / "n").rmdir()
    cache.put(CHECKSUM, np.zeros(3, dtype=np.float32))
    assert cache.get(CHECKSUM) is not None


def test_old_and_excess_namespaces_are_removed() -> None:
    ArrayCache("audio", "old").put(CHECKSUM, np.zeros(3, dtype=np.float32))
    long_ago = time.time() - 40 * 86400
    os.utime(CACHE_DIR / "audio" / "old", (long_ago, long_ago))
    for n in range(12):
        ArrayCache("audio", f"n{n:02d}")
        os.utime(CACHE_DIR / "audio" / f"n{n:02d}", (time.time() - 100 + n,) * 2)
    ArrayCache("audio", "last")
    left = sorted(path.name for path in (CACHE_DIR / "audio").iterdir())
    assert left == ["last", *(f"n{n:02d}" for n in range(5, 12))]


def test_keys_depend_on_content_settings_and_code() -> None:
    cache = ArrayCache("audio", "n")
    flat = np.arange(6, dtype=np.float32)
    key = cache.put(CHECKSUM, flat).key
    assert cache.put(CHECKSUM, flat.copy()).key == key
    others = [(CHECKSUM, flat.reshape(2, 3)), (CHECKSUM, flat + 1), ("cd" * 32, flat)]
    assert all(cache.put(checksum, array).key != key for checksum, array in others)
    code = ("auscult.audio.resampling",)
    assert namespace({"a": 1}, code, ("numpy",)) != namespace({"a": 2}, code, ("numpy",))
    assert namespace({"a": 1}, code, ("numpy",)) != namespace({"a": 1}, ("auscult.audio.cache",), ("numpy",))


def test_results_are_in_order_and_few_are_in_memory() -> None:
    alive = 0
    most = 0

    def work(n: int) -> int:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        time.sleep(0.001 * (n % 3))
        return n

    results = []
    for n in in_order(work, range(40), workers=2):
        results.append(n)
        time.sleep(0.005)  # results must not accumulate behind a slow writer
        alive -= 1
    assert results == list(range(40))
    assert most <= 5


def test_an_error_in_one_item_is_raised() -> None:
    def work(n: int) -> int:
        if n == 5:
            raise ValueError("five")
        return n

    with pytest.raises(ValueError, match="five"):
        list(in_order(work, range(40), workers=3))
