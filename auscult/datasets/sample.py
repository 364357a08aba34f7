"""The sample data set: synthetic recordings in ICBHI's layout, so that everything runs without a download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auscult.core.records import Recording
from auscult.core.sections import Params
from auscult.datasets.readers.icbhi_layout import AUDIO_FOLDER, DEMOGRAPHICS, DIAGNOSIS, IcbhiLayout


class Sample(IcbhiLayout):
    """Synthetic recordings of synthetic patients."""

    name = "sample"
    title = "Auscult's synthetic sample"
    citation = "Made by this project: auscult/datasets/synthesis/, where the sources of the acoustics are named."
    licence = "made by this project: no rights of others in it"
    homepage = "docs/data.md"

    limits = (
        "Synthetic: results do not transfer to patients.",
        "Device and age correlate with the diagnosis, as in published data sets.",
        "On purpose, 3 % of the cycles are annotated wrongly and seven recordings are broken.",
    )

    def recordings(self, raw: Path) -> list[Recording]:
        """Return every recording; patients are numbered in the order of enrolment, so the number is the sequence."""
        found = super().recordings(raw)
        return [replace(each, sequence=int(each.patient_id)) if each.patient_id else each for each in found]

    def make(self, raw: Path, params: Params) -> None:
        """Generate the recordings of ``params.download.sample.patients`` patients, valid and broken."""
        from auscult.datasets.synthesis.generator import make  # scipy: loaded only to generate

        (raw / AUDIO_FOLDER).mkdir(parents=True, exist_ok=True)
        wanted = params.download.sample
        make(raw / AUDIO_FOLDER, (raw / DIAGNOSIS, raw / DEMOGRAPHICS), wanted.patients, wanted.seed)


DATASET = Sample()
