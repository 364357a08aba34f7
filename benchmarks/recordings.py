"""Make noise recordings with the lengths and sample rates of ICBHI, and the tables that the stages read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import yaml

from auscult.core.digests import file_sha256
from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import write_json, write_table
from auscult.core.tasks import Task
from benchmarks.process import REPOSITORY

PATHS = Paths("icbhi")
ICBHI_RECORDINGS = 920
_MEAN_S, _CYCLE_S = 21.5, 2.7
_LABELS = ("normal", "crackle", "wheeze", "both")
_SHARES = (0.53, 0.27, 0.13, 0.07)
_TASK = Task("sounds", "segment", _LABELS, "normal", {name: name for name in _LABELS})


def make_root(root: Path, count: int) -> None:
    """Make a folder in which the stages run, with *count* recordings: 9 in 10 at 44.1 kHz, 24 bits, the rest 4 kHz."""
    raw = root / PATHS.raw
    raw.mkdir(parents=True)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"] = "icbhi"
    params["combinations"] = {}
    params["experiments"] = {
        f"sounds_{features}": {"task": "sounds", "features": features, "model": model}
        for features, model in (("logmel", "cnn2d"), ("mfcc", "cnn2d"), ("augmented", "cnn1d"))
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    generator = np.random.default_rng(0)
    breath = 0.1 * generator.standard_normal(44100 * 120, dtype=np.float32)
    recordings = [_recording(raw, n, breath, generator) for n in range(count)]
    write_tables(root, recordings)


def _recording(raw: Path, number: int, breath: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    rate, subtype = (4000, "PCM_16") if number % 10 == 9 else (44100, "PCM_24")
    seconds = 20.0 if number % 10 else _MEAN_S * 10 - 9 * 20.0  # one in ten is longer
    first = int(generator.integers(breath.size - round(seconds * rate)))
    name = f"rec{number:05d}"
    soundfile.write(raw / f"{name}.wav", breath[first : first + round(seconds * rate)], rate, subtype=subtype)
    checksum = file_sha256(raw / f"{name}.wav")
    path = f"{PATHS.dataset}/raw/{name}.wav"
    about = {"recording_id": name, "patient_id": f"p{number // 7:04d}", "path": path, "sha256": checksum}
    audio = {"audio_sha256": checksum, "sample_rate_hz": rate, "channels": 1, "subtype": subtype}
    return (
        dict.fromkeys(RECORDING_COLUMNS)
        | about
        | audio
        | {"duration_s": round(seconds * rate) / rate, "age_years": 50.0}
    )


def write_tables(root: Path, recordings: list[dict[str, Any]]) -> None:
    """Write manifest and split of these recordings, with two thirds of the patients in two folds."""
    parts = ("development", "development", "test")
    split = [
        {
            "recording_id": one["recording_id"],
            "patient_id": one["patient_id"],
            "part": parts[int(one["patient_id"][1:]) % 3],
            "fold": (0, 1, -1)[int(one["patient_id"][1:]) % 3],
            "published_part": None,
            "exempt_reason": None,
        }
        for one in recordings
    ]
    segments = [segment for one in recordings for segment in _segments(one)]
    write_table(root / PATHS.manifest / "recordings.parquet", pd.DataFrame(recordings), RECORDING_COLUMNS)
    write_table(root / PATHS.manifest / "segments.parquet", pd.DataFrame(segments), SEGMENT_COLUMNS)
    write_table(root / PATHS.split / "assignment.parquet", pd.DataFrame(split), ASSIGNMENT_COLUMNS)
    write_json(root / PATHS.manifest / "tasks.json", [_TASK.to_json()])


def _segments(recording: dict[str, Any]) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng(int(recording["recording_id"][3:]))
    name, patient = recording["recording_id"], recording["patient_id"]
    for k in range(int(recording["duration_s"] // _CYCLE_S)):
        yield {
            "segment_id": f"{name}:{k:03d}",
            "recording_id": name,
            "patient_id": patient,
            "start_s": k * _CYCLE_S,
            "end_s": (k + 1) * _CYCLE_S,
            "label": str(generator.choice(_LABELS, p=_SHARES)),
        }


def forget_results(root: Path, *, cache: bool) -> None:
    """Remove the outputs of the stages, and with *cache* the cache."""
    for path in (root / PATHS.audio, root / PATHS.data / "features", *([root / ".cache"] if cache else [])):
        shutil.rmtree(path, ignore_errors=True)
