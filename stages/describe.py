"""``python -m stages.describe``: name the version of a data set, and write its data card."""

from __future__ import annotations

import logging

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import read_json, read_table, write_json, write_text
from auscult.core.tasks import Task
from auscult.reporting.data_card.card import render
from auscult.reporting.data_card.identity import describe_version

logger = logging.getLogger(__name__)


def main() -> None:
    """Read manifest and split; write version.json and README.md, which git keeps."""
    paths = Paths(parameters.load().dataset)
    manifest, split = read_json(paths.manifest / "summary.json"), read_json(paths.split / "summary.json")
    tasks = [Task.from_json(entry) for entry in read_json(paths.manifest / "tasks.json")]
    recordings = read_table(paths.manifest / "recordings.parquet")
    segments = read_table(paths.manifest / "segments.parquet")
    assignment = read_table(paths.split / "assignment.parquet")
    version = describe_version(manifest, recordings, segments, assignment)
    write_json(paths.version, version)
    write_text(paths.card, render(version, manifest, split, tasks, recordings))
    logger.info("describe: %s: %d recordings", version["name"], manifest["counts"]["recordings"])


if __name__ == "__main__":
    run(main)
