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
    withdraw = verbs.add_parser("withdraw", help="a patient has withdrawn consent: leave them out from now on")
    withdraw.add_argument("patient", help="the id, as the recordings' file names have it")
    withdraw.add_argument("--since", metavar="DATE", help="such as 2026-11-25 (default: today)")
    withdraw.add_argument("--dry-run", action="store_true", help="say what it would touch, and change nothing")
    withdraw.set_defaults(command=_withdraw)

    clear = verbs.add_parser("clear", help="remove what caches, remotes and MLflow still hold of withdrawn patients")
    clear.add_argument("--dry-run", action="store_true", help="list what would go, and remove nothing")
    clear.add_argument("--remote", metavar="NAME", help="only this one of DVC's remotes (default: all)")
    clear.add_argument("--retire", action="store_true", help="also models in service, though nothing replaces them")
    clear.set_defaults(command=_clear)


def _withdraw(arguments: argparse.Namespace) -> None:
    from flows.data.withdraw import withdraw

    print(withdraw(arguments.patient, arguments.since, dry_run=arguments.dry_run))


def _clear(arguments: argparse.Namespace) -> None:
    from flows.data.clear import clear

    clear(dry_run=arguments.dry_run, remote=arguments.remote, retire=arguments.retire)
