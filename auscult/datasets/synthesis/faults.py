"""Seven broken recordings, each with another fault that occurs in real collections.

They are added to the valid recordings, as session ``9b1`` of their patients: ``validate`` must reject exactly these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from auscult.datasets.synthesis.files import write_annotation, write_audio
from auscult.datasets.synthesis.population import Visit, generator
from auscult.datasets.synthesis.renderer import render

_SESSION = "9b1"
#: Reasons for which ``validate`` must reject the recordings.
FAULTS = (
    "truncated",
    "wrong_content",
    "silent",
    "clipped",
    "duplicate_audio",
    "annotation_outside",
    "missing_metadata",
)
#: What a server in maintenance sends.
_PAGE = b"<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n<body>Later.</body></html>\n" * 20


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
    """Choose seven patients of the valid recordings, and plan a broken one of each; one patient has no diagnosis."""
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
            visit = replace(visit, sample_rate_hz=4000, subtype="PCM_16", duration_s=6.0)
        result.append(Fault(visit, reason, original))
    return result


def write_fault(folder: Path, seed: int, fault: Fault) -> None:
    """Write one broken recording with its annotation.

    The fault of a duplicate is its audio, of another recording; the fault of missing metadata is its patient.
    """
    visit, reason = fault.visit, fault.reason
    samples, cycles = render(fault.original if reason == "duplicate_audio" else visit, seed)
    if reason == "silent":  # an unplugged microphone: the lowest bit changes now and then
        samples = np.zeros(len(samples))
        samples[:: visit.sample_rate_hz // 10] = 1 / 32768
    elif reason == "clipped":  # too high a gain: a third of the samples at full scale
        samples = np.clip(samples / float(np.quantile(np.abs(samples), 0.66)), -1.0, 1.0)
    elif reason == "annotation_outside":  # the last cycle ends seconds after the audio
        cycles[-1] = replace(cycles[-1], end_s=visit.duration_s + 4.2)
    path = write_audio(folder, visit, samples)
    if reason == "truncated":  # an incomplete copy: ten seconds in the header, six in the file
        content = path.read_bytes()
        path.write_bytes(content[: int(0.6 * len(content))])
    elif reason == "wrong_content":
        path.write_bytes(_PAGE)
    write_annotation(folder, visit, cycles)
