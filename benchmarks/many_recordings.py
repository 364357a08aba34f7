"""Make a data set of many short recordings, in a git repository in which the pipeline seems to have run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from auscult.core.paths import Paths
from auscult.core.storage import write_json
from auscult.versioning.commands import git
from auscult.versioning.dvc_internals import Repository
from benchmarks.process import REPOSITORY, cost

PATHS = Paths("sample")
RATE_HZ, SECONDS, PER_PATIENT, CYCLES = 4000, 1.6, 8, 4
_AUDIO = "ICBHI_final_database"
_DIAGNOSES = ("Healthy", "COPD", "URTI", "Bronchiectasis", "Pneumonia")


def make_repository(root: Path, recordings: int) -> None:
    """Copy the project into a git repository, and write valid raw recordings.

    Each recording is different noise, so that there are no near-duplicates. A patient has eight recordings, a
    recording four annotated cycles.
    """
    _copy_project(root)
    raw = root / PATHS.raw
    (raw / _AUDIO).mkdir(parents=True)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (recordings, CYCLES, 2))
    for number in range(recordings):
        _write_recording(raw / _AUDIO, number, generator, labels[number])
    patients = range(101, 101 + -(-recordings // PER_PATIENT))
    diagnoses = "".join(f"{patient}\t{_DIAGNOSES[patient % len(_DIAGNOSES)]}\n" for patient in patients)
    (raw / "ICBHI_Challenge_diagnosis.txt").write_text(diagnoses, encoding="utf-8")
    demographics = "".join(f"{patient} {20 + patient % 60} {'FM'[patient % 2]} 22 NA NA\n" for patient in patients)
    (raw / "ICBHI_Challenge_demographic_information.txt").write_text(demographics, encoding="utf-8")


def _write_recording(folder: Path, number: int, generator: np.random.Generator, labels: np.ndarray) -> None:
    import soundfile

    patient, visit = divmod(number, PER_PATIENT)
    name = f"{101 + patient}_{visit + 1}b1_{'AP'[visit % 2]}l_sc_Meditron"
    sound = 0.1 * generator.standard_normal(round(RATE_HZ * SECONDS), dtype=np.float32)
    soundfile.write(folder / f"{name}.wav", sound, RATE_HZ, subtype="PCM_16")
    length = SECONDS / CYCLES
    lines = [
        f"{k * length:g}\t{(k + 1) * length:g}\t{crackle}\t{wheeze}\n" for k, (crackle, wheeze) in enumerate(labels)
    ]
    (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _copy_project(root: Path) -> None:
    for name in filter(
        None, git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    ):
        output = name.startswith(("data/", "models/", "reports/", "tests/", "docs/")) and name != "data/added/README.md"
        if not output and name != "dvc.lock" and (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    text = (root / "params.yaml").read_text(encoding="utf-8")
    lines = [f"dataset: {PATHS.dataset}" if line.startswith("dataset:") else line for line in text.splitlines()]
    (root / "params.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    git(root, "init", "-q")
    git(root, "config", "user.name", "Benchmark")
    git(root, "config", "user.email", "benchmark@example.org")


def write_placeholders(root: Path) -> None:
    """Write placeholders for the outputs of all other stages; DVC compares digests, not contents."""
    with Repository(root) as repository:
        files = repository.paths()
    for path in sorted(files, key=lambda file: -len(file.parts)):  # a file before its folder
        if path.exists():
            continue
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("placeholder", encoding="utf-8")
        else:
            path.mkdir(parents=True)
            (path / "placeholder").write_text(str(path.relative_to(root)), encoding="utf-8")
    undefined = {"metrics": {"score": {"undefined": "placeholder"}}}
    baselines = {"metadata_only": undefined, "gradient_boosting": undefined}
    parts = {"validation": undefined, "test": undefined | {"baselines": baselines}}
    evaluation = {"intervals": {"confidence": 0.95}, "held_out_cohorts": {}, "parts": parts}
    for file in (root / PATHS.reports / "experiments").glob("*/evaluation.json"):
        write_json(file, evaluation)
    for file in (root / PATHS.reports / "metrics").glob("*.json"):
        write_json(file, {"validation": {}, "test": {}})
    commit(root, "outputs of all stages")
    cost(["-c", _TRACKED], root)


#: Makes every model look tracked: the entries that the tracking looks up in MLflow's store.
_TRACKED = """
import sqlite3
from auscult.registry.outputs import DATABASE, OUTPUTS_TAG, find
with sqlite3.connect(DATABASE) as store:
    store.execute("create table runs (run_uuid, lifecycle_stage, status)")
    store.execute("create table tags (run_uuid, key, value)")
    for number, one in enumerate(find()):
        store.execute("insert into runs values (?, 'active', 'FINISHED')", (number,))
        for tag in (("auscult.name", one.registered_name), (OUTPUTS_TAG, one.digest)):
            store.execute("insert into tags values (?, ?, ?)", (number, *tag))
"""


def withdraw_first(root: Path) -> None:
    """Commit a second version of the data, without the recordings of the first patient."""
    for file in (root / PATHS.raw / _AUDIO).glob("101_*"):
        file.unlink()
    for stage in ("validate", "split", "describe"):
        cost(["-m", f"stages.{stage}"], root)
    commit(root, "without the first patient")


def commit(root: Path, message: str) -> None:
    """Commit the outputs with DVC, and the result with git."""
    cost(["-m", "dvc", "commit", "--force", "--quiet"], root)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
