"""Work on recordings in threads, with the results in order and few of them in memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_REPORT_EVERY_S = 5.0


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Results of *function* in the order of *items*; at most two per worker exist at a time.

    Threads, as decoding, resampling, filtering and transforms all release the
    interpreter's lock. An error in one item is raised at its place in the order.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class Progress:
    """A line every few seconds, so that a person sees that something moves."""

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._last = time.monotonic()

    def step(self) -> None:
        """One more recording is done."""
        self._done += 1
        if time.monotonic() - self._last >= _REPORT_EVERY_S:
            self._last = time.monotonic()
            print(f"{self._stage}: {self._done} of {self._total} recordings", flush=True)
