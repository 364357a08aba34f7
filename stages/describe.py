"""Stage describe: manifest and split → the version's name and figures, and the card that git keeps."""

from __future__ import annotations

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import read_json, read_table, write_json, write_text
from auscult.core.tasks import Task
from auscult.reporting.data_card.card import render
from auscult.reporting.data_card.version import describe_version


def main() -> None:
    """Read the tables and summaries, write two small files."""
    paths = Paths(parameters.load().dataset)
    manifest, split = read_json(paths.manifest / "summary.json"), read_json(paths.split / "summary.json")
    tasks = [Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")]
    recordings = read_table(paths.manifest / "recordings.parquet")
    segments = read_table(paths.manifest / "segments.parquet")
    assignment = read_table(paths.split / "assignment.parquet")
    version = describe_version(manifest, recordings, segments, assignment)
    write_json(paths.version, version)
    write_text(paths.card, render(version, manifest, split, tasks, recordings))
    print(f"describe: {version['name']}: {manifest['counts']['recordings']} recordings", flush=True)


if __name__ == "__main__":
    run(main)
