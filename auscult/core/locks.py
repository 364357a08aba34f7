"""A lock between processes: a file that the kernel unlocks when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold(path: Path, *, busy: Callable[[str], Exception] | None = None, holder: str = "") -> Iterator[None]:
    """Hold the lock of a file in an existing folder; the file stays.

    Parameters
    ----------
    path
        The file; created if need be.
    busy
        Makes the error that is raised while another process holds the lock, from what that process wrote into the
        file. By default wait for it.
    holder
        What to write into the file; by default the process id.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            assert busy is not None
            file.seek(0)
            raise busy(file.read().strip()) from error
        file.seek(0)
        file.truncate()
        file.write(holder or str(os.getpid()))
        file.flush()
        yield
