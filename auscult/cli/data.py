"""``python -m auscult.cli data <verb>``: the command line of the data sets' versions."""

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
    diff = verbs.add_parser("diff", help="how two versions of the data differ: 0 the same, 1 different, 2 trouble")
    diff.add_argument("before", metavar="REV", help="branch, tag or commit")
    diff.add_argument("after", metavar="REV", nargs="?", help="another one (default: the outputs in the workspace)")
    form = diff.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="everything, with names")
    form.add_argument(
        "--markdown", dest="form", action="store_const", const="markdown", help="for a pull request, without names"
    )
    diff.set_defaults(command=_diff, form="text")

    add = verbs.add_parser(
        "add", help="add a delivery's recordings: 0 something joined or all was there, 2 nothing could join"
    )
    add.add_argument("folder", metavar="FOLDER", help="in a layout of the data set, or with recordings.csv")
    add.add_argument("--dry-run", action="store_true", help="look and say what would happen; write nothing")
    add.add_argument("--dataset", help="default: the one that params.yaml names")
    add.set_defaults(command=_add)

    template = verbs.add_parser("template", help="tables to fill in for a delivery: recordings.csv, segments.csv")
    template.add_argument("folder", metavar="FOLDER", help="made where it is not there")
    template.add_argument("--dataset", help="default: the one that params.yaml names")
    template.set_defaults(command=_template)

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

    withdraw = verbs.add_parser("withdraw", help="a patient has withdrawn consent: leave them out from now on")
    withdraw.add_argument("patient", help="the id, as the recordings' file names have it")
    withdraw.add_argument("--since", metavar="DATE", help="such as 2026-11-25 (default: today)")
    withdraw.add_argument("--dry-run", action="store_true", help="say what it would touch, and change nothing")
    withdraw.set_defaults(command=_withdraw)

    purge = verbs.add_parser("purge", help="remove what caches, remotes and MLflow still hold of withdrawn patients")
    purge.add_argument("--dry-run", action="store_true", help="list what would go, and remove nothing")
    purge.add_argument("--remote", metavar="NAME", help="only this one of DVC's remotes (default: all)")
    purge.add_argument("--retire", action="store_true", help="also models in service, though nothing replaces them")
    purge.set_defaults(command=_purge)


def _diff(arguments: argparse.Namespace) -> None:
    """Exit code 1 where they differ, as ``diff`` does."""
    from auscult.curation.diff.formats import diff

    text, same = diff(arguments.before, arguments.after, arguments.form)
    print(text, flush=True)
    if not same:
        raise SystemExit(1)


def _add(arguments: argparse.Namespace) -> None:
    from auscult.curation.additions.adding import add

    print(add(Path(arguments.folder), arguments.dataset, dry_run=arguments.dry_run))


def _template(arguments: argparse.Namespace) -> None:
    from auscult.curation.additions.adding import template

    print(template(Path(arguments.folder), arguments.dataset))


def _lineage(arguments: argparse.Namespace) -> None:
    """Exit code 1 where MLflow and DVC disagree."""
    import json

    from auscult.curation.lineage import answer, lineage

    traced = lineage.trace(Path(), arguments.what)
    if arguments.json:
        print(json.dumps(answer.to_json(Path(), traced), indent=1, ensure_ascii=False))
    else:
        print(answer.text(Path(), traced))
    if traced.disagreements:
        raise SystemExit(1)


def _withdraw(arguments: argparse.Namespace) -> None:
    from auscult.curation.withdrawals.withdraw import withdraw

    print(withdraw(arguments.patient, arguments.since, dry_run=arguments.dry_run))


def _purge(arguments: argparse.Namespace) -> None:
    from auscult.curation.withdrawals.purge import purge

    purge(tell=print, dry_run=arguments.dry_run, remote=arguments.remote, retire=arguments.retire)
