"""Seven recordings, each broken in another way that real collections know.

They come on top of the good ones, at their patients' ninth sitting (``9b1``), so that a
pipeline which sets exactly these aside has lost nothing else.
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

_SITTING = "9b1"
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """A recording to be broken.

    Attributes
    ----------
    visit
        The recording under its own name.
    reason
        What ``validate`` calls it.
    original
        The good recording that ``duplicate_audio`` repeats; the visit's patient's first.
    """

    visit: Visit
    reason: str
    original: Visit


def faults(visits: Sequence[Visit], seed: int) -> list[Fault]:
    """The seven recordings to break, of seven patients where one has no entry among the diagnoses.

    Parameters
    ----------
    visits
        The good recordings.
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
        # The duplicate keeps the device: its bytes are the original's. The others are short and small.
        visit = replace(original, patient=patient, index=_SITTING, order=100 + k)
        if reason != "duplicate_audio":
            visit = replace(visit, sample_rate_hz=4000, subtype="PCM_16", duration_s=10.0)
        result.append(Fault(visit, reason, original))
    return result


def expected_rejects(visits: Sequence[Visit], seed: int) -> dict[str, str]:
    """Recording → the reason for which ``validate`` must set it aside."""
    return {fault.visit.name: fault.reason for fault in faults(visits, seed)}


def write_fault(folder: Path, seed: int, fault: Fault) -> None:
    """Write one broken recording with its annotation."""
    source = fault.original if fault.reason == "duplicate_audio" else fault.visit
    samples, cycles = render(source, seed)
    FAULTS[fault.reason](folder, fault.visit, samples, cycles)


def _truncated(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """A copy that broke off: the header promises ten seconds, six are there."""
    path = write_audio(folder, visit, samples)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    write_annotation(folder, visit, cycles)


def _wrong_content(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """A download that the server answered with a page."""
    page = "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n<body>Later.</body></html>\n"
    (folder / f"{visit.name}.wav").write_bytes(page.encode() * 20)
    write_annotation(folder, visit, cycles)


def _silent(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """A microphone that was not plugged in: a last bit that flickers now and then."""
    flicker = np.zeros(len(samples))
    flicker[:: visit.sample_rate_hz // 10] = 1 / 32768
    write_audio(folder, visit, flicker)
    write_annotation(folder, visit, cycles)


def _clipped(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """A gain set far too high: a third of the samples at full scale."""
    limit = float(np.quantile(np.abs(samples), 0.66))
    write_audio(folder, visit, np.clip(samples / limit, -1.0, 1.0))
    write_annotation(folder, visit, cycles)


def _duplicate(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """The patient's first recording once more, under another name."""
    write_audio(folder, visit, samples)
    write_annotation(folder, visit, cycles)


def _outside(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """An annotation whose last cycle ends seconds behind the audio."""
    write_audio(folder, visit, samples)
    last = replace(cycles[-1], end_s=visit.duration_s + 4.2)
    write_annotation(folder, visit, [*cycles[:-1], last])


def _nameless(folder: Path, visit: Visit, samples: Samples, cycles: list[Cycle]) -> None:
    """A sound recording of somebody for whom there is no diagnosis."""
    write_audio(folder, visit, samples)
    write_annotation(folder, visit, cycles)


#: Reason, as ``validate`` calls it → how such a recording is written.
FAULTS: dict[str, Callable[[Path, Visit, Samples, list[Cycle]], None]] = {
    "truncated": _truncated,
    "wrong_content": _wrong_content,
    "silent": _silent,
    "clipped": _clipped,
    "duplicate_audio": _duplicate,
    "annotation_outside": _outside,
    "missing_metadata": _nameless,
}
