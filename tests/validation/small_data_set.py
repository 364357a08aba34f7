"""A small generated data set in ICBHI's layout, read as the data set ``sample``; tests plant faults in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.core.paths import Paths
from auscult.validation.additions import batch_name, checksums

ROOT = Path(__file__).resolve().parents[2]
PATHS = Paths("sample")
RATE_HZ = 4000
AUDIO = "ICBHI_final_database"
DIAGNOSES = ("COPD", "Healthy", "URTI")


def breath(seed: int, seconds: float = 6.0, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """Coloured noise with a periodic envelope and clicks; each seed gives a different sound."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate_hz)
    noise = np.convolve(rng.standard_normal(n + 7), np.hanning(8) / 4, "valid")
    envelope = 0.3 + np.sin(np.pi * np.arange(n) / rate_hz / rng.uniform(1.0, 1.6)) ** 2
    sound = 0.05 * noise * envelope
    for at in rng.integers(0, n - 200, 12):
        sound[at : at + 200] += 0.1 * np.exp(-np.arange(200) / 25.0) * np.sin(np.arange(200) * rng.uniform(0.3, 1.2))
    return sound


def name_of(patient: int, visit: int = 1) -> str:
    return f"{patient}_{visit}b1_Al_sc_Meditron"


def write_recording(
    root: Path,
    name: str,
    sound: NDArray[np.float64] | NDArray[np.int32],
    rate_hz: int = RATE_HZ,
    subtype: str = "PCM_16",
) -> Path:
    """Write audio and an annotation of two cycles into the raw folder."""
    return write_into(root / PATHS.raw, name, sound, rate_hz, subtype)


def write_into(
    folder: Path,
    name: str,
    sound: NDArray[np.float64] | NDArray[np.int32],
    rate_hz: int = RATE_HZ,
    subtype: str = "PCM_16",
) -> Path:
    """Write audio and an annotation of two cycles into any folder of that layout."""
    path = folder / AUDIO / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz, subtype=subtype)
    end = len(sound) / rate_hz
    text = f"0.1\t{end / 2:.3f}\t0\t0\n{end / 2:.3f}\t{end:.3f}\t1\t0\n"
    path.with_suffix(".txt").write_text(text, encoding="utf-8")
    return path


def write_annotation(root: Path, name: str, text: str) -> None:
    (root / PATHS.raw / AUDIO / f"{name}.txt").write_text(text, encoding="utf-8")


def write_patients(root: Path, patients: list[int]) -> None:
    """Write the two tables that describe patients into the raw folder."""
    describe(root / PATHS.raw, patients)


def describe(folder: Path, patients: Iterable[int]) -> None:
    """Write the two tables that describe patients into any folder of that layout."""
    diagnoses = "".join(f"{p}\t{DIAGNOSES[p % 3]}\n" for p in patients)
    (folder / "ICBHI_Challenge_diagnosis.txt").write_text(diagnoses, encoding="utf-8")
    demographics = "".join(f"{p}\t{20 + p % 60}\t{'F' if p % 2 else 'M'}\t22\tNA\tNA\n" for p in patients)
    (folder / "ICBHI_Challenge_demographic_information.txt").write_text(demographics, encoding="utf-8")


def make_delivery(folder: Path, recordings: Mapping[str, NDArray[np.float64]]) -> Path:
    """Write new recordings (name → sound) in ICBHI's layout, with the tables of their patients."""
    for name, sound in recordings.items():
        write_into(folder, name, sound)
    describe(folder, sorted({int(name[:3]) for name in recordings}))
    return folder


def put_batch(root: Path, delivery: Path) -> str:
    """Copy a delivery to the additions, as if DVC tracked it; return the batch."""
    batch = batch_name(checksums(delivery))
    shutil.copytree(delivery, root / PATHS.added / batch)
    (root / PATHS.added / f"{batch}.dvc").write_text("outs: []\n", encoding="utf-8")
    return batch


def make_data_set(root: Path, patients: int = 12) -> list[int]:
    """Write parameters and valid raw recordings, two visits per patient, below a root; return the patients."""
    (root / PATHS.raw / AUDIO).mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    numbers = [101 + i for i in range(patients)]
    for patient in numbers:
        for visit in (1, 2):
            write_recording(root, name_of(patient, visit), breath(patient * 10 + visit))
    write_patients(root, numbers)
    return numbers


def set_parameter(root: Path, line: str, value: str) -> None:
    """Replace ``<line>: …`` in the parameters; *line* must occur exactly once."""
    text = (root / "params.yaml").read_text(encoding="utf-8").splitlines()
    hits = [i for i, old in enumerate(text) if old.strip().startswith(f"{line}:")]
    assert len(hits) == 1, (line, hits)
    indent = text[hits[0]][: len(text[hits[0]]) - len(text[hits[0]].lstrip())]
    text[hits[0]] = f"{indent}{line}: {value}"
    (root / "params.yaml").write_text("\n".join(text) + "\n", encoding="utf-8")
