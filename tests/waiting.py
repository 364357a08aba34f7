"""Waiting for other processes. No limit here is about speed: it only ends a test that hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

HANGS_AFTER_S = 1200.0
T = TypeVar("T")


def wait_for(find: Callable[[], T | None], said: Callable[[], str] = lambda: "", process: Any = None) -> T:
    """Wait until *find* returns something true, and return it.

    If *process* ends before, or nothing is found in time, the test fails with the end of what *said* returns.
    """
    deadline = time.monotonic() + HANGS_AFTER_S
    while True:
        ended = process is not None and process.poll() is not None
        found = find()
        if found:
            return found
        assert not ended, f"the process ended with {process.returncode}\n{said()[-3000:]}"
        assert time.monotonic() < deadline, f"nothing within {HANGS_AFTER_S:.0f} s\n{said()[-3000:]}"
        time.sleep(0.1)
