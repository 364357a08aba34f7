"""Process recordings in threads, with results in order and bounded memory."""

from __future__ import annotations

import importlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_REPORT_EVERY_S = 5.0


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, *, imports: Sequence[str] = ()
) -> Iterator[Result]:
    """Yield the results of *function* in the order of *items*; at most two per worker are in memory.

    Threads suffice: decoding, resampling, filtering and transforms release the interpreter lock.
    An error in an item is raised when its turn comes.

    Parameters
    ----------
    imports
        Modules that *function* imports where it needs them. They are imported before the threads start: two threads
        that import parts of SciPy at the same time can each find the other's part half imported.
    """
    for module in imports:
        importlib.import_module(module)
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
    """Log the progress of a stage every few seconds."""

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._last = time.monotonic()

    def step(self) -> None:
        """Count one more finished recording."""
        self._done += 1
        if time.monotonic() - self._last >= _REPORT_EVERY_S:
            self._last = time.monotonic()
            _LOG.info("%s: %d of %d recordings", self._stage, self._done, self._total)
