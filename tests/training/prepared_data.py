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
from auscult.core.sections import TrainParams
from auscult.core.storage import write_json, write_table
from auscult.core.tasks import Task

REPOSITORY = Path(__file__).resolve().parents[2]
TASK = Task(
    "sounds", "segment", ("normal", "wheeze", "crackle"), "normal", {"n": "normal", "w": "wheeze", "c": "crackle"}
)
BINS, FRAMES = 12, 20
PARAMS = TrainParams(
    trials=1,
    generation=1,
    epochs=8,
    patience=2,
    batch_size=16,
    seeds=1,
    spec_augment=True,
    class_weights=True,
    budget_minutes=None,
    seed=31,
)


def prepare(root: Path, *, patients: int = 18, per_patient: int = 8, synthetic: int = 12, **train: object) -> Paths:
    """Write params.yaml and everything that ``python -m stages.train demo`` reads below *root*.

    The class shows as a raised band of bins. Two thirds of the patients are for training, one sixth each for
    validation and test.
    """
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    raw["train"] |= {"trials": 3, "generation": 2, "epochs": 3, "seeds": 2, "batch_size": 16} | train
    raw["experiments"] = {"demo": {"task": "sounds", "features": "logmel", "model": "cnn1d"}}
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    paths = Paths(str(root / "data" / "sample").removeprefix("data/"))  # absolute: Path("data") / "/x" is "/x"
    rng = np.random.default_rng(5)
    number = np.repeat(np.arange(patients), per_patient)
    label = np.array(["n", "w", "c"])[rng.choice(3, p=[0.5, 0.3, 0.2], size=len(number))]
    label[::per_patient], label[1::per_patient], label[2::per_patient] = "n", "w", "c"
    start = np.tile(np.arange(per_patient) * 2.0, patients)
    base = pd.DataFrame({"patient_id": [f"p{n:03d}" for n in number], "start_s": start, "end_s": start + 1.5})
    base["recording_id"] = base["patient_id"] + "_a"
    base["item_id"] = [f"{r}:{i % per_patient:03d}" for i, r in enumerate(base["recording_id"])]
    frames = rng.integers(8, FRAMES + 1, size=len(base))
    features = _features(rng, label, frames)
    _write_manifest(paths, base, label)
    part = np.array(["train", "train", "train", "validation", "test", "train"])[np.arange(patients) % 6]
    _write_split(paths, part)
    items = base.assign(copy="original", frames=frames)
    folder = paths.features("logmel")
    folder.mkdir(parents=True)
    np.save(folder / "segments.npy", features)
    write_table(folder / "segments.parquet", items, ITEM_COLUMNS)
    write_json(
        folder / "spec.json",
        {"representation": "logmel", "bins": BINS, "padding": "mask", "segments": {"frames": FRAMES}},
    )
    write_balanced(paths, np.flatnonzero(part[number] == "train"), label, synthetic)
    return paths


def _features(rng: np.random.Generator, label: np.ndarray, frames: np.ndarray) -> np.ndarray:
    features = rng.normal(-40.0, 6.0, size=(len(label), BINS, FRAMES)).astype(np.float32)
    features[label == "w", 2:5] += 8.0  # easy enough that every training finds it, on any processor
    features[label == "c", 7:10] += 8.0
    features[np.broadcast_to((np.arange(FRAMES) >= frames[:, None])[:, None], features.shape)] = 0.0
    return features


def _write_manifest(paths: Paths, base: pd.DataFrame, label: np.ndarray) -> None:
    segments = base.rename(columns={"item_id": "segment_id"}).assign(label=label)
    write_table(paths.manifest / "segments.parquet", segments, SEGMENT_COLUMNS)
    recordings = base.drop_duplicates("recording_id")[["recording_id", "patient_id"]].copy()
    for column, (kind, _) in RECORDING_COLUMNS.items():
        if column not in recordings:
            recordings[column] = {"string": "x", "int64": 1, "float64": 20.0}[kind]
    write_table(paths.manifest / "recordings.parquet", recordings, RECORDING_COLUMNS)
    write_json(paths.manifest / "tasks.json", [TASK.to_json()])


def _write_split(paths: Paths, part: np.ndarray) -> None:
    patients = [f"p{n:03d}" for n in range(len(part))]
    table = pd.DataFrame({"recording_id": [f"{p}_a" for p in patients], "patient_id": patients, "part": part})
    table = table.assign(fold=0, published_part=None, exempt_reason=None)
    write_table(paths.split / "assignment.parquet", table, ASSIGNMENT_COLUMNS)


def write_balanced(paths: Paths, rows: np.ndarray, label: np.ndarray, synthetic: int) -> None:
    """Write the original *rows*, then synthetic rows of the rarest class."""
    index = np.array([TASK.class_index(name) for name in label])
    table = pd.DataFrame({"row": rows, "parent": -1, "step": 0.0, "class_index": index[rows], "kind": "original"})
    rare = rows[index[rows] == 2]
    made = pd.DataFrame({"row": np.resize(rare, synthetic), "parent": np.resize(rare[::-1], synthetic)})
    made = made.assign(step=np.linspace(0.1, 0.9, synthetic), class_index=2, kind="synthetic")
    write_table(paths.balanced("demo"), pd.concat([table, made], ignore_index=True), BALANCED_COLUMNS)


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
