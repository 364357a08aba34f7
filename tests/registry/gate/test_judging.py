"""Which test units both models get, and how their responses become a decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.storage import write_json
from auscult.core.tasks import Task
from auscult.registry.gate import judging
from auscult.registry.gate.judging import judge, read_task, read_units, requests_for
from auscult.registry.gate.model_process import Request, Responses
from auscult.registry.gate.rule import Decision
from auscult.registry.versions import Version
from tests.registry.gate.simulated import SETTINGS, TASK

DATASET = "made"
PATHS = Paths(DATASET)
WHOLE = Task("binary", "recording", ("normal", "abnormal"), "normal", {"Healthy": "normal", "COPD": "abnormal"})
#: recording, patient, part, why it is exempt
RECORDINGS = [
    ("r2", "p2", "test", None),
    ("r1", "p1", "test", None),
    ("r3", "p3", "test", "its patient is in training too"),
    ("r4", "p4", "development", None),
]
#: recording, begin, raw label; `?` belongs to no class
SEGMENTS = [("r2", 1.0, "a"), ("r1", 1.0, "?"), ("r3", 0.0, "a"), ("r2", 0.0, "n"), ("r1", 0.0, "n"), ("r4", 0.0, "a")]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A worktree in which `validate` and `split` have run."""
    recordings = pd.DataFrame(RECORDINGS, columns=["recording_id", "patient_id", "part", "exempt_reason"])
    recordings["path"] = "made/" + recordings["recording_id"] + ".wav"
    recordings["label"] = ["COPD", "Healthy", "COPD", "COPD"]
    segments = pd.DataFrame(SEGMENTS, columns=["recording_id", "start_s", "label"])
    segments["end_s"] = segments["start_s"] + 1.0
    segments = segments.merge(recordings[["recording_id", "patient_id"]], on="recording_id")
    (tmp_path / PATHS.split).mkdir(parents=True)
    recordings[["recording_id", "part", "exempt_reason"]].to_parquet(tmp_path / PATHS.split / "assignment.parquet")
    write_json(tmp_path / PATHS.manifest / "tasks.json", [TASK.to_json(), WHOLE.to_json()])
    recordings.drop(columns="part").to_parquet(tmp_path / PATHS.manifest / "recordings.parquet")
    segments.to_parquet(tmp_path / PATHS.manifest / "segments.parquet")
    return tmp_path


def version(workspace: Path, number: str, **changes: Any) -> Version:
    """A registered model that has learned from p3 and p4, with weights of 0.25 MB."""
    package = workspace / f"package-{number}"
    about = {"task": TASK.to_json(), "learned_from": [patient_key(DATASET, name) for name in ("p3", "p4")]}
    write_json(package / "artifacts" / "trained" / "model.json", about | changes)
    (package / "artifacts" / "trained" / "weights").mkdir()
    (package / "artifacts" / "trained" / "weights" / "fold-1.safetensors").write_bytes(bytes(250_000))
    return Version(number, f"run-{number}", f"digest-{number}", {}, package)


#: For the one segment of r1 and the two of r2, in this order: all correct.
RIGHT = Responses(
    ["normal", "abnormal"], ["normal", "normal", "abnormal"], [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]], [0.02]
)


def judged(
    monkeypatch: pytest.MonkeyPatch, workspace: Path, *versions: Version, last: Responses = RIGHT, in_service: int = 1
) -> Decision:
    """Decide with the given responses of the last model; the others respond correctly."""

    def run_models(packages: list[Path], requests: list[Request]) -> list[Responses]:
        assert packages == [each.package for each in versions]
        assert [len(request.segments) for request in requests] == [1, 2]
        return [*[RIGHT] * (len(packages) - 1), last]

    monkeypatch.setattr(judging, "run_models", run_models)
    challenger, champion = versions[0], versions[1] if len(versions) > 1 else None
    return judge(workspace, DATASET, "abnormal", challenger, champion, SETTINGS, in_service)


