"""Stage describe: manifest and split → the version's name and figures, and the card that git keeps."""

from __future__ import annotations

from stages import params as parameters
from stages.describe.card import render
from stages.describe.version import describe_version
from stages.entry import run
from stages.paths import Paths
from stages.store import read_json, read_table, write_json, write_text
from stages.tasks import Task


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
