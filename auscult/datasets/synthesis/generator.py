"""Generate the sample data set on all processors."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

from auscult.core.process import die_with_parent, workers
from auscult.core.storage import write_text
from auscult.datasets.synthesis.faults import Fault, faults, write_fault
from auscult.datasets.synthesis.files import demographic_table, diagnosis_table, write_annotation, write_audio
from auscult.datasets.synthesis.population import Visit, plan
from auscult.datasets.synthesis.renderer import render


def make(folder: Path, tables: tuple[Path, Path], patients: int, seed: int) -> None:
    """Write all recordings, valid and broken; the bytes do not depend on the number of workers.

    Parameters
    ----------
    folder
        Existing folder for recordings and annotations.
    tables
        Files for the diagnoses and for the demographics.
    patients, seed
        See :func:`~auscult.datasets.synthesis.population.plan`.
    """
    visits = plan(patients, seed)
    broken = faults(visits, seed)
    work: list[Visit | Fault] = [*visits, *broken]
    write = partial(_write, folder, seed)
    try:
        pool = multiprocessing.get_context("fork").Pool(workers(), partial(die_with_parent, worker=True))
    except OSError:  # a pool needs semaphores, and they need a /dev/shm that can be written
        for item in work:
            write(item)
    else:
        with pool:
            for _ in pool.imap_unordered(write, work, chunksize=4):
                pass
    by_number = {visit.patient.number: visit.patient for visit in visits}
    diagnosed = [by_number[number] for number in sorted(by_number)]
    undiagnosed = [fault.visit.patient for fault in broken if fault.visit.patient.number not in by_number]
    write_text(tables[0], diagnosis_table(diagnosed))
    write_text(tables[1], demographic_table([*diagnosed, *undiagnosed]))


def _write(folder: Path, seed: int, item: Visit | Fault) -> None:
    if isinstance(item, Fault):
        write_fault(folder, seed, item)
        return
    samples, cycles = render(item, seed)
    write_audio(folder, item, samples)
    write_annotation(folder, item, cycles)
