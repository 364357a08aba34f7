"""The application: all commands, and how the process ends.

Exit codes: 0 done; 1 an answer such as "different"; 2 a user's error; 3 a fault of the project; 130 interrupted.
The library is imported inside the commands: ``auscult --help`` must not wait for pandas, DVC or Prefect.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from auscult.cli import data, measure, models, pipeline
from auscult.core.errors import EXIT_USER_ERROR, AuscultError
from auscult.core.process import log_to_stdout, prepare
from auscult.versioning.commands import forget_other_repositories

EXIT_FAULT = 3
EXIT_INTERRUPTED = 130
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
    forget_other_repositories()
    logging = nullcontext() if "--json" in sys.argv else log_to_stdout()  # JSON must stand alone on standard output
    try:
        with logging:
            code = app(standalone_mode=False)
        sys.stdout.flush()
    except AuscultError as error:
        print(f"\nERROR: {error}", file=sys.stderr, flush=True)
        code = EXIT_USER_ERROR
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # `… | head`: Python must not flush once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE_CLOSED
    except SystemExit as ended:  # Typer ends a closed pipe with 1, which is an answer
        code = EXIT_PIPE_CLOSED if isinstance(ended.__context__, BrokenPipeError) else ended.code
    except Exception as error:
        code = _show_usage(error) if isinstance(error, typer.BadParameter.__bases__) else _report(error)
    raise SystemExit(code)


def _show_usage(error: Any) -> int:
    """Print what is wrong with the command line, and how it is used."""
    error.show()
    return int(error.exit_code)


def _report(error: Exception) -> int:
    """Write the traceback into a file and name it: a crash must never look like an answer."""
    folder = Path(".cache") if Path("dvc.yaml").exists() else Path(tempfile.gettempdir())
    file = folder / f"auscult-error-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text("".join([f"auscult {' '.join(sys.argv[1:])}\n\n", *traceback.format_exception(error)]), "utf-8")
        where = str(file)
    except OSError:
        traceback.print_exception(error)
        where = "above"
    print(f"\nERROR: a fault of Auscult: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"  where: {where}\n  next: report it with that file", file=sys.stderr, flush=True)
    return EXIT_FAULT
