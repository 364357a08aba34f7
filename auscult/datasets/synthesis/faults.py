"""Seven broken recordings, each with another fault that occurs in real collections.

They are added to the valid recordings, as session ``9b1`` of their patients: ``validate`` must reject exactly these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.datasets.synthesis.files import write_annotation, write_audio
from auscult.datasets.synthesis.population import Visit, generator
from auscult.datasets.synthesis.renderer import Cycle, render

_SESSION = "9b1"
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """A recording to be written with a fault.

    Attributes
    ----------
    visit
        The recording.
    reason
        The reason for which ``validate`` must reject it.
    original
        The first recording of the patient, which ``duplicate_audio`` repeats.
    """

    visit: Visit
    reason: str
    original: Visit


def faults(visits: Sequence[Visit], seed: int) -> list[Fault]:
    """Choose seven patients and plan a broken recording of each; one patient has no diagnosis.

    Parameters
    ----------
    visits
        The valid recordings.
    """
    first = {visit.patient.number: visit for visit in reversed(visits)}
    numbers = sorted(first)
    chosen = generator(seed, 0, 2).permutation(numbers)[: len(FAULTS)]
    result = []
    for k, (reason, number) in enumerate(zip(FAULTS, chosen, strict=True)):
        original = first[int(number)]
        patient = original.patient
        if reason == "missing_metadata":
            patient = replace(patient, number=numbers[-1] + 1)
        # The duplicate keeps the format, so that its bytes equal the original's; the others are short and small.
        visit = replace(original, patient=patient, index=_SESSION, order=100 + k)
        if reason != "duplicate_audio":
            visit = replace(visit, sample_rate_hz=4000, subtype="PCM_16", duration_s=10.0)
        result.append(Fault(visit, reason, original))
    return result


def expected_rejects(visits: Sequence[Visit], seed: int) -> dict[str, str]:
    """Return recording → reason for which ``validate`` must reject it."""
    return {fault.visit.name: fault.reason for fault in faults(visits, seed)}


def write_fault(folder: Path, seed: int, fault: Fault) -> None:
    """Write one broken recording with its annotation."""
    source = fault.original if fault.reason == "duplicate_audio" else fault.visit
    samples, cycles = render(source, seed)
    FAULTS[fault.reason](folder, fault.visit, samples, cycles)


def _truncated(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write an incomplete copy: ten seconds in the header, six in the file."""
    path = write_audio(folder, visit, samples)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    write_annotation(folder, visit, cycles)


def _wrong_content(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write a web page instead of audio, as a server in maintenance sends."""
    page = "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n<body>Later.</body></html>\n"
    (folder / f"{visit.name}.wav").write_bytes(page.encode() * 20)
    write_annotation(folder, visit, cycles)


def _silent(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write the recording of an unplugged microphone: the lowest bit changes now and then."""
    lowest_bit = np.zeros(len(samples))
    lowest_bit[:: visit.sample_rate_hz // 10] = 1 / 32768
    write_audio(folder, visit, lowest_bit)
    write_annotation(folder, visit, cycles)


def _clipped(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write a recording with too high a gain: a third of the samples at full scale."""
    limit = float(np.quantile(np.abs(samples), 0.66))
    write_audio(folder, visit, np.clip(samples / limit, -1.0, 1.0))
    write_annotation(folder, visit, cycles)


def _outside(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write an annotation whose last cycle ends seconds after the audio."""
    write_audio(folder, visit, samples)
    last = replace(cycles[-1], end_s=visit.duration_s + 4.2)
    write_annotation(folder, visit, [*cycles[:-1], last])


def _unchanged(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """Write a valid recording: the fault is its audio, of another recording, or its patient, without a diagnosis."""
    write_audio(folder, visit, samples)
    write_annotation(folder, visit, cycles)


#: Reason of the rejection → function that writes such a recording.
FAULTS: dict[str, Callable[[Path, Visit, Samples, list[Cycle]], None]] = {
    "truncated": _truncated,
    "wrong_content": _wrong_content,
    "silent": _silent,
    "clipped": _clipped,
    "duplicate_audio": _unchanged,
    "annotation_outside": _outside,
    "missing_metadata": _unchanged,
}
