"""Write ICBHI's file formats: recordings, annotations, and the two tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.datasets.synthesis.population import Patient, Visit
from auscult.datasets.synthesis.renderer import Cycle


def write_audio(folder: Path, visit: Visit, samples: NDArray[np.float64]) -> Path:
    """Write ``<name>.wav`` at the visit's rate and sample format; samples of shape (n,), full scale 1."""
    path = folder / f"{visit.name}.wav"
    bits = int(visit.subtype.removeprefix("PCM_"))
    # Rounded here because libsndfile scales the two formats differently.
    codes = np.clip(np.rint(samples * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int32)
    content = io.BytesIO()  # not the file itself: libsndfile does not report a full disk
    soundfile.write(content, codes << (32 - bits), visit.sample_rate_hz, subtype=visit.subtype, format="WAV")
    path.write_bytes(content.getvalue())
    return path


def write_annotation(folder: Path, visit: Visit, cycles: Sequence[Cycle]) -> None:
    """Write ``<name>.txt``: begin (s), end (s), crackles, wheezes, separated by tabs."""
    lines = [f"{cycle.start_s:g}\t{cycle.end_s:g}\t{cycle.crackles:d}\t{cycle.wheezes:d}\n" for cycle in cycles]
    (folder / f"{visit.name}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def diagnosis_table(patients: Iterable[Patient]) -> str:
    """Return the table of diagnoses: patient and diagnosis."""
    return "".join(f"{patient.number}\t{patient.diagnosis}\n" for patient in patients)


def demographic_table(patients: Iterable[Patient]) -> str:
    """Return the demographic table.

    Columns: patient, age (years), sex, BMI (kg/m²) of adults, weight (kg) and height (cm) of children; NA if unknown.
    """
    lines = []
    for patient in patients:
        values = (patient.age_years, patient.sex, patient.bmi, patient.weight_kg, patient.height_cm)
        fields = ["NA" if value is None else value if isinstance(value, str) else f"{value:g}" for value in values]
        lines.append(" ".join([str(patient.number), *fields]) + "\n")
    return "".join(lines)
