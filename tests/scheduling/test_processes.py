"""Whatever the service starts ends with it: after a signal at any moment, and at the next start after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from auscult.core.errors import AuscultError
from auscult.scheduling import processes
from auscult.scheduling.processes import Children, Stop, end_orphaned, is_alive, tag_of
from tests.waiting import HANGS_AFTER_S, wait_for

ROOT = Path(__file__).resolve().parents[2]
#: Stands for Prefect: starts a process in a session of its own, as its server does, and writes both ids.
PREFECT = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
pathlib.Path(os.environ["IDS"], sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
time.sleep(3600)
"""
SERVICE = """
import sys, time; from pathlib import Path; from auscult.scheduling.processes import Children, Stop
children = Children(Path(sys.argv[-1]), "http://127.0.0.1:9/api", Stop())
children.start("server", ["server"]); children.start("worker", ["worker"]); time.sleep(3600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "fake/prefect").mkdir(parents=True)
    (tmp_path / "fake/prefect/__init__.py").touch()
    (tmp_path / "fake/prefect/__main__.py").write_text(PREFECT)
    (tmp_path / "ids").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("IDS", str(tmp_path / "ids"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), str(ROOT)]))
    yield tmp_path / "home"
    processes._end_all(processes._marked(tmp_path / "home"))


@pytest.fixture
def stop() -> Iterator[Stop]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    made = Stop()
    made.listen()
    yield made
    for each, handler in before.items():
        signal.signal(each, handler)


def started(home: Path, *names: str) -> list[psutil.Process]:
    """The processes of these children, and those that they have started."""
    files = [home.parent / "ids" / name for name in names]
    return [psutil.Process(int(pid)) for file in files for pid in wait_for(lambda file=file: _words(file))]  # type: ignore[misc]


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def ended(found: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(found, timeout=HANGS_AFTER_S)[1]


def test_a_signal_in_the_middle_of_a_start_comes_after_it(
    home: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    children, popen = Children(home, "", stop), subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = popen(*arguments, **options)
        os.kill(os.getpid(), signal.SIGTERM)  # the child runs, and nobody has noted it
        return child

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        children.start("worker", ["worker"])
    found = started(home, "worker")
    os.kill(os.getpid(), signal.SIGTERM)  # an impatient person does not stop the ending
    children.end()
    assert ended(found)


def test_the_end_reaches_what_a_child_has_left_behind(home: Path, stop: Stop) -> None:
    children = Children(home, "", stop)
    children.start("server", ["server"])
    parent, orphan = started(home, "server")
    parent.kill()
    wait_for(lambda: not children.alive("server"))
    children.end()
    assert ended([orphan])


def test_the_next_start_ends_what_a_kill_left(home: Path, tmp_path: Path) -> None:
    (tmp_path / "auscult").write_text(SERVICE)
    service = subprocess.Popen([sys.executable, str(tmp_path / "auscult"), "serve-flows", str(home)])
    found = started(home, "server", "worker")
    with pytest.raises(AuscultError, match=f"process {service.pid}"):
        end_orphaned(home)
    assert all(process.is_running() for process in found)
    service.kill()
    service.wait()
    end_orphaned(tmp_path / "of another clone")
    assert all(process.is_running() for process in found)
    end_orphaned(home)
    assert ended(found)


def test_a_tag_names_one_process_and_not_a_later_one_with_its_id() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    tag = tag_of(child.pid)
    assert is_alive(["retrain", tag]) and is_alive([tag_of(os.getpid())])
    assert is_alive([f"{tag}1"]) is False, "another start"
    child.kill()
    child.wait()
    assert is_alive([tag]) is False
    assert is_alive(["retrain"]) is None
