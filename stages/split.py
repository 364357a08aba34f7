"""Stage split: patients → train, validation and test; fails when anything stands on two sides."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.records import ASSIGNMENT_COLUMNS
from auscult.core.storage import read_json, read_table, replacing_folder, write_json, write_table
from auscult.core.tasks import Task
from auscult.splitting import pinned
from auscult.splitting.leaks import gate, run_checks
from auscult.splitting.near_duplicates import find_twins
from auscult.splitting.parts import split
from auscult.splitting.summary import summarise


def main() -> None:
    """Assign, check, write."""
    everything = parameters.load()
    params, paths = everything.split, Paths(everything.dataset)
    recordings = read_table(paths.manifest / "recordings.parquet")
    segments = read_table(paths.manifest / "segments.parquet")
    tasks = [Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")]
    result = split(recordings, segments, tasks, params, pinned.read(paths.dataset))
    patients = dict(zip(recordings["recording_id"], recordings["patient_id"], strict=True))
    twins = find_twins(read_table(paths.manifest / "fingerprints.parquet"), patients)
    checks = run_checks(result.assignment, recordings, twins)
    gate(checks)
    summary = summarise(result, recordings, segments, tasks, params, checks, twins)
    for name, about in summary["parts"].items():
        if about["recordings"]:
            print(f"split: {name}: {about['patients']} patients, {about['recordings']} recordings", flush=True)
    if (added := summary["additions"])["recordings"]:
        print(
            f"split: additions: {added['recordings']} recordings; {added['known_patients']} patients keep their side,"
            f" {added['new_patients']} new ones are placed by seed and id",
            flush=True,
        )
    for note in (*summary["twins_in_one_part"], *summary["notes"]):
        print(f"split: note: {note}", flush=True)
    with replacing_folder(paths.split) as folder:
        write_table(folder / "assignment.parquet", result.assignment, ASSIGNMENT_COLUMNS)
        write_json(folder / "summary.json", summary)


if __name__ == "__main__":
    run(main)
