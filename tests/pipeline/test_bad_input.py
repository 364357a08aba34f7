"""Bad input ends with one clear message and exit code 2, and the last good outputs are still there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.workspace import repro, run, set_params


@pytest.fixture(scope="module")
def shared(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all tests of this file: none of them may change its outputs."""
    target = tmp_path_factory.mktemp("bad") / "copy"
    shutil.copytree(finished, target, symlinks=True)
    return target


@pytest.fixture
def outputs(shared: Path) -> Iterator[Path]:
    """A finished clone whose outputs must be the same after the test."""
    before, text = snapshot(shared), (shared / "params.yaml").read_text()
    yield shared
    (shared / "params.yaml").write_text(text)
    assert snapshot(shared) == before


def snapshot(folder: Path) -> dict[str, str]:
    """Checksum of every output."""
    files = [p for top in ("data", "models", "reports") for p in sorted((folder / top).rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train.trails": 5}, ["train.trails", "did you mean 'train.trials'"]),
        ({"train.epochs": "fifty"}, ["train.epochs is 'fifty'", "integer"]),
        ({"split.test_share": 1.5}, ["split.test_share is 1.5", "less than 1"]),
        ({"resample.high_hz": 9000.0}, ["below half the sample rate"]),
        (
            {"experiments.x": {"task": "colour", "features": "mfcc", "model": "cnn2d"}},
            ["colour", "sounds", "experiments.x.task"],
        ),
        ({"experiments.x": {"task": "sounds", "features": "mfc", "model": "cnn2d"}}, ["'mfc'", "Did you mean 'mfcc'"]),
        ({"experiments.x": {"task": "sounds", "features": "mfcc", "model": "cnn3d"}}, ["'cnn3d'", "cnn2d"]),
        ({"dataset": "samples"}, ["unknown data set 'samples'", "Did you mean 'sample'"]),
        ({"validate.min_duration_s": 500.0}, ["no recording", "too_short", "lower validate.min_duration_s"]),
    ],
    ids=["misspelt", "type", "range", "band", "task", "features", "model", "dataset", "nothing-left"],
)
def test_parameters(outputs: Path, changes: dict[str, Any], words: list[str]) -> None:
    set_params(outputs, changes)
    done = repro(outputs, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    assert "Traceback" not in text
    assert "next:" in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "icbhii"], "Did you mean 'icbhi'"),
        (["--dataset", "icbhi", "--source", "no/such/folder"], "no/such/folder"),
    ],
    ids=["unknown-data-set", "missing-source"],
)
def test_refused_on_the_command_line_leaves_params_alone(outputs: Path, arguments: list[str], words: str) -> None:
    before = (outputs / "params.yaml").read_bytes()
    done = repro(outputs, *arguments, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (outputs / "params.yaml").read_bytes() == before


def test_source_of_another_kind(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"not audio")
    done = repro(outputs, "--dataset", "sprsound", "--source", str(tmp_path / "holiday"), check=False)
    assert done.returncode == 2
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    assert "holiday" in text and "next:" in text
    assert not (outputs / ".cache/source-sprsound.txt").exists()
    assert "dataset: sample" in (outputs / "params.yaml").read_text()


def test_plain_dvc_repro_says_the_same_and_checkout_brings_the_outputs_back(outputs: Path) -> None:
    set_params(outputs, {"train.epochs": "fifty"})
    done = run(outputs, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert "train.epochs is 'fifty'" in done.stdout + done.stderr
    run(outputs, "dvc", "checkout")
