"""ICBHI's files: a recording, its annotation, the two tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.datasets.synthesis.population import Patient, Visit
from auscult.datasets.synthesis.renderer import Cycle


def write_audio(folder: Path, visit: Visit, samples: NDArray[np.float64]) -> Path:
    """Write ``<name>.wav`` at the visit's rate and sample format; samples of shape (n,), full scale 1."""
    import soundfile

    path = folder / f"{visit.name}.wav"
    bits = int(visit.subtype.removeprefix("PCM_"))
    # Rounded here, not by the writer, which would scale the two formats differently.
    codes = np.clip(np.rint(samples * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int32)
    content = io.BytesIO()  # not straight to the disk: of a full one the library does not say that it is full
    soundfile.write(content, codes << (32 - bits), visit.sample_rate_hz, subtype=visit.subtype, format="WAV")
    path.write_bytes(content.getvalue())
    return path


def write_annotation(folder: Path, visit: Visit, cycles: Sequence[Cycle]) -> None:
    """Write ``<name>.txt``: begin, end, crackles, wheezes, parted by tabs."""
    lines = [f"{cycle.start_s:g}\t{cycle.end_s:g}\t{cycle.crackles:d}\t{cycle.wheezes:d}\n" for cycle in cycles]
    (folder / f"{visit.name}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def diagnosis_table(patients: Iterable[Patient]) -> str:
    """Patient and diagnosis, a line each."""
    return "".join(f"{patient.number}\t{patient.diagnosis}\n" for patient in patients)


def demographic_table(patients: Iterable[Patient]) -> str:
    """Patient, age (years), sex, BMI of adults (kg/m²), weight (kg) and height (cm) of children; NA where unknown."""
    lines = []
    for patient in patients:
        values = (patient.age_years, patient.sex, patient.bmi, patient.weight_kg, patient.height_cm)
        fields = ["NA" if value is None else value if isinstance(value, str) else f"{value:g}" for value in values]
        lines.append(" ".join([str(patient.number), *fields]) + "\n")
    return "".join(lines)
