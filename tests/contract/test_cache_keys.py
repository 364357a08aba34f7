"""A cache forgets what older code made: its key covers every file that decides the content."""

from __future__ import annotations

from stages.features import logmels
from stages.features.representations import load, names
from stages.resample import audio
from stages.train import models
from stages.train.search import CODE
from tests.contract.imports import imported_files, module_file

#: They carry values and messages; what they hold enters the keys as parameters, or changes no result.
GROUND_FLOOR = {
    f"stages/{name}.py"
    for name in ("digests", "entry", "errors", "params", "paths", "records", "sections", "store", "tasks")
}


def files(*modules: str) -> set[str]:
    return {str(module_file(name)) for name in modules}


def test_resampled_audio() -> None:
    assert imported_files("stages.resample.filter") - GROUND_FLOOR <= files(*audio._CODE)


def test_spectrograms_and_augmented_copies() -> None:
    assert imported_files("stages.features.spectrogram") - GROUND_FLOOR <= files(*logmels._CODE)
    for name in names():
        representation = load(name)
        if representation.copies:
            made_by = imported_files(*representation.copy_modules) - GROUND_FLOOR
            assert made_by <= files(*logmels._CODE, *representation.copy_modules), name


def test_finished_trials() -> None:
    training = {file for file in imported_files("stages.train.loop") if file.startswith("stages/train/")}
    assert training <= files(*CODE, "stages.train.loop")


def test_finished_trials_of_each_model() -> None:
    for name in models.names():
        module = f"stages.train.models.{name}"
        assert imported_files(module) - GROUND_FLOOR <= files(*CODE, module), f"what {name} imports is not in its key"
