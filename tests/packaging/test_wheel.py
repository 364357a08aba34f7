"""The wheel: what ``pip install auscult`` gives, without the source tree around it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.registry.wheel import build_wheel, library_version
from tests.monitoring.untrained import write_untrained

#: What the extra ``serve`` does not bring.
NOT_SERVED = ("prefect", "dvc", "great_expectations", "optuna", "imblearn", "sklearn", "matplotlib", "jinja2")
#: Python runs it at its start: an import of what is not installed with ``auscult[serve]`` fails.
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
PREDICT = """
import sys
from pathlib import Path
from auscult.inference import predictor
from auscult.training.trained_model import TrainedModel
assert Path(predictor.__file__).is_relative_to(sys.argv[1]), predictor.__file__
(prediction,) = predictor.predict(TrainedModel.load(Path("model")), Path("my.wav"))
print(prediction.label)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = build_wheel(tmp_path_factory.mktemp("wheels"))
    assert built is not None
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel, and a start-up file that hides what it does not need."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--target"]
    subprocess.run([*command, str(target), str(wheel)], check=True)
    (target / "sitecustomize.py").write_text(BLOCK.format(blocked=NOT_SERVED))
    return target


def python(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python outside the source tree, with the installed wheel alone."""
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_holds_the_templates_and_neither_stages_nor_flows(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "auscult/reporting/templates/report.html" in names
    assert {name.split("/")[0] for name in names} == {"auscult", f"auscult-{library_version()}.dist-info"}


def test_it_loads_a_model_and_predicts_without_the_pipelines_packages(installed: Path, tmp_path: Path) -> None:
    write_untrained(tmp_path / "model", [])
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(tmp_path / "my.wav", noise, 8000)
    done = python(installed, tmp_path, "-c", PREDICT, str(installed))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("normal", "wheeze")


def test_it_has_the_command_line(installed: Path, tmp_path: Path) -> None:
    shown = python(installed, tmp_path, "-m", "auscult", "--version")
    assert (shown.returncode, shown.stdout) == (0, f"auscult {library_version()}\n")
    assert python(installed, tmp_path, "-m", "auscult", "run").returncode == 2
    assert (installed / "bin/auscult").exists()


def test_the_same_code_is_built_once(wheel: Path) -> None:
    made = wheel.stat().st_mtime_ns
    again = build_wheel(wheel.parents[1])
    assert again == wheel
    assert wheel.stat().st_mtime_ns == made
