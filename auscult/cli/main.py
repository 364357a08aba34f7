"""The application: all commands, and how the process ends.

Exit codes: 0 done; 1 an answer such as "different"; 2 a user's error; 3 a fault of the project; 130 interrupted.
The library is imported inside the commands: ``auscult --help`` must not wait for pandas, DVC or Prefect.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from auscult.cli import data, measure, models, pipeline
from auscult.core.crashes import report
from auscult.core.errors import EXIT_INTERRUPTED
from auscult.core.process import accept_every_character, log_to_stdout, prepare
from auscult.versioning.commands import forget_other_repositories

#: What a shell reports of a program that SIGPIPE has ended.
EXIT_PIPE_CLOSED = 141

app = typer.Typer(
    name="auscult",
    help="Classify respiratory sounds: run the pipeline, version the data, retrain, compare and monitor models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
pipeline.register(app)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(measure.app, name="measure")


def _show_version(asked: bool) -> None:
    if asked:
        try:
            print(f"auscult {version('auscult')}")
        except PackageNotFoundError:
            print("auscult (not installed)")
        raise typer.Exit


@app.callback()
def options(
    show: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Set up what all commands share."""


def main() -> None:
    """Run one command and end the process with its exit code."""
    prepare()
    accept_every_character(utf8=not {"--json", "--markdown"}.isdisjoint(sys.argv))
    forget_other_repositories()
    logging = nullcontext() if "--json" in sys.argv else log_to_stdout()  # JSON must stand alone on standard output
    try:
        with logging:
            code = app(standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # `… | head`: Python must not flush once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE_CLOSED
    except SystemExit as ended:  # by Typer or a library; 1, which they use for any trouble, is an answer here
        closed = isinstance(ended.__context__, BrokenPipeError)
        code = EXIT_PIPE_CLOSED if closed else report(ended) if ended.code else 0
    except Exception as error:
        code = _show_usage(error) if isinstance(error, typer.BadParameter.__bases__) else report(error)
    raise SystemExit(code)


def _show_usage(error: Any) -> int:
    """Print what is wrong with the command line, and how it is used."""
    error.show()
    return int(error.exit_code)
