"""``python -m auscult.cli <command>``: the flows from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auscult.cli import data
from auscult.core.errors import AuscultError
from auscult.core.process import run

#: What a shell reports of a program that SIGPIPE has ended.
_PIPE_CLOSED = 141


def main() -> None:
    """Read the command line and run one command."""
    arguments = _parser().parse_args()
    if not Path("dvc.yaml").exists():
        raise AuscultError("there is no dvc.yaml here", where=str(Path.cwd()), next_step="cd into the repository")
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `… | head`: whoever reads has seen enough, and Python must not flush once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_PIPE_CLOSED) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m auscult.cli", description="Retraining that never makes things worse."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="Prefect's server, a worker and the deployments (make flows)")
    serve.add_argument("--port", type=int, default=4200)
    serve.set_defaults(command=_serve)

    retrain = commands.add_parser("retrain", help="train a challenger now; it serves only if it is shown to be better")
    retrain.add_argument(
        "--revision", default="HEAD", help="branch, tag or commit (default: HEAD, what is checked out here)"
    )
    retrain.add_argument("--data", help="folder with new recordings, in a layout of the data set")
    retrain.set_defaults(command=_retrain)

    ingest = commands.add_parser("ingest", help="add the new recordings of a folder to the data set")
    ingest.add_argument("--folder", help="in a layout of the data set (default: data/inbox/<dataset>)")
    ingest.set_defaults(command=_ingest)

    monitor = commands.add_parser("monitor", help="compare recent recordings with those the model learned from")
    monitor.add_argument("folder", nargs="?", help="WAV or FLAC, at any depth (default: data/recent/<dataset>)")
    monitor.add_argument("--experiment", help="whose model (default: the first of flows.retrain.experiments)")
    monitor.set_defaults(command=_monitor)

    promote = commands.add_parser("promote", help="put a model version into service by hand")
    promote.add_argument("experiment")
    promote.add_argument("--version", help="its number in the registry (default: the challenger)")
    promote.add_argument("--because", required=True, help="why; kept with the model")
    promote.set_defaults(command=_promote)

    rollback = commands.add_parser("rollback", help="put the champion before the present one into service again")
    rollback.add_argument("experiment")
    rollback.add_argument("--because", required=True, help="why; no retraining promotes that model again")
    rollback.set_defaults(command=_rollback)

    champions = commands.add_parser("champions", help="what is in service, since when and why")
    champions.set_defaults(command=_champions)

    compare = commands.add_parser("compare", help="what this branch changes against its base (make pr-report)")
    compare.add_argument("--base", default="main", help="branch, tag or commit to compare with (default: main)")
    compare.set_defaults(command=_compare)

    data.register(commands)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    from auscult.scheduling.serving import serve

    serve(arguments.port)


def _retrain(arguments: argparse.Namespace) -> None:
    from auscult.scheduling.serving import settle

    settle()
    from flows.retrain import retrain

    _tell(retrain(arguments.revision, arguments.data, return_state=True))


def _ingest(arguments: argparse.Namespace) -> None:
    from auscult.scheduling.serving import settle

    settle()
    from flows.ingest import ingest

    _tell(ingest(arguments.folder, return_state=True))


def _monitor(arguments: argparse.Namespace) -> None:
    """A flow run where a server is there, whose event may start a retraining; else the same without Prefect."""
    from auscult.monitoring import steps
    from auscult.scheduling.serving import settle

    settle()
    folder = Path(arguments.folder) if arguments.folder else steps.usual_folder()
    steps.recordings(folder)  # no run for a mistyped name
    if not os.environ.get("PREFECT_API_URL"):
        steps.look(str(folder), arguments.experiment)
        return
    from flows.monitor import monitor

    monitor(str(folder), arguments.experiment)


def _tell(state: Any) -> None:
    if not state.is_completed():
        state.result()  # raises what went wrong
    print(f"\n{state.name}: {state.message}")


def _promote(arguments: argparse.Namespace) -> None:
    from auscult.registry.promotion import promote

    print(promote(arguments.experiment, arguments.version, arguments.because))


def _rollback(arguments: argparse.Namespace) -> None:
    from auscult.registry.promotion import roll_back

    print(roll_back(arguments.experiment, arguments.because))


def _champions(arguments: argparse.Namespace) -> None:
    from auscult.registry.promotion import overview

    print(overview())


def _compare(arguments: argparse.Namespace) -> None:
    from auscult.comparison.report import report, sentence

    print(sentence(report(arguments.base)))


if __name__ == "__main__":
    run(main, at_once=False)  # Prefect may have started a server, which it ends
