"""Command line of ``make repro``: ``python -m auscult.pipeline [--dataset NAME] [--source SOURCE]``."""

from __future__ import annotations

import argparse

from auscult.core.process import run
from auscult.pipeline.run import reproduce


def main() -> None:
    """Command line of ``make repro``."""
    parser = argparse.ArgumentParser(
        prog="python -m auscult.pipeline",
        description="The pipeline from whatever is there to an up-to-date report: make repro.",
    )
    parser.add_argument("--dataset", help="the data set to run, written into params.yaml")
    parser.add_argument("--source", help="folder, zip or URL to take the data set from; remembered, forces download")
    arguments = parser.parse_args()
    reproduce(arguments.dataset, arguments.source)


if __name__ == "__main__":
    run(main)
