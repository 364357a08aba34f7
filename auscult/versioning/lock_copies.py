"""A copy of ``dvc.lock`` for each data set, as it was when a run of it last succeeded.

``dvc.lock`` has one entry per stage, so after a change of data set it no longer knows the
other one's outputs; and DVC writes it in place, so that a kill can leave half of it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.core.paths import CACHE_DIR
from auscult.core.storage import replacing_file
from auscult.versioning.lockfile import LOCK, DamagedError, parse, stages

FOLDER = CACHE_DIR / "locks"
DAMAGED = FOLDER / "damaged.lock"


def keep(dataset: str) -> None:
    """Copy the lock for *dataset*."""
    if LOCK.exists():
        _write(copy_of(dataset), LOCK.read_bytes())


def copy_of(dataset: str) -> Path:
    """Where the copy for a data set lies, if there is one."""
    return FOLDER / f"{dataset}.lock"


def mend(dataset: str) -> str | None:
    """Replace a lock that was cut in the middle of a write by the last whole one; returns what was done, in words.

    What ran since then DVC finds in its run cache. A lock with the marks of a merge
    conflict is left for DVC and the user.
    """
    content = _read(LOCK)
    if not LOCK.exists() or _is_whole(content) or b"<<<<<<<" in content:
        return None
    _write(DAMAGED, content)
    for origin, other in (("of the last run", _read(copy_of(dataset))), ("of the last commit", _committed())):
        if _is_whole(other):
            _write(LOCK, other)
            return f"dvc.lock is damaged, as by a kill: the one {origin} is back, the damaged one is {DAMAGED}"
    LOCK.unlink()
    return f"dvc.lock is damaged, as by a kill: it is made again, the damaged one is {DAMAGED}"


def recorded_outs(lock: Path, dataset: str) -> list[str]:
    """Paths of the outputs in a lock that belong to a data set; none where there is no lock or a damaged one."""
    try:
        paths = [out["path"] for stage in stages(_read(lock)).values() for out in stage.get("outs", [])]
        return [path for path in paths if dataset in Path(path).parts]
    except (DamagedError, KeyError, TypeError):
        return []


@contextmanager
def in_place_of(dataset: str) -> Iterator[None]:
    """Have a data set's copy as ``dvc.lock`` while the block runs."""
    now = LOCK.read_bytes() if LOCK.exists() else None
    _write(LOCK, _read(copy_of(dataset)))
    try:
        yield
    finally:
        if now is None:
            LOCK.unlink()
        else:
            _write(LOCK, now)


def _is_whole(content: bytes) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse(content))
    except (DamagedError, Invalid):
        return False
    return True


def _committed() -> bytes:
    shown = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else b""


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _write(path: Path, content: bytes) -> None:
    with replacing_file(path) as scratch:
        scratch.write_bytes(content)
