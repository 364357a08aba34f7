"""A small data set in a scratch root: recordings of several rates, and the tables that validate and split write."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from auscult.core.params import load
from auscult.core.paths import Paths
from auscult.core.records import ASSIGNMENT_COLUMNS, RECORDING_COLUMNS, SEGMENT_COLUMNS
from auscult.core.sections import Params
from auscult.core.storage import write_json, write_table
from auscult.core.tasks import Task

REPOSITORY = Path(__file__).parents[2]
FORMATS = ((4000, "PCM_16", 1), (10000, "PCM_16", 1), (44100, "PCM_24", 1), (8000, "PCM_16", 2))
PATHS = Paths("sample")
FOLDS = 3
SOUNDS = Task(
    "sounds", "segment", ("normal", "crackle", "wheeze"), "normal", {"n": "normal", "c": "crackle", "w": "wheeze"}
)
BINARY = Task("binary", "recording", ("healthy", "diseased"), "healthy", {"H": "healthy", "D": "diseased"})


def noise(seconds: float, rate: int, seed: int, channels: int = 1) -> np.ndarray:
    """Low-pass noise, shape (n, channels)."""
    samples = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    return 0.1 * np.cumsum(samples - samples.mean(0), axis=0) / np.sqrt(rate)


def make_root(root: Path, count: int = 8, seconds: float = 3.0) -> Params:
    """Write params.yaml, raw recordings and tables for *count* recordings of *count* patients under *root*.

    The last two patients are for testing, the others in three folds.
    """
    shutil.copy(REPOSITORY / "params.yaml", root / "params.yaml")
    raw = root / PATHS.raw
    raw.mkdir(parents=True)
    recordings, segments, split = [], [], []
    for n in range(count):
        rate, subtype, channels = FORMATS[n % len(FORMATS)]
        name, patient = f"rec{n:02d}", f"p{n:02d}"
        length = seconds + 0.4 * n
        soundfile.write(raw / f"{name}.wav", noise(length, rate, n, channels), rate, subtype=subtype)
        info = soundfile.info(raw / f"{name}.wav")
        checksum = hashlib.sha256((raw / f"{name}.wav").read_bytes()).hexdigest()
        common = {"recording_id": name, "patient_id": patient}
        unknown = dict.fromkeys(RECORDING_COLUMNS)
        recordings.append(
            unknown
            | common
            | {
                "path": f"sample/raw/{name}.wav",
                "sha256": checksum,
                "audio_sha256": checksum,
                "sample_rate_hz": rate,
                "channels": channels,
                "subtype": subtype,
                "duration_s": info.frames / rate,
                "device": "mic",
                "location": "Tc",
                "age_years": 50.0,
                "label": "HD"[n % 2],
            }
        )
        edges = np.linspace(0.2, length, 5)
        for k, label in enumerate(("n", "n", "c", "w" if n % 4 == 0 else "n")):
            times = {"start_s": edges[k], "end_s": edges[k + 1], "label": label}
            segments.append({"segment_id": f"{name}:{k:03d}"} | common | times)
        place = {"part": "development", "fold": n % FOLDS} if n < count - 2 else {"part": "test", "fold": -1}
        split.append(common | place | {"published_part": None, "exempt_reason": None})
    write_table(root / PATHS.manifest / "recordings.parquet", pd.DataFrame(recordings), RECORDING_COLUMNS)
    write_table(root / PATHS.manifest / "segments.parquet", pd.DataFrame(segments), SEGMENT_COLUMNS)
    write_table(root / PATHS.split / "assignment.parquet", pd.DataFrame(split), ASSIGNMENT_COLUMNS)
    write_json(root / PATHS.manifest / "tasks.json", [SOUNDS.to_json(), BINARY.to_json()])
    return load(root / "params.yaml")


def folder_bytes(folder: Path) -> dict[str, str]:
    """Checksum of every file in a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
