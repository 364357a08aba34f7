"""``python -m stages.validate``: raw recordings and additions → checked tables, and the rejects with their reasons."""

from __future__ import annotations

from functools import cache, partial

from auscult.core import corrections, withdrawals
from auscult.core import params as parameters
from auscult.core.errors import DataError
from auscult.core.identifiers import look_alikes
from auscult.core.paths import Paths
from auscult.core.process import run, workers
from auscult.core.records import CORRECTION_COLUMNS, RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import replacing_folder, write_json, write_table, write_text
from auscult.datasets import load


def main() -> None:
    """Examine every recording, check the tables, write the manifest."""
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.audio.fingerprint import FINGERPRINT_COLUMNS
    from auscult.reporting.validation_page import render
    from auscult.validation.corrections import apply, of_withdrawn
    from auscult.validation.expectations import check_expectations, check_rejects
    from auscult.validation.manifest import build, examine_merged
    from auscult.validation.summary import summarise

    params = parameters.load()
    dataset, paths = load(params.dataset), Paths(params.dataset)
    if not paths.raw.is_dir():
        raise DataError(f"{paths.raw} does not exist", where=str(paths.raw), next_step="dvc repro download")
    withdrawn = withdrawals.read(dataset.name)
    tables = build(examine_merged(dataset, paths, params.validate_, workers(), withdrawn))
    left_out = cache(partial(of_withdrawn, dataset, paths, withdrawn))
    tables = apply(tables, corrections.read(dataset.name), dataset, left_out)
    check_rejects(tables, dataset, paths, params.validate_)
    outcomes = check_expectations(tables, dataset, paths, params.validate_)
    summary = summarise(dataset, tables, outcomes, withdrawn=len(withdrawn))
    alike = look_alikes(tables.recordings["patient_id"])
    with replacing_folder(paths.manifest) as folder:
        write_table(folder / "recordings.parquet", tables.recordings, RECORDING_COLUMNS)
        write_table(folder / "segments.parquet", tables.segments, SEGMENT_COLUMNS)
        write_table(folder / "rejects.parquet", tables.rejects, REJECT_COLUMNS)
        write_table(folder / "corrections.parquet", tables.corrections, CORRECTION_COLUMNS)
        write_table(folder / "fingerprints.parquet", tables.fingerprints, FINGERPRINT_COLUMNS)
        write_json(folder / "tasks.json", [task.to_json() for task in dataset.tasks])
        write_json(folder / "summary.json", summary)
        write_text(folder / "validation.html", render(summary, tables.rejects, alike))


if __name__ == "__main__":
    run(main)
