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
    diff = verbs.add_parser("diff", help="how two versions of the data differ: 0 the same, 1 different, 2 trouble")
    diff.add_argument("before", metavar="REV", help="branch, tag or commit")
    diff.add_argument("after", metavar="REV", nargs="?", help="another one (default: the outputs in the workspace)")
    form = diff.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="everything, with names")
    form.add_argument(
        "--markdown", dest="form", action="store_const", const="markdown", help="for a pull request, without names"
    )
    diff.set_defaults(command=_diff, form="text")


def _diff(arguments: argparse.Namespace) -> None:
    from flows.data.comparing import diff

    diff(arguments.before, arguments.after, arguments.form)
