"""Command line of ``make repro``: ``python -m flows.repro [--dataset NAME] [--source SOURCE]``."""

from __future__ import annotations

import argparse

from flows.repro.run import reproduce
from stages.entry import run


def main() -> None:
    """Command line of ``make repro``."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.repro",
        description="The pipeline from whatever is there to an up-to-date report: make repro.",
    )
    parser.add_argument("--dataset", help="the data set to run, written into params.yaml")
    parser.add_argument("--source", help="folder, zip or URL to take the data set from; remembered, forces download")
    arguments = parser.parse_args()
    reproduce(arguments.dataset, arguments.source)


if __name__ == "__main__":
    run(main)
