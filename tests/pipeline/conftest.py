"""One small run of the whole pipeline, shared by the tests of this folder, whichever worker they run in."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.pipeline.workspace import clone, repro, without_network


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which ``make repro`` has run once, without a network. Tests only read it, or take a copy.

    The first worker to ask for it makes it, the others wait; each has a copy of its own.
    """
    own = tmp_path_factory.getbasetemp()
    made = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made"
    made.mkdir(exist_ok=True)
    with (made / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "done").exists():
            shutil.rmtree(made / "once", ignore_errors=True)
            repro(clone(made / "once/clone"), env=without_network(made / "once/network"))
            (made / "done").touch()
    shutil.copytree(made / "once", own / "finished", symlinks=True)
    return own / "finished/clone"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A private copy of the finished clone, caches included."""
    target = tmp_path / "copy"
    shutil.copytree(finished, target, symlinks=True)
    return target
