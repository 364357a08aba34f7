"""Models are asked as they are served: in their own process, with their own code; a broken one is a finding."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from auscult.registry.gate import served
from auscult.registry.gate.served import Question, Replies, ask

#: A registered model in miniature: it says what it was asked. It imports `stages`, which must be its own.
MODEL = """
import pandas as pd
from stages import NAME

class Model:
    def predict(self, table):
        print("a model that talks")
        if table["path"].iloc[0].endswith("bad.wav"):
            raise ValueError("no such file")
        rows = [[f"{NAME} {row.path}", row.start_s, row.end_s] for row in table.itertuples()]
        return pd.DataFrame(rows, columns=["label", "probability_normal", "probability_abnormal"])

def _load_pyfunc(path):
    return Model()
"""
PACKAGE = "flavors: {python_function: {loader_module: miniature, code: code}}\n"
#: In the place of a served model, without MLflow: what it does is the name of its package.
STAND_IN = """
import json, os, sys, time
kind = os.path.basename(sys.argv[1])
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    begin = time.monotonic()
    if kind == "hangs":
        time.sleep(60)
    if kind == "dies":
        sys.stderr.write("out of memory\\n")
        os._exit(3)
    if kind == "slow":
        time.sleep(0.1)
    count = len(asked["stretches"]) - (kind == "forgets")
    said = {"labels": ["normal"] * count, "classes": ["normal"], "probabilities": [[begin]] * count, "seconds": 0.0}
    print(json.dumps(said), flush=True)
    if kind == "is killed later":
        os._exit(9)
"""
TWO = ((0.0, 1.0), (1.0, 2.5))


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> list[Replies]:
    """Of a model in a package of MLflow, and of one whose package is gone."""
    package = tmp_path_factory.mktemp("package")
    (package / "code" / "stages").mkdir(parents=True)
    (package / "code" / "stages" / "__init__.py").write_text("NAME = 'registered'\n")
    (package / "code" / "miniature.py").write_text(MODEL)
    (package / "MLmodel").write_text(PACKAGE)
    questions = [Question(Path("one.wav"), TWO), Question(Path("two.wav"), ((None, None), (0.5, 1.0)))]
    return ask([package, package / "gone"], [*questions, Question(Path("bad.wav"), TWO)])


def test_a_model_is_asked_what_was_to_be_asked_with_the_code_it_was_registered_with(replies: list[Replies]) -> None:
    one, two = (f"registered {Path(name).resolve()}" for name in ("one.wav", "two.wav"))
    assert replies[0].labels == [one, one, two, two]
    assert replies[0].probabilities[:2] == [[0.0, 1.0], [1.0, 2.5]]
    assert replies[0].probabilities[3] == [0.5, 1.0]
    assert [value != value for value in replies[0].probabilities[2]] == [True, True], "NaN for a whole recording"
    assert replies[0].classes == ["normal", "abnormal"]
    assert len(replies[0].seconds) == 2


def test_what_a_model_raises_and_a_package_that_is_gone_are_told(replies: list[Replies]) -> None:
    assert replies[0].fault == "bad.wav: ValueError: no such file"
    assert "gone" in replies[1].fault
    assert replies[1].labels == []


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(served, "SCRIPT", script)


@pytest.mark.usefixtures("stand_in")
def test_what_goes_wrong_is_told_harms_no_other_and_leaves_no_process() -> None:
    before = set(psutil.Process().children())
    names = ["dies", "hangs", "forgets", "is killed later", "slow"]
    asked = ask([Path(name) for name in names], [Question(Path(f"{n}.wav"), TWO) for n in range(3)], timeout_s=2.0)
    faults = {name: reply.fault for name, reply in zip(names, asked, strict=True)}
    assert faults == {
        "dies": "0.wav: its process ended: out of memory",
        "hangs": "0.wav: no answer within 2 s",
        "forgets": "0.wav: 1 answers to 2 questions",
        "is killed later": "1.wav: its process ended: 9",
        "slow": "",
    }
    assert len(asked[-1].labels) == 6
    assert set(psutil.Process().children()) <= before


@pytest.mark.usefixtures("stand_in")
def test_a_model_that_cannot_be_started_leaves_no_process() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(ValueError, match="null"):
        ask([Path("good"), Path("no\0name")], [])
    assert set(psutil.Process().children()) <= before


@pytest.mark.usefixtures("stand_in")
def test_the_models_take_turns_in_being_the_first_to_open_a_recording() -> None:
    a, b = ask([Path("a"), Path("b")], [Question(Path(f"{n}.wav"), TWO[:1]) for n in range(4)])
    first = ["a" if mine < theirs else "b" for mine, theirs in zip(a.probabilities, b.probabilities, strict=True)]
    assert first == ["a", "b", "a", "b"]


def test_the_time_for_a_recording_is_the_median_without_the_first() -> None:
    assert Replies(seconds=[9.0, 1.0, 2.0, 30.0]).latency_ms == 2000.0
    assert Replies(seconds=[9.0]).latency_ms == 9000.0
