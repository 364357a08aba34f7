"""Commands that measure noise: how much chance alone moves a comparison or a monitor."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from auscult.cli.project import need_project

app = typer.Typer(help="Measure how much chance alone moves a result.", no_args_is_help=True)


@app.command("seed-variance")
def seed_variance(
    seeds: Annotated[int, typer.Option(min=3, help="Trainings of each experiment.")] = 5,
) -> None:
    """Retrain every experiment with several seeds and write the spread of its metrics to benchmarks/retraining.json.

    Example: nice auscult measure seed-variance --seeds 5
    """
    need_project()
    from auscult.comparison.seed_variance import measure

    measure(seeds)


@app.command("false-alarms")
def false_alarms(
    experiment: Annotated[str | None, typer.Option(help="Whose model; by default the first in service.")] = None,
    recordings: Annotated[int, typer.Option(min=1, help="Recordings in a week.")] = 60,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks that are drawn.")] = 200,
    gain: Annotated[float, typer.Option(help="Gain in dB that is added to every recording of a week.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count how often the monitor reports drift in weeks drawn from the training data.

    Example: auscult measure false-alarms --recordings 60 --gain 12
    """
    need_project()
    from auscult.monitoring.false_alarms import measure

    found = measure(experiment=experiment, recordings=recordings, weeks=weeks, gain_db=gain)
    print(json.dumps(asdict(found), indent=1) if as_json else found)
