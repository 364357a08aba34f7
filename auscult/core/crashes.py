"""The last message of a process that an error ends, and its exit code. Standard library only."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from auscult.core.errors import EXIT_FAULT, EXIT_USER_ERROR, AuscultError, refused_by_machine
from auscult.core.paths import CACHE_DIR


def report(error: BaseException) -> int:
    """Print one message about an error that ends this process, and return the exit code.

    An :class:`AuscultError`, and what the machine refuses (a full disk, for example), is the user's to solve: 2. Any
    other error is a bug: its traceback goes into a log file that the message names, and the code is 3, so that no
    crash looks like an answer.
    """
    known = refused_by_machine(error) if isinstance(error, OSError) else error
    if isinstance(known, AuscultError):
        print(f"\nERROR: {known}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    what = " ".join(f"{type(error).__name__}: {error}".split())
    print(f"\nERROR: a fault of Auscult: {what}", file=sys.stderr)
    print(f"  where: {_keep_traceback(error)}\n  next:  report it with that file", file=sys.stderr, flush=True)
    return EXIT_FAULT


def _keep_traceback(error: BaseException) -> str:
    """Write a traceback into a file; return its path, or "above" if it was printed (in CI, where files are lost)."""
    text = "".join([f"{' '.join(sys.orig_argv)}\n\n", *traceback.format_exception(error)])
    name = f"auscult-error-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    folders = [CACHE_DIR] if Path("dvc.yaml").exists() else []
    for folder in [] if os.environ.get("CI") else [*folders, Path(tempfile.gettempdir())]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:  # read-only, or full
            continue
        return str(folder / name)
    print(text, file=sys.stderr)
    return "above"
