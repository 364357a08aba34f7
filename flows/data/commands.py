"""``python -m flows data <verb>``: the command line of the data sets' versions."""

from __future__ import annotations

import argparse
from typing import Any


def register(commands: Any) -> None:
    """Add ``data`` and its verbs to the command line of the flows."""
    data = commands.add_parser("data", help="data sets: compare versions, add recordings, withdraw a patient, trace")
    verbs = data.add_subparsers(title="verbs", required=True, metavar="VERB")
    _register_verbs(verbs)


def _register_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """One block per verb, in the order of the documentation."""
