"""What commands share: the project directory, and a progress display on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.core.errors import AuscultError


def need_project() -> None:
    """Refuse to go on outside a project directory.

    Raises
    ------
    AuscultError
        There is no ``dvc.yaml`` here.
    """
    if not Path("dvc.yaml").exists():
        raise AuscultError(
            "this is not a project directory: there is no dvc.yaml here",
            where=str(Path.cwd()),
            next_step="cd into the clone of the project, and run the same command again",
        )


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a bar with the elapsed time while the block runs, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
