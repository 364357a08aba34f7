"""Commands at the top level: run, verify, compare, monitor, serve-flows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.models import run_flow
from auscult.cli.project import need_project, working
from auscult.core.errors import unknown_name


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


def verify(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="[EXPERIMENT]...", help="Experiments to verify; by default all.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set; by default the one in params.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Recompute every figure of the report from the stored predictions: exit code 0 all agree, 1 some differ.

    It needs neither audio nor a network, and shares no code with the evaluation.

    Example: auscult verify sounds_logmel_cnn2d
    """
    need_project()
    from auscult.core import params
    from auscult.core.paths import Paths
    from auscult.datasets import names

    config = params.load()
    for name in experiments or ():
        if name not in config.evaluated:
            raise unknown_name("experiment", name, config.evaluated, where="EXPERIMENT", next_step="name one of these")
    if dataset is not None and dataset not in names():
        raise unknown_name("data set", dataset, names(), where="--dataset", next_step="name one of these")
    # Imported here: a wrong name is refused before scikit-learn is loaded.
    from auscult.verification import verification

    paths, every = Paths(dataset or config.dataset), list(config.evaluated)
    with working("Recomputing the figures"):
        chosen = list(dict.fromkeys(experiments or every))
        found = verification.verify(paths, chosen, every, config.combinations)
    print(json.dumps(found.to_json(), indent=1) if as_json else found)
    if not found.agrees:
        raise typer.Exit(1)


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
    app.command("verify")(verify)
    app.command("compare")(compare)
    app.command("monitor")(monitor)
    app.command("serve-flows")(serve_flows)
