"""Stage validate: raw recordings and additions → checked tables, and what was set aside with its reasons."""

from __future__ import annotations

from auscult.audio.fingerprint import FINGERPRINT_COLUMNS
from auscult.core import params as parameters
from auscult.core import withdrawals
from auscult.core.errors import DataError
from auscult.core.paths import Paths
from auscult.core.process import run, workers
from auscult.core.records import RECORDING_COLUMNS, REJECT_COLUMNS, SEGMENT_COLUMNS
from auscult.core.storage import replacing_folder, write_json, write_table, write_text
from auscult.datasets import load
from auscult.reporting.validation_page import render
from auscult.validation.expectations import check_tables, tasks_json
from auscult.validation.limits import check_outcomes, check_rejects
from auscult.validation.manifest import build
from auscult.validation.merge import examine_merged
from auscult.validation.summary import summarise


def main() -> None:
    """Examine every recording, check the tables, write the manifest."""
    everything = parameters.load()
    params, paths = everything.validate_, Paths(everything.dataset)
    dataset = load(everything.dataset)
    if not paths.raw.is_dir():
        raise DataError(f"{paths.raw} does not exist", where=str(paths.raw), next_step="dvc repro download")
    withdrawn = withdrawals.read(dataset.name)
    tables = build(examine_merged(dataset, paths, params, workers(), withdrawn))
    set_aside = tables.rejects["recording_id"].nunique()
    print(f"validate: {len(tables.recordings)} recordings accepted, {set_aside} set aside", flush=True)
    if tables.batches:
        added = int(tables.recordings["batch"].notna().sum())
        print(f"validate: {added} of them came with additions ({tables.batches})", flush=True)
    check_rejects(tables, dataset, paths, params)
    outcomes = check_tables(tables.recordings, tables.segments, dataset, params)
    check_outcomes(outcomes, paths)
    print(f"validate: {len(outcomes)} expectations hold", flush=True)
    summary = summarise(dataset, tables, outcomes, withdrawn=len(withdrawn))
    for note in summary["notes"]:
        print(f"validate: note: {note}", flush=True)
    with replacing_folder(paths.manifest) as folder:
        write_table(folder / "recordings.parquet", tables.recordings, RECORDING_COLUMNS)
        write_table(folder / "segments.parquet", tables.segments, SEGMENT_COLUMNS)
        write_table(folder / "rejects.parquet", tables.rejects, REJECT_COLUMNS)
        write_table(folder / "fingerprints.parquet", tables.fingerprints, FINGERPRINT_COLUMNS)
        write_json(folder / "tasks.json", tasks_json(dataset.tasks))
        write_json(folder / "summary.json", summary)
        write_text(folder / "validation.html", render(summary, tables.rejects))


if __name__ == "__main__":
    run(main)
