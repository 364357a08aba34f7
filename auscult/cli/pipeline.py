"""Commands at the top level: run, compare, monitor, serve-flows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.models import run_flow
from auscult.cli.project import need_project


def run(
    dataset: Annotated[str | None, typer.Option(help="Data set to run; written into params.yaml.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Folder, zip or URL to take the data set from; remembered on this machine.")
    ] = None,
) -> None:
    """Bring the pipeline up to date and print the results, as `make repro` does.

    Example: auscult run --dataset icbhi --source ~/ICBHI
    """
    need_project()
    from auscult.pipeline.run import reproduce

    reproduce(dataset, source)


def compare(
    base: Annotated[str, typer.Argument(help="Branch, tag or commit to compare with.")],
    head: Annotated[str | None, typer.Argument(help="Revision to compare; by default what is checked out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Reproduce two revisions and compare their metrics; writes reports/comparison/.

    Example: auscult compare main
    """
    need_project()
    from auscult.comparison import document
    from auscult.comparison.report import FOLDER, report, sentence

    made = report(base, head)
    print((FOLDER / document.JSON).read_text(encoding="utf-8") if as_json else sentence(made))


def monitor(
    folder: Annotated[
        Path | None, typer.Argument(help="WAV or FLAC files, at any depth; by default data/recent/<dataset>.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Whose model; by default the first experiment in service.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare recent recordings with those that the model in service was trained on.

    With a Prefect server (`auscult serve-flows`) this is a flow run, whose event may start a retraining.

    Example: auscult monitor ~/recent
    """
    need_project()
    from auscult.monitoring import steps
    from auscult.scheduling.serving import configure_prefect

    configure_prefect()
    place = folder or steps.usual_folder()
    steps.recordings(place)  # a mistyped folder must not make a flow run
    if os.environ.get("PREFECT_API_URL"):
        found = run_flow("monitor", str(place), experiment).result()
    else:
        found = steps.monitor(str(place), experiment).to_json()
    if as_json:
        print(json.dumps(found, indent=1))


def serve_flows(
    port: Annotated[int, typer.Option(help="Port of Prefect's page.")] = 4200,
) -> None:
    """Start Prefect's server, a worker and the scheduled deployments; Ctrl-C stops them.

    Example: auscult serve-flows --port 4201
    """
    need_project()
    from auscult.scheduling.serving import serve

    serve(port)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("run")(run)
    app.command("compare")(compare)
    app.command("monitor")(monitor)
    app.command("serve-flows")(serve_flows)
