"""``python -m flows data <verb>``: the command line of the data sets' versions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add ``data`` and its verbs to the command line of the flows."""
    data = commands.add_parser("data", help="data sets: compare versions, add recordings, withdraw a patient, trace")
    verbs = data.add_subparsers(title="verbs", required=True, metavar="VERB")
    _register_verbs(verbs)


def _register_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """One block per verb, in the order of the documentation."""
    lineage = verbs.add_parser(
        "lineage", help="which data made a model, which models a version of the data made; do MLflow and DVC agree?"
    )
    lineage.add_argument(
        "what",
        metavar="WHAT",
        help="EXPERIMENT, EXPERIMENT:VERSION, champion; a version of the data; or a branch, tag or commit",
    )
    lineage.add_argument("--json", action="store_true", help="for a program")
    lineage.set_defaults(command=_lineage)


def _lineage(arguments: argparse.Namespace) -> None:
    """Exit code 1 where MLflow and DVC disagree."""
    import json

    from flows.data import answer, tracing

    traced = tracing.trace(Path(), arguments.what)
    if arguments.json:
        print(json.dumps(answer.to_json(Path(), traced), indent=1, ensure_ascii=False))
    else:
        print(answer.text(Path(), traced))
    if traced.disagreements:
        raise SystemExit(1)
