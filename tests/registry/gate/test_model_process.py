"""Each model runs in its own process with its own code; a failure becomes its fault."""

from __future__ import annotations

import zipfile
from pathlib import Path

import psutil
import pytest

from auscult.registry.gate import model_process
from auscult.registry.gate.model_process import Request, Responses, run_models

#: A minimal registered model that returns its input. It imports `auscult`, which must be its own.
MODEL = """
import pandas as pd
from auscult import NAME

class Model:
    def predict(self, table):
        print("a model that prints")
        if table["path"].iloc[0].endswith("bad.wav"):
            raise ValueError("no such file")
        rows = [[f"{NAME} {row.path}", row.start_s, row.end_s] for row in table.itertuples()]
        return pd.DataFrame(rows, columns=["label", "probability_normal", "probability_abnormal"])

def _load_pyfunc(path):
    return Model()
"""
PACKAGE = "flavors: {python_function: {loader_module: miniature, code: code}}\n"
#: Replaces the script of a model's process, without MLflow; the name of the package says what it does.
STAND_IN = """
import json, os, sys, time
kind = os.path.basename(sys.argv[1])
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    begin = time.monotonic()
    if kind == "hangs":
        time.sleep(60)
    if kind == "dies":
        sys.stderr.write("out of memory\\n")
        os._exit(3)
    if kind == "slow":
        time.sleep(0.1)
    count = len(request["segments"]) - (kind == "forgets")
    response = {"labels": ["normal"] * count, "classes": ["normal"], "probabilities": [[begin]] * count, "seconds": 0.0}
    print(json.dumps(response), flush=True)
    if kind == "is killed later":
        os._exit(9)
"""
TWO = ((0.0, 1.0), (1.0, 2.5))


@pytest.fixture(scope="module", params=["wheel", "copied code, as earlier versions logged it"])
def responses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Responses]:
    """Responses of a model in an MLflow package, and of one whose package is missing."""
    package = tmp_path_factory.mktemp("package")
    (package / "code" / "auscult").mkdir(parents=True)
    if request.param == "wheel":
        (package / "artifacts").mkdir()
        with zipfile.ZipFile(package / "artifacts/auscult-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("auscult/__init__.py", "NAME = 'registered'\n")
        (package / "code" / "auscult").rmdir()
    else:
        (package / "code" / "auscult" / "__init__.py").write_text("NAME = 'registered'\n")
    (package / "code" / "miniature.py").write_text(MODEL)
    (package / "MLmodel").write_text(PACKAGE)
    asked = [Request(Path("one.wav"), TWO), Request(Path("two.wav"), ((None, None), (0.5, 1.0)))]
    return run_models([package, package / "gone"], [*asked, Request(Path("bad.wav"), TWO)])


def test_a_model_gets_the_requested_segments_and_runs_its_own_code(responses: list[Responses]) -> None:
    one, two = (f"registered {Path(name).resolve()}" for name in ("one.wav", "two.wav"))
    assert responses[0].labels == [one, one, two, two]
    assert responses[0].probabilities[:2] == [[0.0, 1.0], [1.0, 2.5]]
    assert responses[0].probabilities[3] == [0.5, 1.0]
    assert [value != value for value in responses[0].probabilities[2]] == [True, True], "NaN for a whole recording"
    assert responses[0].classes == ["normal", "abnormal"]
    assert len(responses[0].seconds) == 2


def test_an_exception_and_a_missing_package_become_faults(responses: list[Responses]) -> None:
    assert responses[0].fault == "bad.wav: ValueError: no such file"
    assert "gone" in responses[1].fault
    assert responses[1].labels == []


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(model_process, "SCRIPT", script)


@pytest.mark.usefixtures("stand_in")
def test_each_failure_has_its_fault_and_leaves_no_process_and_the_other_models_run() -> None:
    before = set(psutil.Process().children())
    names = ["dies", "hangs", "forgets", "is killed later", "slow"]
    found = run_models(
        [Path(name) for name in names], [Request(Path(f"{n}.wav"), TWO) for n in range(3)], timeout_s=2.0
    )
    faults = {name: response.fault for name, response in zip(names, found, strict=True)}
    assert faults == {
        "dies": "0.wav: its process ended: out of memory",
        "hangs": "0.wav: no response within 2 s",
        "forgets": "0.wav: 1 labels for 2 segments",
        "is killed later": "1.wav: its process ended: 9",
        "slow": "",
    }
    assert len(found[-1].labels) == 6
    assert set(psutil.Process().children()) <= before


@pytest.mark.usefixtures("stand_in")
def test_a_model_that_cannot_be_started_leaves_no_process() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(ValueError, match="null"):
        run_models([Path("good"), Path("no\0name")], [])
    assert set(psutil.Process().children()) <= before


@pytest.mark.usefixtures("stand_in")
def test_the_models_alternate_in_opening_a_recording_first() -> None:
    a, b = run_models([Path("a"), Path("b")], [Request(Path(f"{n}.wav"), TWO[:1]) for n in range(4)])
    first = ["a" if new < old else "b" for new, old in zip(a.probabilities, b.probabilities, strict=True)]
    assert first == ["a", "b", "a", "b"]


def test_the_latency_is_the_median_without_the_first_recording() -> None:
    assert Responses(seconds=[9.0, 1.0, 2.0, 30.0]).latency_ms == 2000.0
    assert Responses(seconds=[9.0]).latency_ms == 9000.0
