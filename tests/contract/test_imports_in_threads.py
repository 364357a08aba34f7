"""Worker threads import nothing: two threads that import parts of SciPy at once can each get a half-imported one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.contract.imports import ROOT
from tests.validation.small_data_set import AUDIO, PATHS, make_data_set, name_of

WATCH = """
import importlib, sys, threading
from auscult.core.process import prepare

seen = set()

def watch(event, arguments):
    if event == "import" and threading.current_thread() is not threading.main_thread():
        seen.add(arguments[0])

def run(function):
    sys.addaudithook(watch)
    function()
    print("IMPORTED", *sorted(seen))

prepare()
sys.argv = sys.argv[1:]
"""
STAGE = WATCH + "run(importlib.import_module(f'stages.{sys.argv[0]}').main)"
OBSERVE = (
    WATCH
    + """
from pathlib import Path
from auscult.core.sections import ValidateParams
from auscult.monitoring.observe import observe
from tests.monitoring.untrained import untrained

limits = ValidateParams(
    min_duration_s=0.5, max_duration_s=99.0, max_clipped_share=0.05, silence_dbfs=-80.0, max_reject_share=0.1
)
model = untrained()
run(lambda: observe(model, sorted(Path(sys.argv[0]).rglob("*.wav")), limits, 3))
"""
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small project whose first recordings have 16 bits, a later one 24, another is a FLAC file."""
    folder = tmp_path_factory.mktemp("project")
    make_data_set(folder)
    audio = folder / PATHS.raw / AUDIO
    samples, rate = soundfile.read(audio / f"{name_of(110)}.wav")
    soundfile.write(audio / f"{name_of(110)}.wav", samples, rate, subtype="PCM_24")
    samples, rate = soundfile.read(audio / f"{name_of(111)}.wav")
    (audio / f"{name_of(111)}.wav").unlink()
    soundfile.write(audio / f"{name_of(111)}.flac", samples, rate)
    return folder


def imported(code: str, folder: Path, *arguments: str) -> list[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "AUSCULT_WORKERS": "3"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    return line.split()[1:]


def test_the_stages_import_nothing_in_threads(project: Path) -> None:
    commands = ("validate", "split", "resample", "features")
    found = {command: imported(STAGE, project, *command.split()) for command in commands}
    assert {command for command, modules in found.items() if modules} == set()


def test_monitoring_imports_nothing_in_threads(project: Path) -> None:
    assert imported(OBSERVE, project, str(PATHS.raw)) == []
