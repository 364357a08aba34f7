"""A cache forgets what older code made: its key covers every file that decides the content."""

from __future__ import annotations

from auscult import models
from auscult.audio import resampled
from auscult.evaluation import finished_baselines
from auscult.features.extraction import build
from auscult.features.representations import load, names
from auscult.training.search import CODE
from tests.contract.imports import imported_files, module_file

#: They contain values and messages; the values enter the keys as parameters, the messages change no result.
GROUND_FLOOR = {
    f"auscult/core/{name}.py"
    for name in (
        *("crashes", "digests", "errors", "identifiers", "locks", "named_files", "params", "paths", "process"),
        *("records", "reject_reasons", "sections", "storage", "tasks"),
    )
}


def files(*modules: str) -> set[str]:
    return {str(module_file(name)) for name in modules}


def test_resampled_audio() -> None:
    assert imported_files("auscult.audio.resampling") - GROUND_FLOOR <= files(*resampled._CODE)


def test_spectrograms_and_augmented_copies() -> None:
    assert imported_files("auscult.features.extraction.spectrogram") - GROUND_FLOOR <= files(*build._CODE)
    for name in names():
        representation = load(name)
        if representation.copies:
            made_by = imported_files(*representation.copy_modules) - GROUND_FLOOR
            assert made_by <= files(*build._CODE, *representation.copy_modules), name


def test_finished_trials() -> None:
    training = {file for file in imported_files("auscult.training.loop") if file.startswith("auscult/training/")}
    assert training <= files(*CODE, "auscult.training.loop")


def test_finished_baselines() -> None:
    assert imported_files("auscult.evaluation.baselines") - GROUND_FLOOR <= files(*finished_baselines.CODE)


def test_finished_trials_of_each_model() -> None:
    for name in models.names():
        module = f"auscult.models.{name}"
        assert imported_files(module) - GROUND_FLOOR <= files(*CODE, module), f"what {name} imports is not in its key"
