"""Models are asked as they are served: in their own process, with their own code; a broken one is a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.gate.served import Question, Replies, ask

#: A registered model in miniature. It imports `stages`, which must be the one that was registered with it.
MODEL = """
import os, time
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        from stages import NAME
        print("a model that talks")
        {body}
        rows = [[NAME, 0.25, 0.75] for _ in range(len(model_input))]
        return pd.DataFrame(rows, columns=["label", "probability_normal", "probability_abnormal"])

set_model(Model())
"""
BODIES = {
    "good": "",
    "raises": "raise ValueError('no such file')",
    "dies": "os._exit(3)",
    "hangs": "time.sleep(60)",
    "slow": "time.sleep(0.05)",
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import mlflow.pyfunc

    folder = tmp_path_factory.mktemp("packages")
    made = {}
    for name, body in BODIES.items():
        code = folder / f"code-{name}" / "stages"
        code.mkdir(parents=True)
        (code / "__init__.py").write_text(f"NAME = {name!r}\n")
        script = folder / f"{name}.py"
        script.write_text(MODEL.format(body=body))
        made[name] = folder / name
        mlflow.pyfunc.save_model(
            made[name], python_model=str(script), code_paths=[str(code)], pip_requirements=["pandas"]
        )
    return made


@pytest.fixture(scope="module")
def replies(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replies]:
    """All of them asked at once: two recordings with two and three stretches."""
    empty = tmp_path_factory.mktemp("empty")
    questions = [
        Question(Path("one.wav"), ((0.0, 1.0), (1.0, 2.0))),
        Question(Path("two.wav"), ((None, None), (0.5, 1.0), (1.0, 1.5))),
    ]
    names = [*BODIES, "no package"]
    asked = ask([packages.get(name, empty) for name in names], questions, timeout_s=3.0)
    return dict(zip(names, asked, strict=True))


def test_every_stretch_of_every_recording_is_answered_in_order(replies: dict[str, Replies]) -> None:
    good = replies["good"]
    assert good.fault == ""
    assert good.classes == ["normal", "abnormal"]
    assert good.probabilities == [[0.25, 0.75]] * 5
    assert len(good.seconds) == 2


def test_each_model_runs_the_code_it_was_registered_with(replies: dict[str, Replies]) -> None:
    assert replies["good"].labels == ["good"] * 5
    assert replies["slow"].labels == ["slow"] * 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "one.wav: ValueError: no such file"),
        ("dies", "one.wav: its process ended"),
        ("hangs", "one.wav: no answer within 3 s"),
        ("no package", "MlflowException"),
    ],
)
def test_what_goes_wrong_is_told_and_harms_no_other(replies: dict[str, Replies], name: str, words: str) -> None:
    assert words in replies[name].fault
    assert replies[name].labels == []


def test_the_time_of_a_recording_is_measured(replies: dict[str, Replies]) -> None:
    assert replies["slow"].latency_ms >= 50.0
    assert replies["good"].latency_ms < replies["slow"].latency_ms
