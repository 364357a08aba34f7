"""A small data set of random features, as the stages before ``train`` would leave it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, BALANCED_COLUMNS, ITEM_COLUMNS, RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.core.sections import Experiment, TrainParams
from auscult.core.storage import write_json, write_table
from auscult.core.tasks import Task
from auscult.training.data import TrainingData, load

REPOSITORY = Path(__file__).resolve().parents[2]
TASK = Task(
    "sounds", "segment", ("normal", "wheeze", "crackle"), "normal", {"n": "normal", "w": "wheeze", "c": "crackle"}
)
BINS, FRAMES, PIECE = 12, 20, 12
EXPERIMENT = Experiment(task="sounds", features="logmel", model="cnn1d")
#: Fold of the patients, one after the other; every sixth is for testing.
FOLDS = (0, 1, 2, 0, -1, 1, 2, 0, 1, 2, -1, 0, 1, 2, 0, 1, -1, 2)
PARAMS = TrainParams.model_validate(
    {
        "trials": 1,
        "generation": 1,
        "hyperparameters": {},
        "epochs": 8,
        "patience": None,
        "batch_size": 16,
        "piece_s": {"segment": 1.2, "recording": 2.0},
        "spec_augment": True,
        "decisions": ["score", "argmax"],
        "budget_minutes": None,
        "seed": 31,
    }
)


def prepare(
    root: Path,
    *,
    patients: int = 18,
    per_patient: int = 8,
    synthetic: int = 12,
    learnable: bool = True,
    own: dict[str, object] | None = None,
    search: dict[str, object] | None = None,
    **train: object,
) -> Paths:
    """Write params.yaml and everything that ``python -m stages.train demo`` reads below *root*.

    One sixth of the patients is for testing, the others are in three folds.

    Parameters
    ----------
    synthetic
        Synthetic rows that are made for each fold.
    learnable
        The class shows as a raised band of bins. Otherwise each patient has one class at random, and features,
        device and age by which the patient is recognised, and which tell nothing about the class.
    own
        Parameters of training that the experiment sets for itself.
    search
        Hyperparameters to draw.
    train
        Changes of the section ``train``.
    """
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    raw["train"] |= {"trials": 3, "generation": 2, "epochs": 3, "batch_size": 16} | train
    raw["train"]["piece_s"] = PARAMS.piece_s.model_dump()
    raw["experiments"] = {"demo": {"task": "sounds", "features": "logmel", "model": "cnn1d"}}
    raw["combinations"] = {}
    if own is not None:
        raw["experiments"]["demo"]["train"] = own
    if search is not None:
        raw["search"]["cnn1d"] = search
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    paths = Paths(str(root / "data" / "sample").removeprefix("data/"))  # absolute: Path("data") / "/x" is "/x"
    rng = np.random.default_rng(5)
    number = np.repeat(np.arange(patients), per_patient)
    label = np.array(["n", "w", "c"])[rng.choice(3, p=[0.5, 0.3, 0.2], size=len(number))]
    if learnable:
        label[::per_patient], label[1::per_patient], label[2::per_patient] = "n", "w", "c"
    else:
        label = np.array(["n", "w", "c"])[rng.choice(3, p=[0.5, 0.3, 0.2], size=patients)][number]
    start = np.tile(np.arange(per_patient) * 2.0, patients)
    base = pd.DataFrame({"patient_id": [f"p{n:03d}" for n in number], "start_s": start, "end_s": start + 1.5})
    base["recording_id"] = base["patient_id"] + "_a"
    base["item_id"] = [f"{r}:{i % per_patient:03d}" for i, r in enumerate(base["recording_id"])]
    frames = rng.integers(8, FRAMES + 1, size=len(base))
    features = _features(rng, label, None if learnable else number, frames)
    _write_manifest(paths, base, label, metadata=not learnable)
    fold = np.resize(FOLDS, patients)
    _write_split(paths, fold)
    items = base.assign(copy="original", frames=frames)
    folder = paths.features("logmel")
    folder.mkdir(parents=True)
    np.save(folder / "segments.npy", features)
    write_table(folder / "segments.parquet", items, ITEM_COLUMNS)
    write_json(
        folder / "spec.json",
        {
            "representation": "logmel",
            "bins": BINS,
            "padding": "mask",
            "resample": {"sample_rate_hz": 100},
            "features": {"hop_length": 10},
            "segments": {"frames": FRAMES},
        },
    )
    write_balanced(paths, fold[number], label, synthetic)
    return paths


def _features(
    rng: np.random.Generator, label: np.ndarray, patient: np.ndarray | None, frames: np.ndarray
) -> np.ndarray:
    features = rng.normal(-40.0, 6.0, size=(len(label), BINS, FRAMES)).astype(np.float32)
    if patient is None:
        features[label == "w", 2:5] += 8.0  # easy enough that every training finds it, on any processor
        features[label == "c", 7:10] += 8.0
    else:
        features /= 8.0
        features += rng.normal(0.0, 6.0, size=(patient.max() + 1, BINS, 1)).astype(np.float32)[patient]
    features[np.broadcast_to((np.arange(FRAMES) >= frames[:, None])[:, None], features.shape)] = 0.0
    return features


def _write_manifest(paths: Paths, base: pd.DataFrame, label: np.ndarray, *, metadata: bool) -> None:
    segments = base.rename(columns={"item_id": "segment_id"}).assign(label=label)
    write_table(paths.manifest / "segments.parquet", segments, SEGMENT_COLUMNS)
    recordings = base.drop_duplicates("recording_id")[["recording_id", "patient_id"]].copy()
    if metadata:
        recordings = recordings.assign(
            device=recordings["patient_id"], age_years=20.0 + 0.25 * np.arange(len(recordings))
        )
    for column, (kind, _) in RECORDING_COLUMNS.items():
        if column not in recordings:
            recordings[column] = {"string": "x", "int64": 1, "Int64": 1, "float64": 20.0}[kind]
    write_table(paths.manifest / "recordings.parquet", recordings, RECORDING_COLUMNS)
    write_json(paths.manifest / "tasks.json", [TASK.to_json()])


def _write_split(paths: Paths, fold: np.ndarray) -> None:
    patients = [f"p{n:03d}" for n in range(len(fold))]
    table = pd.DataFrame({"recording_id": [f"{p}_a" for p in patients], "patient_id": patients, "fold": fold})
    table["part"] = np.where(fold < 0, "test", "development")
    table = table.assign(published_part=None, exempt_reason=None)
    write_table(paths.split / "assignment.parquet", table, ASSIGNMENT_COLUMNS)


def write_balanced(paths: Paths, fold: np.ndarray, label: np.ndarray, synthetic: int) -> None:
    """Write synthetic rows of the rarest class for each fold; *fold* and *label* are those of the rows."""
    index = np.array([TASK.class_index(name) for name in label])
    tables = []
    for held_out in sorted(set(fold) - {-1}):
        rare = np.flatnonzero((index == 2) & (fold >= 0) & (fold != held_out))
        made = pd.DataFrame({"row": np.resize(rare, synthetic), "parent": np.resize(rare[::-1], synthetic)})
        tables.append(made.assign(fold=held_out, step=np.linspace(0.1, 0.9, synthetic), class_index=2))
    write_table(paths.balanced("demo"), pd.concat(tables, ignore_index=True), BALANCED_COLUMNS)


def load_data(paths: Paths) -> TrainingData:
    """Load the development part of a prepared data set."""
    return load(paths, "demo", EXPERIMENT, PARAMS)


def train(root: Path, *, workers: int = 1, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the stage as a command in *root*."""
    done = subprocess.run(command(), **options(root, workers), capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def command() -> list[str]:
    """Command line of the stage."""
    return [sys.executable, "-m", "stages.train", "demo"]


def options(root: Path, workers: int) -> dict[str, object]:
    """Working directory and environment of the stage."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "AUSCULT_WORKERS": str(workers)}
    return {"cwd": root, "env": environment}


def outputs(root: Path) -> dict[str, bytes]:
    """Content of every file of the model's folder."""
    folder = root / "models" / "sample" / "demo"
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
