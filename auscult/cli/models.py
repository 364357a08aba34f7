"""Commands on models: what is in service, retraining, promotion, rollback, MLflow."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from typing import Annotated, Any

import typer

from auscult.cli.project import need_project
from auscult.core.errors import AuscultError

app = typer.Typer(help="Models in service: list, history, retrain, promote, roll back, retire.", no_args_is_help=True)
Because = Annotated[str, typer.Option(help="The reason; it is kept with the model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Experiment = Annotated[str, typer.Argument(help="Experiment of params.yaml.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List what is in service, since when and why.

    Example: auscult models list --json
    """
    need_project()
    from auscult.registry import promotion

    found = promotion.overview()
    print(json.dumps(asdict(found), indent=1) if as_json else found)


@app.command()
def history(experiment: Experiment, as_json: AsJson = False) -> None:
    """List every registered version of an experiment: when it served, and why it was promoted or rolled back.

    Example: auscult models history sounds_logmel_cnn2d
    """
    need_project()
    from auscult.registry import promotion

    versions = promotion.history(experiment)
    if as_json:
        print(json.dumps([asdict(version) for version in versions], indent=1))
    else:
        print("\n".join(map(str, versions)) or f"no version of {experiment} is registered")


@app.command()
def retrain(
    revision: Annotated[str, typer.Option(help="Branch, tag or commit to retrain.")] = "HEAD",
    data: Annotated[str | None, typer.Option(help="Folder of new recordings to add first.")] = None,
    experiment: Annotated[
        list[str] | None,
        typer.Option(help="Train and decide on this experiment in service only; may be repeated. By default all."),
    ] = None,
) -> None:
    """Train a challenger now; it serves only if it is shown to be better than the champion.

    Example: auscult models retrain --data ~/delivery
    """
    need_project()
    print(outcome(run_flow("retrain", revision, data, experiment or None)))


@app.command()
def promote(
    experiment: Experiment,
    because: Because,
    number: Annotated[
        str | None, typer.Option("--version", help="Version in the registry; by default the challenger.")
    ] = None,
) -> None:
    """Put a model version into service.

    Example: auscult models promote sounds_logmel_cnn2d --because "agreed with Dr K."
    """
    need_project()
    from auscult.registry import promotion

    print(promotion.promote(experiment, number, because))


@app.command()
def rollback(experiment: Experiment, because: Because) -> None:
    """Put the previous champion into service again; no retraining promotes the rolled-back model.

    Example: auscult models rollback sounds_logmel_cnn2d --because "misses stridor"
    """
    need_project()
    from auscult.registry import promotion

    print(promotion.roll_back(experiment, because))


@app.command()
def retire(experiment: Experiment, because: Because) -> None:
    """Take the model out of service, with nothing in its place; no retraining promotes that model again.

    Example: auscult models retire sounds_logmel_cnn2d --because "misses stridor"
    """
    need_project()
    from auscult.registry import promotion

    print(promotion.retire(experiment, because))


@app.command()
def restore() -> None:
    """Put the models into service again that git records, after mlflow.db was lost; DVC has their files.

    Example: auscult models restore
    """
    need_project()
    from auscult.registry.restoring import restore

    restore(print)


@app.command()
def track() -> None:
    """Record every trained model that MLflow does not hold yet; `auscult run` does it at its end.

    Example: auscult models track
    """
    need_project()
    from auscult.registry.tracking import track

    track()


def run_flow(name: str, *arguments: Any) -> Any:
    """Run a flow of the project's ``flows/`` and return its final state; raise what went wrong in it.

    The library does not import flows: Prefect loads them from their file, as it does for a deployment.
    """
    from auscult.scheduling.processes import tag_of
    from auscult.scheduling.serving import configure_prefect, need_server

    configure_prefect()  # before Prefect is imported
    need_server()
    from prefect import tags
    from prefect.flows import load_flow_from_entrypoint

    flow: Any = load_flow_from_entrypoint(f"flows/{name}.py:{name}")
    for logger in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_without_traceback)
    with tags(tag_of(os.getpid())):
        state: Any = flow(*arguments, return_state=True)
    if not state.is_completed():
        state.result()
    return state


def _without_traceback(record: logging.LogRecord) -> bool:
    """Leave the traceback of a user's error out of Prefect's messages: the error says everything."""
    if record.exc_info and isinstance(record.exc_info[1], AuscultError):
        record.exc_info = None
    return True


def outcome(state: Any) -> str:
    """Return the name and the message of a flow's final state, for the terminal."""
    return f"\n{state.name}: {state.message}"