def test_the_test_units_have_a_class_are_sorted_and_not_exempt(workspace: Path) -> None:
    task = read_task(workspace, DATASET, "abnormal")
    units = read_units(workspace, DATASET, task)
    found = list(zip(units["recording_id"], units["patient_id"], units["start_s"], units["class_index"], strict=True))
    assert found == [("r1", "p1", 0.0, 0), ("r2", "p2", 0.0, 0), ("r2", "p2", 1.0, 1)]
    assert requests_for(units, workspace, task) == [
        Request(workspace / "data/made/r1.wav", ((0.0, 1.0),)),
        Request(workspace / "data/made/r2.wav", ((0.0, 1.0), (1.0, 2.0))),
    ]


def test_a_task_per_recording_requests_whole_recordings(workspace: Path) -> None:
    task = read_task(workspace, DATASET, "binary")
    units = read_units(workspace, DATASET, task)
    assert list(zip(units["recording_id"], units["class_index"], strict=True)) == [("r1", 0), ("r2", 1)]
    assert [request.segments for request in requests_for(units, workspace, task)] == [((None, None),)] * 2


def test_a_test_part_without_a_class_of_the_task_is_an_error(workspace: Path) -> None:
    with pytest.raises(DataError, match="holds no segment"):
        read_units(workspace, DATASET, replace(TASK, mapping={}))


def test_exempt_recordings_are_no_leak_and_each_prediction_belongs_to_its_unit(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = judged(monkeypatch, workspace, version(workspace, "2"), version(workspace, "1"), in_service=5)
    assert decision.rule == "too_few_patients", "two patients, both unknown to the models"
    record = decision.to_json()
    assert (record["units"], record["patients_with_normal"], record["patients_with_abnormal"]) == (3, 2, 1)
    assert record["challenger"]["metrics"]["score"] == 1.0
    assert (record["challenger"]["size_mb"], record["challenger"]["latency_ms"]) == (0.25, 20.0)
    assert record["confidence"] == pytest.approx(0.99)


OTHER = {
    "other classes": replace(RIGHT, classes=["normal", "crackle"]),
    "another label": replace(RIGHT, labels=["normal", "normal", "crackle"]),
    "a fault": Responses(fault="its process ended: Killed"),
}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("other classes", "knows the classes normal, crackle; the task has normal, abnormal"),
        ("another label", "predicts crackle; the task has normal, abnormal"),
        ("a fault", "its process ended: Killed"),
        ("another task", "is a model for task 'binary' per segment, not for 'abnormal' per segment"),
        ("another unit", "is a model for task 'abnormal' per recording, not for 'abnormal' per segment"),
    ],
)
def test_a_model_for_another_task_is_not_compared(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    task = {"another task": {"name": "binary"}, "another unit": {"unit": "recording"}}.get(what, {})
    other = version(workspace, "3", task=TASK.to_json() | task)
    refused = judged(monkeypatch, workspace, other, last=OTHER.get(what, RIGHT))
    undecided = judged(monkeypatch, workspace, version(workspace, "2"), other, last=OTHER.get(what, RIGHT))
    assert (refused.outcome, refused.rule) == ("refuse", "broken")
    assert (undecided.outcome, undecided.rule) == ("undecided", "champion_broken")
    assert words in refused.reason and words in undecided.reason


def test_a_champion_without_a_record_of_its_patients_is_not_compared(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = judged(monkeypatch, workspace, version(workspace, "2"), version(workspace, "1", learned_from=None))
    assert (decision.outcome, decision.rule) == ("undecided", "unknown_patients")


def test_a_model_that_learned_from_a_test_patient_is_a_leak(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaky = version(workspace, "2", learned_from=[patient_key(DATASET, "p1")])
    assert judged(monkeypatch, workspace, leaky, version(workspace, "1")).rule == "leak"


def test_the_champion_itself_and_a_rolled_back_model_are_refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = version(workspace, "1")
    again = replace(one, number="2")
    assert judge(workspace, DATASET, "abnormal", again, one, SETTINGS).rule == "unchanged", "and no model was run"
    rolled_back = replace(version(workspace, "3"), tags={"auscult.withdrawn": "misses stridor"})
    assert judged(monkeypatch, workspace, rolled_back, one).rule == "rolled_back"
