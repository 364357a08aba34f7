"""``python -m stages.split``: patients → train, validation and test; fails on a leak between them."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.records import ASSIGNMENT_COLUMNS
from auscult.core.storage import read_json, read_table, replacing_folder, write_json, write_table
from auscult.core.tasks import Task


def main() -> None:
    """Assign the parts, check them, write the assignment and its summary."""
    # NumPy reads the thread limits that run() sets when it is imported, so its users come after.
    from auscult.splitting import pinned
    from auscult.splitting.leaks import gate, run_checks
    from auscult.splitting.near_duplicates import find_near_duplicates
    from auscult.splitting.parts import split
    from auscult.splitting.summary import summarise

    params = parameters.load()
    paths = Paths(params.dataset)
    recordings = read_table(paths.manifest / "recordings.parquet")
    segments = read_table(paths.manifest / "segments.parquet")
    tasks = [Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")]
    result = split(recordings, segments, tasks, params.split, pinned.read(paths.dataset))
    patients = dict(zip(recordings["recording_id"], recordings["patient_id"], strict=True))
    pairs = find_near_duplicates(read_table(paths.manifest / "fingerprints.parquet"), patients)
    checks = run_checks(result.assignment, recordings, pairs)
    gate(checks)
    with replacing_folder(paths.split) as folder:
        write_table(folder / "assignment.parquet", result.assignment, ASSIGNMENT_COLUMNS)
        summary = summarise(result, recordings, segments, tasks, params.split, checks, pairs)
        write_json(folder / "summary.json", summary)


if __name__ == "__main__":
    run(main)
