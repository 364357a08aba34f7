"""Write a small finished pipeline: everything that the stages evaluate and report read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from auscult.core import params, records
from auscult.core.paths import Paths
from auscult.core.storage import write_json, write_table
from auscult.core.tasks import Task
from auscult.splitting.parts import Split
from auscult.splitting.summary import summarise

REPOSITORY = Path(__file__).resolve().parents[2]
SOUNDS = ("normal", "crackle", "wheeze", "both")
BINS, FRAMES, HOP_S, RATE = 12, 20, 0.1, 1000
FOLDS = 3

TASKS = (
    Task(
        "binary",
        "recording",
        ("healthy", "diseased"),
        "healthy",
        {"Healthy": "healthy", "COPD": "diseased"},
        "Healthy or diseased",
    ),
    Task(
        "abnormal",
        "segment",
        ("normal", "abnormal"),
        "normal",
        {"normal": "normal"} | dict.fromkeys(SOUNDS[1:], "abnormal"),
        "Normal or abnormal cycle",
    ),
    Task("sounds", "segment", SOUNDS, "normal", {name: name for name in SOUNDS}, "Normal, crackle, wheeze or both"),
)
EXPERIMENTS = {
    f"{task.name}_logmel_cnn2d": {"task": task.name, "features": "logmel", "model": "cnn2d"} for task in TASKS
}


def write_pipeline(root: Path, *, patients: int = 32, bootstrap: int = 60, seed: int = 5) -> Paths:
    """Write params.yaml, manifest, split, audio, logmel features and one model per task below *root*.

    *root* must be the current directory.
    """
    rng = np.random.default_rng(seed)
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    raw["experiments"], raw["combinations"] = EXPERIMENTS, {}
    raw["evaluate"]["bootstrap"] = bootstrap
    (root / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    paths = Paths("sample")
    recordings, segments = _tables(rng, patients)
    _manifest(paths, recordings, segments)
    _split(paths, recordings, segments)
    _audio(paths, recordings, rng)
    _features(paths, recordings, segments, rng)
    for name, entry in EXPERIMENTS.items():
        write_model(paths, name, next(task for task in TASKS if task.name == entry["task"]))
    return paths


def _tables(rng: np.random.Generator, patients: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    recordings, segments = [], []
    for patient in range(patients):
        sick = patient % 3 != 0
        for take in range(2):
            name = f"{100 + patient}_{take}"
            recordings.append(
                {
                    "recording_id": name,
                    "patient_id": str(100 + patient),
                    "path": f"sample/raw/{name}.wav",
                    "sha256": hashlib.sha256(name.encode()).hexdigest(),
                    "audio_sha256": hashlib.sha256((name + "a").encode()).hexdigest(),
                    "sample_rate_hz": 4000,
                    "channels": 1,
                    "subtype": "PCM_16",
                    "duration_s": 8.0,
                    "device": "AKGC417L" if (sick and patient % 2) else "Meditron",
                    "location": ["Al", "Pr", None][take if patient % 5 else 2],
                    "age_years": float(rng.integers(1, 90)) if patient % 7 else np.nan,
                    "sex": ["female", "male", None][patient % 3 if patient % 4 else 2],
                    "label": "COPD" if sick else "Healthy",
                    "sequence": 100 + patient,
                    "published_part": None,
                    "exempt_reason": None,
                    "batch": None,
                }
            )
            for number in range(4):
                label = SOUNDS[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1] if sick else [0.85, 0.08, 0.05, 0.02]))]
                segments.append(
                    {
                        "segment_id": f"{name}:{number:03d}",
                        "recording_id": name,
                        "patient_id": str(100 + patient),
                        "start_s": 2.0 * number,
                        "end_s": 2.0 * number + [1.2, 1.6, 2.0][int(rng.integers(3))],
                        "label": label,
                    }
                )
    return pd.DataFrame(recordings), pd.DataFrame(segments)


def _manifest(paths: Paths, recordings: pd.DataFrame, segments: pd.DataFrame) -> None:
    write_table(paths.manifest / "recordings.parquet", recordings, records.RECORDING_COLUMNS)
    write_table(paths.manifest / "segments.parquet", segments, records.SEGMENT_COLUMNS)
    rejects = pd.DataFrame(
        [
            {"recording_id": "999_broken", "reason": "truncated", "detail": "2.1 s of <8.0> s"},
            {"recording_id": "998_quiet", "reason": "silent", "detail": "-93.0 dBFS"},
            {"recording_id": "998_quiet", "reason": "too_short", "detail": "0.3 s"},
        ]
    )
    write_table(paths.manifest / "rejects.parquet", rejects, records.REJECT_COLUMNS)
    corrections = pd.DataFrame(columns=list(records.CORRECTION_COLUMNS))
    write_table(paths.manifest / "corrections.parquet", corrections, records.CORRECTION_COLUMNS)
    write_json(paths.manifest / "tasks.json", [task.to_json() for task in TASKS])
    write_json(paths.manifest / "summary.json", {"dataset": "sample", "recordings": len(recordings)})


def part_of(patient: int) -> str:
    """Return the part of a patient: a quarter test, one exempt, the others development."""
    return "exempt" if patient == 31 else "test" if patient % 4 == 1 else "development"


def _split(paths: Paths, recordings: pd.DataFrame, segments: pd.DataFrame) -> None:
    assignment = recordings[["recording_id", "patient_id", "published_part", "exempt_reason"]].copy()
    assignment["part"] = [part_of(int(name) - 100) for name in recordings["patient_id"]]
    folds = np.arange(len(assignment)) // 2 % FOLDS  # two recordings per patient
    assignment["fold"] = np.where(assignment["part"] == "development", folds, -1)
    assignment.loc[assignment["part"] == "exempt", "exempt_reason"] = "in both parts of the publisher's split"
    write_table(paths.split / "assignment.parquet", assignment, records.ASSIGNMENT_COLUMNS)
    split = Split(assignment, "drawn")
    summary = summarise(split, recordings, segments, TASKS, params.load().split, [], [])
    write_json(paths.split / "summary.json", summary)


def _audio(paths: Paths, recordings: pd.DataFrame, rng: np.random.Generator) -> None:
    length = 8 * RATE
    paths.audio.mkdir(parents=True, exist_ok=True)
    np.save(paths.audio / "audio.npy", rng.normal(0, 0.05, length * len(recordings)).astype(np.float32))
    index = pd.DataFrame(
        {
            "recording_id": recordings["recording_id"],
            "key": recordings["sha256"],
            "offset": np.arange(len(recordings)) * length,
            "length": length,
        }
    )
    write_table(paths.audio / "index.parquet", index, records.AUDIO_COLUMNS)
    write_json(paths.audio / "spec.json", {"sample_rate_hz": RATE, "low_hz": 50.0, "high_hz": 400.0, "order": 4})


def _features(paths: Paths, recordings: pd.DataFrame, segments: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write rows in which crackles raise the upper bins and wheezes the lower ones."""
    folder = paths.features("logmel")
    folder.mkdir(parents=True, exist_ok=True)
    items = segments.rename(columns={"segment_id": "item_id"}).drop(columns="label")
    items["copy"], items["frames"] = (
        "original",
        np.minimum(((items["end_s"] - items["start_s"]) / HOP_S).astype(int), FRAMES),
    )
    array = rng.normal(-50, 6, (len(items), BINS, FRAMES)).astype(np.float32)
    for row, label in enumerate(segments["label"]):
        array[row, BINS // 2 :] += 5.0 * (label in ("crackle", "both"))
        array[row, : BINS // 2] += 5.0 * (label in ("wheeze", "both"))
        array[row, :, items["frames"].iloc[row] :] = 0.0
    _write_items(folder, "segments", items, array)
    windows = recordings.loc[recordings.index.repeat(2), ["recording_id", "patient_id"]].reset_index(drop=True)
    windows["start_s"] = np.tile([0.0, 4.0], len(recordings))
    windows["end_s"], windows["copy"], windows["frames"] = windows["start_s"] + 4.0, "original", FRAMES
    windows["item_id"] = [
        f"{name}:w{int(start // 4):03d}"
        for name, start in zip(windows["recording_id"], windows["start_s"], strict=True)
    ]
    sick = recordings.loc[recordings.index.repeat(2), "label"].to_numpy() == "COPD"
    array = rng.normal(-50, 6, (len(windows), BINS, FRAMES)).astype(np.float32) + 2.0 * sick[:, None, None]
    _write_items(folder, "windows", windows, array.astype(np.float32))
    write_json(folder / "spec.json", spec())


def _write_items(folder: Path, name: str, items: pd.DataFrame, array: np.ndarray) -> None:
    write_table(folder / f"{name}.parquet", items[list(records.ITEM_COLUMNS)], records.ITEM_COLUMNS)
    np.save(folder / f"{name}.npy", array)


def spec() -> dict[str, Any]:
    """Return the content of features/<representation>/spec.json."""
    return {
        "representation": "logmel",
        "bins": BINS,
        "padding": "mask",
        "resample": {"sample_rate_hz": RATE, "low_hz": 50.0, "high_hz": 400.0, "order": 4},
        "features": {},
        "segments": {"frames": FRAMES, "length_s": 2.0},
        "windows": {"frames": FRAMES, "length_s": 4.0, "hop_s": 4.0},
    }


def write_model(paths: Paths, name: str, task: Task) -> None:
    """Write an untrained network as ``train`` does, with its trials and history."""
    import torch
    from safetensors.torch import save_file

    from auscult.models import architecture
    from auscult.training.normaliser import Normaliser
    from tests.training.described import about_model, fold_entry

    hyperparameters = {
        "filters": 8,
        "bin_stride": 2,
        "units": 16,
        "dropout": 0.1,
        "learning_rate": 0.001,
        "use_synthetic": False,
    }
    folder = paths.model(name)
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    normaliser = Normaliser(np.full(BINS, -50.0, dtype=np.float32), np.full(BINS, 6.0, dtype=np.float32), "mask")
    folds = []
    for fold in range(FOLDS):
        torch.manual_seed(3 + fold)
        network = architecture("cnn2d").build(BINS, FRAMES, len(task.classes), hyperparameters)
        file = folder / "weights" / f"fold-{fold}.safetensors"
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, file)
        folds.append(fold_entry(task, fold, file, normaliser))
    named = {"experiment": name, "model": "cnn2d", "hyperparameters": hyperparameters}
    about = about_model(task, spec(), (BINS, FRAMES), folds, **named)
    write_json(folder / "model.json", about)
    trials = [
        {
            "number": n,
            "state": state,
            "score": score,
            "seed": n,
            "best_epoch": 2,
            "detail": "",
            "hyperparameters": hyperparameters | {"filters": 8 * (n + 1)},
            "epochs": [],
        }
        for n, (state, score) in enumerate([("complete", 0.55), ("complete", 0.6), ("pruned", 0.5), ("failed", None)])
    ]
    write_json(folder / "trials.json", {"best": 1, "trials": trials})
    lines = ["fold,epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,validation_score,learning_rate"]
    lines += [
        f"{fold},{e},{1 / (e + 1):.4f},{0.5 + e / 10},{1.1 / (e + 1):.4f},{0.5 + e / 12},{0.5 + e / 20},0.001"
        for fold in range(FOLDS)
        for e in range(4)
    ]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
